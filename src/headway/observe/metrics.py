"""Counters in memory that all processes of a server share: one writes a cell, everybody reads it.

Each gateway is the only writer of its own block, so nothing is locked and nobody is asked: any
process answers `/metrics` by reading, and what a gateway had counted survives its `kill -9`. The
supervisor has a block too, for restarts. A block holds the cells of the gateway itself, then those
of each model; a cell is a float64. Not here: the text that Prometheus reads (`exposition`).
"""

import mmap
import os
import sys
import tempfile
import time
from bisect import bisect_left
from itertools import accumulate
from typing import TypedDict

from headway import errors
from headway.errors import HeadwayError

OUTCOMES = ("ok", "caller", "busy", "deadline", "model", "worker", "cancelled", "internal")
"""How a request can end; an index into this tuple is what `Tally.answered` takes."""

SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the buckets of a time."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Upper bounds of the buckets of a grab and of a batch."""

_CALLER, _BUSY = OUTCOMES.index("caller"), OUTCOMES.index("busy")
CAUSES = ("memory", "signal", "exit", "killed")
"""Why a worker had to be started again: the kernel ended it for want of memory, it died of another signal, it ended by
itself, or the supervisor ended it, because it hung."""

_BLAME: dict[type[HeadwayError], str] = {
    errors.Cancelled: "cancelled",
    errors.CallerError: "caller",
    errors.BusyError: "busy",
    errors.DeadlineError: "deadline",
    errors.ModelCrashed: "worker",
    errors.ModelError: "model",
    errors.WorkerError: "worker",
    HeadwayError: "internal",
}


def outcome_of(error: BaseException | None) -> int:
    """The index in OUTCOMES of a request that ended with this error; None is an answer."""
    if error is None:
        return 0
    found = (_BLAME[c] for c in type(error).__mro__ if c in _BLAME)
    return OUTCOMES.index(next(found, "internal"))


# The cells of one model. A histogram is its buckets (one more than bounds), then the sum of what
# was seen; the sum of `latency` is kept by outcome, in `request_s`.
_WIDTHS = {
    "requests": len(OUTCOMES),
    "request_s": len(OUTCOMES),
    "latency": len(SECONDS) + 1,
    "queue": len(SECONDS) + 2,
    "grab": len(SIZES) + 2,
    "batch": len(SIZES) + 2,
    "decode_s": 1,
    "compute_s": 1,
    "encode_s": 1,
    "restarts": len(CAUSES),
    "shortages": 1,
    "ejections": 1,
    "queue_depth": 1,
    "queue_bytes": 1,
    "cache_bytes": 1,
    "cache_waiting": 1,
    "in_flight": 1,
    "last_ms": 1,
    "cache_hits": 1,
    "cache_shared": 1,
    "cache_misses": 1,
    "cache_evictions": 1,
    "cache_rows": 1,
}
_STARTS = dict(zip(_WIDTHS, accumulate(_WIDTHS.values(), initial=0), strict=False))
_MODEL_CELLS = sum(_WIDTHS.values())
_GAUGES = slice(_STARTS["queue_depth"], _STARTS["in_flight"] + 1)
_LAST_MS = _STARTS["last_ms"]
# The cells of the gateway itself.
_OPEN, _ACCEPTED, _REFUSED, _RESTARTS, _LOST = range(5)
_GATEWAY_CELLS = 8
_CELL_BYTES = 8
_LINE_CELLS = 64 // _CELL_BYTES


class _Cell:
    """A gauge: set, not added."""

    def __init__(self, name: str) -> None:
        self._at = _STARTS[name]

    def __get__(self, tally: "Tally", owner: type | None = None) -> float:
        return tally.cells[self._at]

    def __set__(self, tally: "Tally", value: float) -> None:
        tally.cells[self._at] = value


