"""Who looks at the requests of one model as they end: the log of slow ones, and spans. Off, each costs a comparison."""

import asyncio
import logging
import math
import time
from typing import Protocol

from headway.engine.frames import Replies
from headway.engine.life import Flight
from headway.engine.spans import Spans, Spent
from headway.observe.metrics import OUTCOMES
from headway.observe.slow import SlowLines
from headway.observe.trace import trace_id

log = logging.getLogger(__name__)

_TELL_S = 1.0
"""How many lines were left out is told so long after the first of them."""


class Link(Protocol):
    """What is written on a slot's link."""

    spent: Spent | None


class Witness:
    """Looks at the requests of one model in one gateway."""

    def __init__(self, loop: asyncio.AbstractEventLoop, model: str) -> None:
        self._loop = loop
        self._model = model
        self._lines = SlowLines()
        self._is_telling = False
        self._slow_s = math.inf
        self.spans: Spans | None = None
        self.is_watching = False
        self.from_s = math.inf
        """A request that took this long is looked at when it ends."""

    def adapt(self, slow_s: float) -> None:
        """Take on the setting; 0: no request is slow."""
        self._slow_s = slow_s or math.inf
        self._decide()

    def trace(self, spans: Spans) -> None:
        """Make spans of every request that is to be traced, from now on."""
        self.spans = spans
        self._decide()

    def _decide(self) -> None:
        self.from_s = self._slow_s if self.spans is None else 0.0
        self.is_watching = self.from_s < math.inf

    def begun(self, flight: Flight) -> None:
        """A request has come."""
        if self.spans is not None:
            self.spans.begun(flight)

    def refused(self, flight: Flight, outcome: int) -> None:
        """It was refused at once."""
        if self.spans is not None and flight.trace is not None:
            self.spans.refused(flight, OUTCOMES[outcome])

    def heard(self, link: Link, replies: Replies) -> None:
        """A slot tells what a part of its grab cost; its answers come next."""
        spent = link.spent
        if spent is None:
            spent = link.spent = Spent()
        spent.decode_s += replies.decode_s
        spent.compute_s += replies.compute_s
        spent.encode_s += replies.encode_s
        spent.batches += replies.batches or ()

    def ended(self, flight: Flight, outcome: int, now: float) -> None:
        """A request that took `from_s` or longer is over; what it cost is known when its grab is done."""
        spent: Spent | None = flight.slot.spent if flight.slot is not None else None
        if spent is None:
            self._look(flight, outcome, now, None)
        else:
            spent.ended.append((flight, outcome, now))

    def done(self, link: Link) -> None:
        """The grab is done, or its slot is gone."""
        spent, link.spent = link.spent, None
        if spent is None:
            return
        for flight, outcome, ended_at in spent.ended:
            self._look(flight, outcome, ended_at, spent)
        if self.spans is not None:
            self.spans.answered(self._model, spent, time.monotonic())

    def _look(self, flight: Flight, outcome: int, now: float, spent: Spent | None) -> None:
        if self.spans is not None and flight.trace is not None:
            self.spans.ended(flight, OUTCOMES[outcome], now, spent)
        if now - flight.queued_at < self._slow_s:
            return
        if self._lines.admits(now):
            self._write(flight, outcome, now, spent)
        elif not self._is_telling:
            self._is_telling = True
            self._loop.call_later(_TELL_S, self._tell_left_out)

    def _write(self, flight: Flight, outcome: int, now: float, spent: Spent | None) -> None:
        told = {
            "request_id": flight.request_id,
            "model": self._model,
            "outcome": OUTCOMES[outcome],
            "seconds": round(now - flight.queued_at, 6),
            "queue_s": round((flight.sent_at or now) - flight.queued_at, 6),
            "bytes": flight.size,
        }
        if spent is not None:
            told |= spent.times()
        if trace := trace_id(flight.ask.headers):
            told["trace_id"] = trace
        log.warning("slow_request", extra=told)

    def _tell_left_out(self) -> None:
        self._is_telling = False
        left_out = self._lines.take_left_out()
        log.warning("slow_requests_left_out", extra={"model": self._model, "requests": left_out})
