"""What one grab has to say: whole answers in their callers' dialects, parts of streams, and what it all cost."""

import logging
import time
from collections.abc import Iterable

from headway.engine.asked import named
from headway.engine.blame import internal
from headway.engine.deflate import CODING, compressed
from headway.engine.frames import WHOLE
from headway.engine.ticket import Said, Say, Ticket, Timing
from headway.errors import HeadwayError, InternalError
from headway.model.call import Result
from headway.model.wire import Wire
from headway.protocols import rendered

log = logging.getLogger(__name__)

FLUSH_S = 0.001
"""Answers that are ready wait at most about this long for those that follow in the same grab."""


class Answers:
    """The answers of a grab, from rows to bytes; what is ready is said after each call that took its time.

    Args:
        wire: between dialects and the predictor.
        say: takes what is ready to be sent, and whether the grab is done with it.
        compress_bytes: answers from this size on are compressed for callers who take that; 0: none.
    """

    def __init__(self, wire: Wire, say: Say, compress_bytes: int) -> None:
        self._wire = wire
        self._say = say
        self._compress_bytes = compress_bytes
        self._ready: list[Said] = []
        self.timing = Timing()
        self._flushed_at = time.perf_counter()

    def finish(self, tickets: Iterable[Ticket]) -> None:
        """Encode the requests of which every row has its answer."""
        started = time.perf_counter()
        for ticket in tickets:
            if ticket.is_done or ticket.call is None:
                continue
            if ticket.answered < ticket.call.rows:
                continue
            parts = ticket.parts
            if len(parts) == 1 and ticket.has_all(parts[0][0]):  # nearly always
                self.encode(ticket, Result(parts[0][1].values, ticket.errors))
            else:
                self.encode(ticket, self._joined(ticket))
        ended = time.perf_counter()
        self.timing.encode_s += ended - started
        if ended - self._flushed_at > FLUSH_S:
            self.flush()

    def _joined(self, ticket: Ticket) -> Result:
        """The parts of a request in its caller's order; a row without an answer holds another's place-filler."""
        by_row = {
            row: single
            for rows, part in ticket.parts
            for row, single in zip(
                rows, self._wire.split(Result(part.values), [1] * len(rows)), strict=True
            )
        }
        if not by_row:
            return Result([], ticket.errors)
        filler = next(iter(by_row.values()))
        assert ticket.call is not None
        whole = self._wire.join([by_row.get(row, filler) for row in range(ticket.call.rows)])
        return Result(whole.values, ticket.errors)

    def encode(self, ticket: Ticket, result: Result) -> None:
        """Make a request's answer of its rows."""
        assert ticket.call is not None
        try:
            reply = ticket.codec.encode(ticket.ask, ticket.call, result, self._wire)
            if CODING in ticket.ask.headers:
                reply = compressed(reply, ticket.ask, self._compress_bytes)
            said = Said(ticket.id, WHOLE, reply.body, None, reply, bool(result.errors))
        except HeadwayError as e:
            self.fail(ticket, e)
        except Exception as e:  # noqa: BLE001  (a codec's or an encoder's bug; logged in `fail`)
            self.fail(ticket, internal(e))
        else:
            ticket.is_done = True
            self._ready.append(said)

    def fail(self, ticket: Ticket, error: HeadwayError) -> None:
        """Make an error a request's answer."""
        ticket.is_done = True
        if isinstance(error, InternalError):
            log.error("internal", exc_info=error, extra=named([ticket.ask]))
        reply = rendered(ticket.codec, ticket.ask, error)
        self._ready.append(Said(ticket.id, WHOLE, reply.body, error, reply))

    def add(self, said: Said) -> None:
        """Have something else to say: a part of a stream."""
        self._ready.append(said)

    def flush(self, *, is_last: bool = False) -> None:
        """Say what is ready, and what it cost since the last time."""
        self._flushed_at = time.perf_counter()
        if not self._ready and not is_last:
            return
        ready, self._ready = self._ready, []
        timing, self.timing = self.timing, Timing()
        self._say(ready, timing, is_last)