class Tally:
    """What one process counts of one model; the methods are on the path of each request."""

    __slots__ = ("cells",)

    queue_depth = _Cell("queue_depth")
    """Requests that wait now."""
    queue_bytes = _Cell("queue_bytes")
    """Bytes of bodies that wait now."""
    in_flight = _Cell("in_flight")
    """Requests that a worker has now."""
    cache_bytes = _Cell("cache_bytes")
    """Bytes of answers that are kept now."""
    cache_waiting = _Cell("cache_waiting")
    """Requests that wait for the answer of an equal one now; they are in no queue."""

    def __init__(self, cells: "memoryview[float]") -> None:
        self.cells = cells

    def answered(
        self,
        outcome: int,
        latency_s: float,
        queue_s: float | None = None,
        # Bound here because a local is found faster than a global.
        *,
        _seconds: int = _STARTS["request_s"],
        _latency: int = _STARTS["latency"],
        _queue: int = _STARTS["queue"],
        _queue_sum: int = _STARTS["queue"] + len(SECONDS) + 1,
    ) -> None:
        """Count a request that has ended, whatever its end.

        Args:
            outcome: index in OUTCOMES, from `outcome_of`.
            latency_s: from its last byte read to the end.
            queue_s: how long it waited for a slot; None if it never got one.
        """
        cells = self.cells
        cells[outcome] += 1.0
        cells[_seconds + outcome] += latency_s
        cells[_latency + bisect_left(SECONDS, latency_s)] += 1.0
        if queue_s is not None:
            cells[_queue + bisect_left(SECONDS, queue_s)] += 1.0
            cells[_queue_sum] += queue_s

    @property
    def good(self) -> float:
        """Requests that a worker answered, and that no model failed at."""
        return self.cells[0] + self.cells[_CALLER] - self._spared

    @property
    def ended(self) -> float:
        """Requests that were queued and have ended, without those that were refused."""
        return sum(self.cells[: len(OUTCOMES)]) - self.cells[_BUSY] - self._spared

    @property
    def _spared(self) -> float:
        """Requests that another one's answer answered."""
        return self.cells[_STARTS["cache_hits"]] + self.cells[_STARTS["cache_shared"]]

    def grabbed(self, requests: int) -> None:
        """Count what a slot took at once."""
        self._see("grab", requests)

    def executed(self, rows: int) -> None:
        """Count one model call."""
        self._see("batch", rows)
        self.cells[_LAST_MS] = time.time() * 1000 // 1

    def spent(self, decode_s: float, compute_s: float, encode_s: float) -> None:
        """Count the time that a worker spent on the model, and on decoding and encoding around it."""
        cells = self.cells
        cells[_STARTS["decode_s"]] += decode_s
        cells[_STARTS["compute_s"]] += compute_s
        cells[_STARTS["encode_s"]] += encode_s

    def fell_short(self, calls: int) -> None:
        """Count model calls that memory did not hold."""
        self.cells[_STARTS["shortages"]] += calls

    def hit(self) -> None:
        """Count a request that a kept answer answered."""
        self.cells[_STARTS["cache_hits"]] += 1.0

    def shared(self) -> None:
        """Count a request that the answer of an equal one under way answered."""
        self.cells[_STARTS["cache_shared"]] += 1.0

    def missed(self) -> None:
        """Count a request that was looked up, and asked."""
        self.cells[_STARTS["cache_misses"]] += 1.0

    def kept(self, total_bytes: int, evictions: int) -> None:
        """Tell what is kept after one answer more, and count those that it pushed out."""
        self.cache_bytes = float(total_bytes)
        self.cells[_STARTS["cache_evictions"]] += evictions

    def recalled(self, rows: int) -> None:
        """Count rows that a worker had the answers of."""
        self.cells[_STARTS["cache_rows"]] += rows

    def ejected(self) -> None:
        """Count a worker that was taken out of rotation."""
        self.cells[_STARTS["ejections"]] += 1.0

    def restarted(self, cause: str) -> None:
        """Count a worker that had to be started again, by one of CAUSES; only the supervisor does."""
        self.cells[_STARTS["restarts"] + CAUSES.index(cause)] += 1.0

    def _see(self, name: str, size: int) -> None:
        start = _STARTS[name]
        self.cells[start + bisect_left(SIZES, size)] += 1.0
        self.cells[start + len(SIZES) + 1] += size


