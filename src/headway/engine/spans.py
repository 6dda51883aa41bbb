"""The spans of requests, of the grabs that they were in, and of loads: made of the times that a gateway has.

    predict NAME ── queue, worker ┄┄▶ batch NAME        (┄ a link: a batch has a trace of its own, and links back)
    load NAME

They go to an exporter in a thread of its own. The way there is bounded: what finds it full is counted and dropped, and
no request ever waits for it. A request is traced if its caller's flag says so; one without a caller's trace, by lot.
"""

import logging
import random
import secrets
import threading
import time
from collections import deque
from typing import NamedTuple

import msgspec
from msgspec import Struct

from headway.engine.life import Flight
from headway.exporters import Sink, Span
from headway.observe import trace

log = logging.getLogger(__name__)

_MOST = 8192
"""Spans that wait for the exporter."""
_TOGETHER = 512
_PAUSE_S = 0.5
_CLOSE_S = 1.0
_TELL_S = 10.0
"""Lost spans are told at most so often."""
_NOT_OURS = frozenset({"ok", "caller", "cancelled"})
"""Outcomes that are no error of the server's."""


class Trace(NamedTuple):
    """A request's own span, and the caller's that it is part of ("" if there is none)."""

    trace_id: str
    span_id: str
    parent_id: str


class Spent(Struct, eq=False):
    """What a slot has told of the grab that it has."""

    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    batches: list[int] = []
    """Rows of each model call."""
    sent_at: float = 0.0
    span_id: str = ""
    trace_id: str = ""
    """Of the batch's span; "" where none of its requests is traced."""
    requests: list[tuple[str, str]] = []
    """Trace and span ids of those that are."""
    ended: list[tuple[Flight, int, float]] = []
    """Requests that were answered, how they ended and when: they are looked at when the grab is done."""

    def times(self) -> dict[str, float]:
        """As fields of a log line and of a span."""
        return {
            "decode_s": round(self.decode_s, 6),
            "compute_s": round(self.compute_s, 6),
            "encode_s": round(self.encode_s, 6),
            "rows": sum(self.batches),
        }


class Spans:
    """Makes spans and sends them away.

    Args:
        sink: where they go.
        share: of the requests without a caller's trace, how many are traced.
    """

    def __init__(self, sink: Sink, share: float) -> None:
        self._sink = sink
        self.share = share
        self._queue: deque[Span] = deque()
        self._lost = 0
        self._told_at = float("-inf")
        self._bell = threading.Event()
        self._is_closing = False
        self._epoch_s = time.time() - time.monotonic()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    # What happened; times are of the monotonic clock

    def begun(self, flight: Flight) -> None:
        """Give a request a span, if it is to be traced; the worker then knows it as its caller's."""
        headers = flight.ask.headers or {}
        parent = trace.read_parent(headers.get(trace.PARENT, ""))
        if not (parent.is_sampled if parent else random.random() < self.share):  # noqa: S311  (a lot, no secret)
            return
        trace_id, parent_id, flags = parent or (secrets.token_hex(16), "", 1)
        flight.trace = Trace(trace_id, secrets.token_hex(8), parent_id)
        own = str(trace.Parent(trace_id, flight.trace.span_id, flags))
        flight.ask = msgspec.structs.replace(flight.ask, headers={**headers, trace.PARENT: own})

    def ended(self, flight: Flight, outcome: str, now: float, spent: Spent | None) -> None:
        """A traced request is over."""
        self._request(flight, outcome, now)
        own, sent_at = flight.trace, flight.sent_at
        waited = Span("queue", own.trace_id, secrets.token_hex(8), parent_id=own.span_id)
        self._put(waited, flight.queued_at, sent_at or now)
        if sent_at:
            worked = Span("worker", own.trace_id, secrets.token_hex(8), parent_id=own.span_id)
            worked.links = () if spent is None else (_joined(spent, own, sent_at),)
            worked.error = _error(outcome)
            self._put(worked, sent_at, now)

    def refused(self, flight: Flight, outcome: str) -> None:
        """A traced request was refused before it could wait."""
        self._request(flight, outcome, flight.queued_at)

    def _request(self, flight: Flight, outcome: str, now: float) -> None:
        own: Trace = flight.trace
        question, model = flight.ask, flight.pool.name
        span = Span(f"{question.op} {model}", own.trace_id, own.span_id, is_server=True)
        span.parent_id, span.is_parent_remote = own.parent_id, True
        span.attributes = {
            "headway.model": model,
            "headway.protocol": question.codec,
            "headway.request_id": flight.request_id,
            "headway.outcome": outcome,
            "headway.request_bytes": flight.size,
            "headway.attempts": flight.attempts,
        }
        span.error = _error(outcome)
        self._put(span, flight.queued_at, now)

    def answered(self, model: str, spent: Spent, now: float) -> None:
        """A grab is done; nothing is made of one without a traced request."""
        if not spent.trace_id:
            return
        span = Span(f"batch {model}", spent.trace_id, spent.span_id, links=spent.requests)
        times = {f"headway.{name}": value for name, value in spent.times().items()}
        span.attributes = {"headway.model": model, "headway.calls": len(spent.batches), **times}
        self._put(span, spent.sent_at, now)

    def loaded(self, model: str, worker: int, load_s: float, now: float) -> None:
        """A worker has loaded a model."""
        span = Span(f"load {model}", secrets.token_hex(16), secrets.token_hex(8))
        span.attributes = {"headway.model": model, "headway.worker": worker}
        self._put(span, now - load_s, now)

    def close(self) -> None:
        """Send what waits, for a second at most."""
        self._is_closing = True
        self._bell.set()
        self._thread.join(_CLOSE_S)
        self._sink.close()

    # The way to the exporter

    def _put(self, span: Span, start: float, end: float) -> None:
        span.start_s, span.end_s = self._epoch_s + start, self._epoch_s + end
        waiting = len(self._queue)
        if waiting >= _MOST:
            self._lost += 1
            return
        self._queue.append(span)
        if waiting >= _TOGETHER:
            self._bell.set()

    def _run(self) -> None:
        while not self._is_closing:
            self._bell.wait(_PAUSE_S)
            self._bell.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._queue:
            spans = [self._queue.popleft() for _ in range(min(_TOGETHER, len(self._queue)))]
            try:
                is_sent = self._sink.export(spans)
            except Exception as e:  # the exporter's; who reads the log learns of it
                is_sent = False
                log.debug("export_failed", exc_info=e)
            self._lost += 0 if is_sent else len(spans)
            self._tell_lost()

    def _tell_lost(self) -> None:
        now = time.monotonic()
        if self._lost and now - self._told_at >= _TELL_S:
            lost, self._lost, self._told_at = self._lost, 0, now
            log.warning("spans_lost", extra={"spans": lost})


def _error(outcome: str) -> str:
    return "" if outcome in _NOT_OURS else outcome


def _joined(spent: Spent, own: Trace, sent_at: float) -> tuple[str, str]:
    """Note a traced request in the batch that it was in; the batch's own ids."""
    if not spent.trace_id:
        spent.trace_id, spent.span_id = secrets.token_hex(16), secrets.token_hex(8)
        spent.sent_at = sent_at
    spent.requests.append((own.trace_id, own.span_id))
    return spent.trace_id, spent.span_id
