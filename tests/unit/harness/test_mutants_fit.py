"""The deliberate faults can still be made: the code that each replaces is there."""

import pytest
from harness.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_text_of_a_mutant_is_found_once(mutant: Mutant) -> None:
    text = (ROOT / "src" / "headway" / mutant.file).read_text(encoding="utf-8")
    assert mutant.mutate(text) != text
