"""Counts of durations in buckets that grow with them: any number of them in little memory, each known to 0.4 %.

Whole numbers below 256 have a bucket of their own; above, each power of two has 128. Pure: no clock.
"""

import math
from collections.abc import Iterable

from msgspec import Struct, field


class Histogram(Struct):
    """Durations in whole nanoseconds."""

    counts: dict[int, int] = field(default_factory=dict)
    """By bucket."""
    count: int = 0
    total_ns: int = 0
    most_ns: int = 0

    def add(self, ns: int) -> None:
        """Count one duration, 0 or more."""
        if ns < 256:
            bucket = ns
        else:
            shift = ns.bit_length() - 8
            bucket = (shift << 7) + (ns >> shift)
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += ns
        if ns > self.most_ns:  # noqa: PLR1730  (max takes four times as long)
            self.most_ns = ns

    def merge(self, other: "Histogram") -> None:
        """Add all that another has counted."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total_ns += other.total_ns
        self.most_ns = max(self.most_ns, other.most_ns)

    def quantile(self, share: float) -> int:
        """The duration that this share of them does not exceed (nearest rank); 0 where there is none."""
        rank = math.ceil(share * self.count)
        if rank >= self.count:
            return self.most_ns
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                break
        return min(middle(bucket), self.most_ns)

    @property
    def mean_ns(self) -> float:
        """The exact mean."""
        return self.total_ns / self.count if self.count else 0.0


def merged(parts: Iterable[Histogram]) -> Histogram:
    """One histogram of all of them."""
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return whole


def lower(bucket: int) -> int:
    """The least duration of a bucket."""
    if bucket < 256:
        return bucket
    shift = (bucket >> 7) - 1
    return (bucket - (shift << 7)) << shift


def middle(bucket: int) -> int:
    """The duration that stands for a bucket's."""
    return (lower(bucket) + lower(bucket + 1) - 1) // 2
