"""The plan of faults: a seed is enough to play it again, and nothing is left out."""

import itertools

from harness.schedule import KINDS, plan
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(), st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
def test_a_seed_gives_one_plan_with_every_fault_in_it(seed: int, kinds: list[str]) -> None:
    strikes = plan(seed, kinds, every_s=1.0, until_s=20.0)

    assert strikes == plan(seed, kinds, every_s=1.0, until_s=20.0)
    assert {s.kind for s in strikes} == set(kinds)
    assert all(a.at_s < b.at_s for a, b in itertools.pairwise(strikes))
    assert all(0 < s.at_s <= 20 and 0 <= s.pick < 1 and 0.1 <= s.hold_s <= 1.5 for s in strikes)


def test_seeds_differ() -> None:
    assert len({tuple(plan(seed, KINDS, every_s=1.0, until_s=9.0)) for seed in range(20)}) == 20
