"""The pure parts together in virtual time: 500 seeds here, 10,000 with the faults. `SEED=n` plays one."""

import os
from collections import Counter

from harness.actors import LawBrokenError
from harness.simulation import play

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(500)


def test_every_seed_ends_each_request_once_and_comes_to_rest() -> None:
    broken: list[str] = []
    for seed in SEEDS:
        try:
            play(seed)
        except LawBrokenError as e:
            broken.append(str(e))
            if len(broken) == 3:
                break
    assert not broken, "\n\n".join(broken)


def test_a_seed_plays_the_same_run_again() -> None:
    assert play(7).trace == play(7).trace


def test_the_runs_hold_all_that_may_happen() -> None:
    """A simulation in which nothing happens proves nothing."""
    seen: Counter[str] = Counter()
    for seed in range(40):
        run = play(seed)
        seen.update(fate.ends[0] for fate in run.fates.values())
        seen.update(line.split()[1] for line in run.trace)
        seen["repeated"] += sum(fate.sends > 1 for fate in run.fates.values())
    wanted = {"answered", "refused", "left", "late", "given up", "broken off", "repeated"}
    wanted |= {"START", "JOIN", "PART", "LEAVE", "KILL", "SUSPEND", "RESUME"}
    assert not wanted - set(+seen), seen
