"""The queue of one model in one gateway, and what a free slot takes from it. Pure: it is told the time.

A slot takes its fair share, ceil(queued / slots), within `max_batch` requests and `max_batch_bytes`: there is no
window to wait for and no tick. Higher priorities go first, each in the order of arrival. A suspect, which was in a
worker that died, waits apart: it must be alone in the next one. The queue is bounded in requests and bytes; time
bounds it from outside (`deadlines`), and so do callers who leave (`leavers`); what nobody waits for on a connection
knows nothing of those.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from headway.engine.leavers import UNBOUND
from headway.engine.life import Flight, State

PRIORITIES = {"high": 0, "normal": 1, "low": 2}


@dataclass(slots=True)
class Limits:
    """Bounds of a queue and of a grab; requests and bytes of bodies."""

    max_queue: int = 2048
    max_queue_bytes: int = 256 * 2**20
    max_batch: int = 64
    max_batch_bytes: int = 16 * 2**20
    hold_s: float = 0.0
    """How long a free slot may wait for a fuller grab."""


class Batcher:
    """The flights that wait for a slot."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.most = UNBOUND
        """Requests that may wait, where fewer than the limits say."""
        self.queued = 0
        self.queued_bytes = 0
        self.patient = 0
        """Of the queued ones, those that nobody waits for on a connection."""
        self._lanes: tuple[deque[Flight], ...] = tuple(deque() for _ in PRIORITIES)
        self._dead = 0
        self._suspects: deque[Flight] = deque()

    @property
    def suspects(self) -> int:
        """Flights that were in a worker that died; each must be alone in the next one."""
        return len(self._suspects)

    def offer(self, flight: Flight) -> str:
        """Queue a flight, unless the queue is full.

        Returns:
            "" if it was queued, else the bound that it met, in words.
        """
        limits = self.limits
        if self.queued >= limits.max_queue or (self.queued >= self.most and self._is_over(flight)):
            return f"{self.queued} requests wait"
        if self.queued_bytes + flight.size > limits.max_queue_bytes and self.queued:
            return f"{self.queued_bytes} bytes wait"
        self._lanes[flight.priority].append(flight)
        self.queued += 1
        self.queued_bytes += flight.size
        if flight.is_patient:
            self.patient += 1
        return ""

    def _is_over(self, flight: Flight) -> bool:
        """Whether `most` wait already, of those that somebody waits for, as for this one."""
        return not flight.is_patient and self.queued - self.patient >= self.most

    def put_back(self, flight: Flight) -> None:
        """Queue a flight again that was in a worker that died: for `take_suspect`, whatever the bounds."""
        self._suspects.append(flight)
        self.queued += 1
        self.queued_bytes += flight.size
        if flight.is_patient:
            self.patient += 1

    def withdraw(self, flight: Flight) -> None:
        """Forget a queued flight that is done; it leaves its lane when that is next swept."""
        self.queued -= 1
        self.queued_bytes -= flight.size
        self.patient -= flight.is_patient
        flight.body = b""
        self._dead += 1
        if self._dead > self.queued + 64:
            self._sweep()

    def take(self, slots: int, now: float) -> list[Flight]:
        """What a free slot takes now, one of `slots`; empty if nothing waits, or while it is held.

        The flights taken are still QUEUED: the caller sends them on.
        """
        if not self.queued or (self.limits.hold_s and self.hold_until(now) > now):
            return []
        share = min(-(-self.queued // max(slots, 1)), self.limits.max_batch)
        room = self.limits.max_batch_bytes
        grab: list[Flight] = []
        for lane in self._lanes:
            while lane and len(grab) < share:
                flight = lane[0]
                if flight.state is not State.QUEUED:
                    self._dead -= 1
                elif grab and flight.size > room:
                    return self._taken(grab)
                else:
                    grab.append(flight)
                    room -= flight.size
                lane.popleft()
        return self._taken(grab)

    def take_suspect(self) -> Flight | None:
        """The first flight that must be alone in its worker."""
        while self._suspects:
            flight = self._suspects.popleft()
            if flight.state is State.QUEUED:
                return self._taken([flight])[0]
            self._dead -= 1
        return None

    def hold_until(self, now: float) -> float:
        """Until when a free slot waits for more; in the past or now when it need not."""
        if self.queued >= self.limits.max_batch:
            return now
        oldest = min((f.queued_at for f in self._heads()), default=now)
        return oldest + self.limits.hold_s

    def surplus(self) -> list[Flight]:
        """What waits beyond `most`, the oldest of the least urgent first. They are still queued."""
        count = self.queued - self.patient - self.most
        if count <= 0:
            return []
        lanes = reversed(self._lanes)
        queued = (f for lane in lanes for f in lane if f.state is State.QUEUED)
        waiting = (f for f in queued if not f.is_patient)
        return list(islice(waiting, count))

    def drain(self) -> list[Flight]:
        """Take all that waits."""
        lanes = (self._suspects, *self._lanes)
        flights = [f for lane in lanes for f in lane if f.state is State.QUEUED]
        for lane in lanes:
            lane.clear()
        self.queued = self.queued_bytes = self.patient = self._dead = 0
        return flights

    def _taken(self, grab: list[Flight]) -> list[Flight]:
        self.queued -= len(grab)
        self.queued_bytes -= sum(f.size for f in grab)
        if self.patient:
            self.patient -= sum(f.is_patient for f in grab)
        return grab

    def _heads(self) -> Iterator[Flight]:
        for lane in self._lanes:
            head = next((f for f in lane if f.state is State.QUEUED), None)
            if head is not None:
                yield head

    def _sweep(self) -> None:
        for lane in (self._suspects, *self._lanes):
            alive = [f for f in lane if f.state is State.QUEUED]
            lane.clear()
            lane.extend(alive)
        self._dead = 0
