"""How one run differs from another, and whether that is more than the noise within the two. Pure, seeded.

Theory of operation. Each run is cut into blocks of time, since neighbouring requests resemble each other and can't
count as independent. The blocks of each run are drawn again with replacement (a block bootstrap), which tells how far
a figure wanders by chance. From that spread of the logarithm of the ratio comes a t interval with few degrees of
freedom, widened for the small number of blocks; with the bootstrap's own quantiles it would be too narrow. What it
can't know: how much the machine changes between runs.
"""

import itertools
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headway.traffic.histogram import merged
from headway.traffic.plan import Run, Slice

_BLOCKS = 30
"""Most blocks of a run."""
_LEAST_BLOCKS = 5
_DRAWS = 300
_Z = 1.959964
"""Of the normal distribution, for 95 %."""
Figure = Callable[[Sequence[Slice], float], float]
"""A figure of some slices of so many seconds each."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two runs."""

    name: str
    before: float
    after: float
    low: float
    """The 95 % interval of after / before - 1; NaN where there is none."""
    high: float

    @property
    def change(self) -> float:
        """After / before - 1; NaN where there is none."""
        return self.after / self.before - 1 if self.before > 0 else math.nan

    @property
    def is_seen(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.low > 0 or self.high < 0


def _quantile(share: float) -> Figure:
    return lambda slices, slice_s: merged(s.latency for s in slices).quantile(share) / 1e6


def _throughput(slices: Sequence[Slice], slice_s: float) -> float:
    return sum(s.answered for s in slices) / (len(slices) * slice_s)


def _mean(slices: Sequence[Slice], slice_s: float) -> float:
    return merged(s.latency for s in slices).mean_ns / 1e6


FIGURES: tuple[tuple[str, Figure], ...] = (
    ("answers/s", _throughput),
    ("mean ms", _mean),
    ("p50 ms", _quantile(0.5)),
    ("p90 ms", _quantile(0.9)),
    ("p99 ms", _quantile(0.99)),
)


def compare(before: Run, after: Run, seed: int = 0) -> list[Difference]:
    """Each figure of two runs, over the slices that are whole."""
    olds, news = before.full_slices(), after.full_slices()
    found = []
    for name, figure in FIGURES:
        old = figure(olds, before.slice_s) if olds else 0.0
        new = figure(news, after.slice_s) if news else 0.0
        low = high = math.nan
        if min(len(olds), len(news)) >= _LEAST_BLOCKS and old > 0 and new > 0:
            first, second = _blocks(olds), _blocks(news)
            error = math.hypot(
                _spread(first, before.slice_s, figure, seed),
                _spread(second, after.slice_s, figure, seed + 1),
            )
            half = _t(min(len(first), len(second)) - 1) * error
            ratio = math.log(new / old)
            low, high = math.expm1(ratio - half), math.expm1(ratio + half)
        found.append(Difference(name, old, new, low, high))
    return found


def _blocks(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Runs of neighbouring slices, as equal as can be."""
    count = min(_BLOCKS, len(slices))
    ends = [len(slices) * i // count for i in range(count + 1)]
    return [list(slices[start:end]) for start, end in itertools.pairwise(ends)]


def _spread(blocks: Sequence[list[Slice]], slice_s: float, figure: Figure, seed: int) -> float:
    """The standard error of the figure's logarithm."""
    source = random.Random(seed)  # noqa: S311  (it guards no secret)
    whole = [_one(block) for block in blocks]
    width_s = slice_s * sum(map(len, blocks)) / len(blocks)
    draws = [figure(source.choices(whole, k=len(whole)), width_s) for _ in range(_DRAWS)]
    logs = [math.log(max(value, 1e-12)) for value in draws]
    return statistics.stdev(logs) * math.sqrt(len(blocks) / (len(blocks) - 1))


def _one(block: Sequence[Slice]) -> Slice:
    """A block's slices as one."""
    return Slice(merged(s.latency for s in block), sum(s.answered for s in block))


def _t(freedom: int) -> float:
    """Student's t for 95 %, by the expansion of Cornish and Fisher (within 0.5 % from 4 degrees on)."""
    z, n = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
