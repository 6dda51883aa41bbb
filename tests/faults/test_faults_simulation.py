"""The engine's pure parts in virtual time, over ten thousand seeds. `SEED=n` plays one."""

import os

import pytest
from harness.actors import LawBrokenError
from harness.simulation import play

SEEDS = 10_000
PARTS = 8

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_seeds_keep_the_laws(part: int) -> None:
    seeds = [int(os.environ["SEED"])] if "SEED" in os.environ else range(part, SEEDS, PARTS)
    broken = []
    for seed in seeds:
        try:
            play(seed)
        except LawBrokenError as e:
            broken.append(str(e))
    assert not broken, f"{len(broken)} of {len(seeds)} seeds:\n" + "\n\n".join(broken[:3])