class GatewayTally:
    """What one gateway counts of its connections."""

    __slots__ = ("_cells",)

    def __init__(self, cells: "memoryview[float]") -> None:
        self._cells = cells

    def opened(self) -> None:
        """Count a connection that was accepted."""
        self._cells[_OPEN] += 1.0
        self._cells[_ACCEPTED] += 1.0

    def closed(self) -> None:
        """Take an accepted connection off the open ones."""
        self._cells[_OPEN] -= 1.0

    def refused(self) -> None:
        """Count a connection that was turned away at the limit."""
        self._cells[_REFUSED] += 1.0

    def restarted(self) -> None:
        """Count a gateway that had to be started again; only the supervisor does."""
        self._cells[_RESTARTS] += 1.0

    def lost(self, connections: int) -> None:
        """Count connections that ended with a gateway that died; only the supervisor does."""
        self._cells[_LOST] += connections


class Histogram(TypedDict):
    """One histogram, summed over the gateways."""

    bounds: tuple[float, ...]
    counts: list[float]
    """One more than bounds: the last has no bound."""
    sum: float


class Totals:
    """The cells of one model, summed over all blocks."""

    def __init__(self, cells: list[float]) -> None:
        self._cells = cells

    def __getitem__(self, name: str) -> float:
        return self._cells[_STARTS[name]]

    def outcomes(self) -> dict[str, float]:
        """Requests that ended, by outcome."""
        return dict(zip(OUTCOMES, self._cells, strict=False))

    def seconds(self) -> dict[str, float]:
        """Time that the requests took, by outcome."""
        return dict(zip(OUTCOMES, self._part("request_s"), strict=True))

    def restarts(self) -> dict[str, float]:
        """Workers that had to be started again, by cause."""
        return dict(zip(CAUSES, self._part("restarts"), strict=True))

    def histogram(self, name: str) -> Histogram:
        """The histogram `latency`, `queue`, `grab` or `batch`."""
        part = self._part(name)
        if name == "latency":  # its sum is kept by outcome
            return {"bounds": SECONDS, "counts": part, "sum": sum(self._part("request_s"))}
        bounds = SECONDS if name == "queue" else SIZES
        return {"bounds": bounds, "counts": part[:-1], "sum": part[-1]}

    def _part(self, name: str) -> list[float]:
        return self._cells[_STARTS[name] : _STARTS[name] + _WIDTHS[name]]


