"""One job: it takes its answer where a connection would, and gives it to who waits, if anybody does.

    queued ──▶ running ──▶ succeeded, failed
       └──────────┴──────▶ canceled

It does no I/O: what is to be kept and told when it has ended is up to `jobs`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

from headway import errors
from headway.engine.life import Flight
from headway.errors import HeadwayError
from headway.protocols import Ask, Codec, Job, Queueing, Reply, Terms, rendered
from headway.server.asked import Asked
from headway.server.exchange import Exchange
from headway.server.webhooks import Teller

log = logging.getLogger(__name__)


def _nothing(keeper: "Keeper") -> None:
    """Nobody is told."""


class Keeper:
    """A job of this gateway; to the engine, an `Exchange`.

    Args:
        id: of the job.
        asked: how it was asked for, and by whom.
        ask: the same, for the codec.
        codec: of its protocol.
        terms: what its caller says of it.
    """

    def __init__(self, id: str, asked: Asked, ask: Ask, codec: Codec, terms: Terms) -> None:
        self.token = 0
        self.job = Job(id, ask.model, time.time())
        """What codecs see of it."""
        self.asked = asked
        self.ask = ask
        self.words: Queueing = codec  # type: ignore[assignment]  # a route of it has to do with jobs
        self.terms = terms
        self.flight: Flight | None = None
        self.exchange: Exchange | None = asked.exchange
        """Who waits for the answer."""
        self.writes = asyncio.Lock()
        """Its record is written by one at a time."""
        self.is_async = False
        """Its caller does not wait for the answer."""
        self.is_kept = False
        """It has a record."""
        self.is_given = False
        """Who has waited for the answer has it; its webhook is told the same."""
        self.teller: Teller | None = None
        """Tells the place that its caller named."""
        self.trace: dict[str, str] = {}
        """The headers of its trace."""
        self.limit_bytes = 0
        """Of an answer in parts."""
        self.stop: Callable[[Keeper], None] = _nothing
        """Called when nobody wants it any more."""
        self.over: Callable[[Keeper], None] = _nothing
        """Called once, when it has ended."""
        self._codec = codec
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_streaming = False
        """Somebody takes the answer piece by piece."""

    # What the engine calls

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take the whole answer."""
        if self.job.has_ended:
            return
        is_good = reply.status < 400
        if is_good:
            self.begin()
        self.look()
        self.job.reply = reply
        if is_good:
            self._tell_output()
        self.end("succeeded" if is_good else "failed")

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> Exchange | None:
        """Take the head of an answer in parts."""
        if self.job.has_ended:
            return None
        self.begin()
        self.job.reply = reply
        if self.terms.is_streamed and self.exchange is not None:
            head = Reply(reply.status, self._mark(), reply.content_type)
            head.headers = reply.headers
            self.exchange.start_stream(self.asked.serial, head, self.asked.request_id)
            self._is_streaming = True
        self.send_chunk(serial, reply.body)
        return None

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Take the next part."""
        if self.job.has_ended or not data:
            return
        self._size += len(data)
        if self._size > self.limit_bytes:
            self.fail(errors.TooLarge(what="the answer", limit_bytes=self.limit_bytes))
            return
        self._pieces.append(data)
        if self._is_streaming and self.exchange is not None:
            self.exchange.send_chunk(self.asked.serial, data)
        self._tell_output()

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """Take the end of an answer in parts."""
        self._join()
        self.end("failed" if outcome else "succeeded")

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Take the end of an answer that is not whole."""
        self.send_chunk(serial, last)
        self._join()
        self.end("failed")

    def hold_input(self, *, is_held: bool) -> None:
        """Nothing is sent on."""

    # What becomes of it

    def begin(self) -> None:
        """It runs."""
        if self.job.status != "queued":
            return
        now, at_s = time.time(), time.monotonic()
        sent_at = self.flight.sent_at if self.flight is not None else 0.0
        self.job.status = "running"
        self.job.started_s = now - (at_s - sent_at) if sent_at else now
        if self.teller is not None:
            self.teller.tell("start", self.told)

    def look(self) -> bool:
        """See whether it has begun to run; whether it has."""
        if self.flight is not None and self.flight.sent_at:
            self.begin()
        return self.job.status != "queued"

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if not self.job.has_ended:
            self.stop(self)
            self._join()
            self.job.reply = rendered(
                self._codec, self.ask, errors.Cancelled("The job was cancelled.")
            )
            self.end("canceled")

    def fail(self, error: HeadwayError) -> None:
        """It comes to nothing."""
        if not self.job.has_ended:
            self.stop(self)
            self.job.reply = rendered(self._codec, self.ask, error)
            self._pieces.clear()
            self.end("failed")

    def end(self, status: Literal["succeeded", "failed", "canceled"]) -> None:
        """It has ended so."""
        job = self.job
        if job.has_ended:
            return
        job.status, job.ended_s = status, time.time()
        job.reply = self._written(self.words.conclude)
        self._give()
        self.over(self)

    def state(self) -> Reply:
        """What is told of it now."""
        self._join()
        return self._written(self.words.state)

    def _mark(self) -> bytes:
        """What a stream says of it."""
        return self._written(lambda ask, job: Reply(200, self.words.mark(ask, job))).body

    def _written(self, write: Callable[[Ask, Job], Reply]) -> Reply:
        """What the codec writes of it; where it fails the log knows, and nobody is left to wait."""
        try:
            return write(self.ask, self.job)
        except Exception:
            log.error("job_not_told", exc_info=True, extra={"request_id": self.ask.request_id})
            return rendered(self._codec, self.ask, errors.InternalError())

    def told(self) -> bytes:
        """The same, as a webhook gets it."""
        return self.state().body

    def tell_end(self) -> None:
        """Tell the place that its caller named that it has ended."""
        if self.teller is not None:
            self.teller.tell_end(self.told)

    def _give(self) -> None:
        """Give the answer to who waits for it."""
        exchange, self.exchange = self.exchange, None
        serial, reply = self.asked.serial, self.job.reply
        if exchange is None or reply is None:
            return
        self.is_given = True
        if self._is_streaming:
            exchange.send_chunk(serial, self._mark())
            exchange.end_stream(serial)
        else:
            exchange.finish(serial, reply, self.asked.request_id)

    def _tell_output(self) -> None:
        if self.teller is not None:
            self.teller.tell_output(self.told)

    def _join(self) -> None:
        """Make one body of the parts that have come."""
        if self._pieces and self.job.reply is not None and not self.job.has_ended:
            body = b"".join(self._pieces)
            self._pieces = [body]
            head = self.job.reply
            self.job.reply = Reply(head.status, body, head.content_type, head.headers)
