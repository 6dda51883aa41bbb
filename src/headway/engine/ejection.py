"""Which workers of a model are taken out of rotation because they fail where the others answer. Pure, told the time.

A worker is ejected after `ROW` failed grabs in a row, with not one good answer between them, unless that may be
chance: the grabs of a model that fails at many inputs fail in rows, too. So the share of requests that failed at
the others since the row began, p, is raised to the row's length; that must be below `CHANCE`. Where all fail, p is
near 1 and nobody is ejected: it is the model.

It is out for `OUT_S`, twice in a row for twice as long, up to `LONGEST_S`; never more than half of the workers are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

ROW = 5
OUT_S = 30.0
LONGEST_S = 300.0
CHANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of a model that have ended so far, over all of its workers."""

    good: float
    failed: float


@dataclass(slots=True)
class Record:
    """What is known of a worker that has failed."""

    began: Counts
    """The model's counts when the row began."""
    grabs: int = 0
    """Failed ones in a row."""
    requests: int = 0
    """That failed in them."""
    times: int = 0
    """Ejections in a row, without a good answer between them."""
    until: float = 0.0
    """When it is let in again; 0.0 while it is in."""


class Ejections:
    """The workers of one model that have failed, and those that are out."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}

    @property
    def out(self) -> int:
        """How many are out of rotation."""
        return sum(1 for record in self._records.values() if record.until)

    def failed(self, worker: int, requests: int, counts: Counts, others: int, now: float) -> float:
        """A worker has failed at a grab.

        Args:
            worker: its number.
            requests: how many it failed at.
            counts: the model's, with these.
            others: workers that are in rotation besides it.
            now: seconds of the monotonic clock.

        Returns:
            For how many seconds it is out; 0.0 if it stays.
        """
        record = self._records.get(worker)
        if record is None:
            record = self._records[worker] = Record(counts)
        if not record.grabs:
            record.began = Counts(counts.good, counts.failed - requests)
        record.grabs += 1
        record.requests += requests
        has_room = 2 * (self.out + 1) <= others + 1 + self.out
        if record.until or not has_room or not _is_ill(record, counts):
            return 0.0
        record.times += 1
        record.grabs = record.requests = 0
        out_s = min(OUT_S * record.times, LONGEST_S)
        record.until = now + out_s
        return out_s

    def well(self, worker: int) -> None:
        """A worker has given a good answer; one that is out may still give some, and stays out."""
        record = self._records.get(worker)
        if record is not None and not record.until:
            del self._records[worker]

    def left(self, worker: int) -> None:
        """A worker has ended."""
        self._records.pop(worker, None)

    def due(self, others: int, now: float) -> Iterator[int]:
        """Let in whose time is over, and who is too many among those who are out; the longest out first.

        Args:
            others: workers that are in rotation.
            now: seconds of the monotonic clock.
        """
        out = sorted((r.until, worker) for worker, r in self._records.items() if r.until)
        for n, (until, worker) in enumerate(out):
            if until <= now or 2 * (len(out) - n) > others + len(out):
                record = self._records[worker]
                record.until = 0.0
                record.grabs = record.requests = 0  # of what came while it was out
                yield worker


def _is_ill(record: Record, counts: Counts) -> bool:
    """Whether a row is long enough, and too long to be chance."""
    if record.grabs < ROW:
        return False
    good = counts.good - record.began.good
    failed = max(0.0, counts.failed - record.began.failed - record.requests)
    share = (failed + 1) / (good + failed + 2)  # never 0 or 1, however little is known
    return bool(share**record.grabs <= CHANCE)
