"""What to ask, where, how fast and for how long; what was seen; plain data, which a file can keep."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct, field

from headway.traffic.histogram import Histogram, merged

FORMAT = 1
"""Of saved runs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    requests: Sequence[bytes]
    """Whole requests, head and body; asked in turn."""
    connections: int
    """Most that are open at a time."""
    duration_s: float
    """Of what is measured, after the warm-up."""
    warm_up_s: float = 0.0
    rate_per_s: float = 0.0
    """Open loop at this rate; 0 is a closed loop."""
    is_even: bool = False
    """Open loop: evenly spaced, rather than at random."""
    seed: int = 0
    count: int = 0
    """End after this many measured requests; 0 is no limit."""
    timeout_s: float = 30.0
    is_checked: bool = False
    """Whether each answer's body is compared with the first to the same request."""
    slice_s: float = 1.0
    """How long a slice of the record is."""


class Slice(Struct):
    """What ended within one stretch of time."""

    latency: Histogram = field(default_factory=Histogram)
    """Of good answers, and of requests that were given up: those with the time that they had waited."""
    answered: int = 0
    """Answers with a status from 200 to 299."""
    errors: dict[str, int] = field(default_factory=dict)
    """All else, by status or by what happened."""


class Run(Struct):
    """What was seen, and of what."""

    headway_bench: int = FORMAT
    target: str = ""
    protocol: str = ""
    at: str = ""
    """When it began: ISO 8601, UTC."""
    connections: int = 0
    rate_per_s: float = 0.0
    duration_s: float = 0.0
    slice_s: float = 1.0
    elapsed_s: float = 0.0
    """From the end of the warm-up to the last answer."""
    slices: list[Slice] = field(default_factory=list)
    lateness: Histogram = field(default_factory=Histogram)
    """Open loop: how late the generator itself sent while a connection was free."""
    queued: int = 0
    """Open loop: requests that had to wait because every connection was busy."""
    cpu_s: float = 0.0
    """The generator's own."""
    wrong: int = 0
    """Good answers that differ from the first to the same request, where that was checked."""
    retry_after_s: float = 0.0
    """The longest that an answer asked for."""
    was_interrupted: bool = False

    @property
    def latency(self) -> Histogram:
        """Of the whole run."""
        return merged(part.latency for part in self.slices)

    @property
    def answered(self) -> int:
        """Good answers."""
        return sum(part.answered for part in self.slices)

    @property
    def errors(self) -> dict[str, int]:
        """All else, by status or by what happened; the most frequent first."""
        found: dict[str, int] = {}
        for part in self.slices:
            for name, count in part.errors.items():
                found[name] = found.get(name, 0) + count
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    @property
    def error_share(self) -> float:
        """Errors and wrong answers among all that ended."""
        bad = sum(self.errors.values())
        return (bad + self.wrong) / (self.answered + bad) if self.answered + bad else 0.0

    @property
    def throughput(self) -> float:
        """Good answers a second."""
        return self.answered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def full_slices(self) -> list[Slice]:
        """Those that lie wholly within what was asked for; who was answered after is in the last one's latency."""
        within = min(self.duration_s or self.elapsed_s, self.elapsed_s)
        count = int(within / self.slice_s + 1e-6)
        full, rest = self.slices[:count], self.slices[count:]
        if full and rest:
            last = full[-1]
            latency = merged([last.latency, *(part.latency for part in rest)])
            full[-1] = Slice(latency, last.answered, last.errors)
        return full

    def doubts(self) -> list[str]:
        """Why the figures tell of the generator rather than of the service."""
        found = []
        late_ns, p99_ns = self.lateness.quantile(0.99), self.latency.quantile(0.99)
        if late_ns > 1_000_000 and late_ns > p99_ns / 10:
            found.append(
                f"requests were sent late: p99 {late_ns / 1e6:.1f} ms, and latency counts from when they were due"
            )
        if self.elapsed_s >= 1 and self.cpu_s > 0.9 * self.elapsed_s:
            found.append(f"the generator used {self.cpu_s / self.elapsed_s:.0%} of a core itself")
        return found
