"""When requests are meant to be sent in an open loop: seconds from the start, without end. Pure."""

import itertools
import random
from collections.abc import Iterator


def constant(rate_per_s: float) -> Iterator[float]:
    """Evenly: what a clock asks."""
    return (turn / rate_per_s for turn in itertools.count())


def poisson(rate_per_s: float, seed: int) -> Iterator[float]:
    """At random and independent of each other, as many users ask; the same for a seed."""
    source = random.Random(seed)  # noqa: S311  (it guards no secret)
    now = 0.0
    while True:
        now += source.expovariate(rate_per_s)
        yield now