class Board:
    """All blocks, mapped by every process; places are numbered as the models are."""

    def __init__(self, fd: int, gateways: int, models: int, spare: int) -> None:
        self.fd = fd
        """To be inherited by the processes that attach to it."""
        self.gateways = gateways
        self.supervisor = gateways
        """The number of the supervisor's own block."""
        self.places = models + spare
        self.unrouted = models + spare
        """The place of requests that reached no model."""
        self._block_cells = _block_cells(self.places)
        self._cells = memoryview(mmap.mmap(fd, self._size_bytes())).cast("B").cast("d")

    @classmethod
    def create(cls, gateways: int, models: int, spare: int = 16) -> "Board":
        """Make the shared memory, zeroed.

        Args:
            gateways: how many gateways will write.
            models: how many models are served from the start.
            spare: places for models that a rollout adds later.
        """
        fd = _open_memory()
        os.ftruncate(fd, (gateways + 1) * _block_cells(models + spare) * _CELL_BYTES)
        return cls(fd, gateways, models, spare)

    @classmethod
    def attach(cls, fd: int, gateways: int, models: int, spare: int = 16) -> "Board":
        """Map the memory that another process made with the same three numbers.

        Raises:
            InternalError: the memory is not of the size that these numbers give.
        """
        found = os.fstat(fd).st_size
        expected = (gateways + 1) * _block_cells(models + spare) * _CELL_BYTES
        if found != expected:
            raise errors.InternalError(f"the counters take {found} bytes, expected {expected}")
        return cls(fd, gateways, models, spare)

    def tally(self, gateway: int, model: int) -> Tally:
        """The cells that one gateway (or `supervisor`) writes of one model (or `unrouted`)."""
        return Tally(self._model(gateway, model))

    def connections(self, gateway: int) -> GatewayTally:
        """The cells that one gateway writes of its connections."""
        return GatewayTally(self._gateway(gateway))

    def sum(self, model: int) -> list[float]:
        """The cells of one model, summed over all blocks."""
        blocks = [self._model(g, model).tolist() for g in range(self.gateways + 1)]
        cells = [sum(column) for column in zip(*blocks, strict=True)]
        cells[_LAST_MS] = max(block[_LAST_MS] for block in blocks)
        return cells

    def totals(self, model: int) -> Totals:
        """What is known of one model over all processes, by name."""
        return Totals(self.sum(model))

    def gateway_totals(self) -> dict[str, float]:
        """What is known of the gateways: connections open, accepted, refused and lost, restarts."""
        blocks = [self._gateway(g).tolist() for g in range(self.gateways + 1)]
        sums = [sum(column) for column in zip(*blocks, strict=True)]
        return dict(zip(("open", "accepted", "refused", "restarts", "lost"), sums, strict=False))

    def clear_gauges(self, gateway: int) -> int:
        """Zero what a dead gateway can no longer take back; its counts stay.

        Returns:
            How many connections it had open.
        """
        lost = int(self._gateway(gateway)[_OPEN])
        self._gateway(gateway)[_OPEN] = 0.0
        for model in range(self.places + 1):
            cells = self._model(gateway, model)
            for i in range(_GAUGES.start, _GAUGES.stop):
                cells[i] = 0.0
        return lost

    def _gateway(self, gateway: int) -> "memoryview[float]":
        if not 0 <= gateway <= self.gateways:
            raise IndexError(f"there is no block {gateway}, the last is {self.gateways}")
        start = gateway * self._block_cells
        return self._cells[start : start + _GATEWAY_CELLS]

    def _model(self, gateway: int, model: int) -> "memoryview[float]":
        if not (0 <= gateway <= self.gateways and 0 <= model <= self.places):
            raise IndexError(f"there is no place for block {gateway}, model {model}")
        start = gateway * self._block_cells + _GATEWAY_CELLS + model * _MODEL_CELLS
        return self._cells[start : start + _MODEL_CELLS]

    def _size_bytes(self) -> int:
        return (self.gateways + 1) * self._block_cells * _CELL_BYTES


def stats(board: Board, model: int) -> dict[str, float | int]:
    """What one model has done, under the names that `headway.protocols.Stats` has for it."""
    totals = board.totals(model)
    requests, seconds = totals.outcomes(), totals.seconds()
    batch = totals.histogram("batch")
    return {
        "inferences": int(batch["sum"]),
        "executions": int(sum(batch["counts"])),
        "successes": int(requests["ok"]),
        "failures": int(sum(requests.values()) - requests["ok"]),
        "success_s": seconds["ok"],
        "fail_s": sum(seconds.values()) - seconds["ok"],
        "queue_s": totals.histogram("queue")["sum"],
        "decode_s": totals["decode_s"],
        "compute_s": totals["compute_s"],
        "encode_s": totals["encode_s"],
        "last_inference_ms": int(totals["last_ms"]),
        "cache_hits": int(totals["cache_hits"] + totals["cache_shared"]),
        "cache_misses": int(totals["cache_misses"]),
    }


def _block_cells(places: int) -> int:
    """Cells of one block, in whole cache lines, so that two gateways never write the same line."""
    cells = _GATEWAY_CELLS + (places + 1) * _MODEL_CELLS
    return -(-cells // _LINE_CELLS) * _LINE_CELLS


def _open_memory() -> int:
    if sys.platform == "linux":
        return os.memfd_create("headway-counters")
    with tempfile.TemporaryFile() as file:  # macOS: a file without a name
        return os.dup(file.fileno())
