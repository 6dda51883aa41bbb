"""Which fault strikes when: the whole plan follows from a seed. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

KILL_WORKER = "kill-worker"
TERM_WORKER = "term-worker"
STOP_WORKER = "stop-worker"
KILL_GATEWAY = "kill-gateway"
STOP_GATEWAY = "stop-gateway"
STOP_SUPERVISOR = "stop-supervisor"
RELOAD = "reload"
KINDS = (
    *(KILL_WORKER, TERM_WORKER, STOP_WORKER, KILL_GATEWAY),
    *(STOP_GATEWAY, STOP_SUPERVISOR, RELOAD),
)
"""Faults that a server lives through."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault."""

    at_s: float
    """After the start of the load."""
    kind: str
    pick: float
    """Which of several processes, from 0 to 1."""
    hold_s: float
    """How long a stopped process stands still."""


def plan(
    seed: int,
    kinds: Sequence[str],
    *,
    every_s: float,
    until_s: float,
    hold_s: tuple[float, float] = (0.1, 1.5),
) -> list[Strike]:
    """Strikes about `every_s` apart: each kind once in a random order, then again and again."""
    assert set(kinds) <= set(KINDS), kinds
    rng = random.Random(seed)
    strikes: list[Strike] = []
    round_: list[str] = []
    at_s = every_s
    while at_s <= until_s:
        if not round_:
            round_ = rng.sample(list(kinds), len(kinds))
        held_s = rng.uniform(*hold_s)
        strikes.append(Strike(round(at_s, 3), round_.pop(), rng.random(), round(held_s, 3)))
        at_s += every_s * rng.uniform(0.8, 1.2)
    return strikes
