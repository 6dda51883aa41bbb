"""Answer one request of a grab in parts, as its predictor yields them, and feed it what its caller sends on."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from headway.engine.answers import Answers
from headway.engine.asked import at_fault
from headway.engine.blame import is_interrupt, told
from headway.engine.frames import CHUNK, END, HEAD
from headway.engine.items import close, items_of
from headway.engine.ticket import AwaitAll, Said, Ticket
from headway.errors import BadInput, CallerError, Cancelled, DeadlineError
from headway.model.wire import Wire
from headway.protocols import Reply, chunk_last, ending, stream_headers

log = logging.getLogger(__name__)

SWITCHED = 101
"""The status of a stream whose caller sends on: from then on it is spoken otherwise than in HTTP."""


class Streaming:
    """The streams of a grab, one after the other.

    Args:
        wire: of the model.
        answers: what the grab has to say.
        await_all: runs coroutines on the worker's loop.
        timeout_s: of a request that says nothing else.
    """

    def __init__(self, wire: Wire, answers: Answers, await_all: AwaitAll, timeout_s: float) -> None:
        self._wire = wire
        self._answers = answers
        self._await_all = await_all
        self._timeout_s = timeout_s

    def run(self, ticket: Ticket, ask: Callable[[], Any]) -> None:
        """Answer a ticket. `ask` calls the predictor, and returns what it answered."""
        assert ticket.call is not None
        if ticket.call.rows != 1:
            self._answers.fail(
                ticket,
                BadInput(
                    where="body", expected="one item, for a stream", found=f"{ticket.call.rows}"
                ),
            )
            return
        is_begun = self._begin_fed(ticket)
        started = time.perf_counter()
        self._answers.timing.batches.append(1)
        items: Iterator[Any] = iter(())
        try:
            output = ask()
            items = items_of(output, self._await_all)
            for value in items:
                if ticket.is_cancelled:
                    break
                self._check_time(ticket)
                item = self._wire.check_item(value)
                piece = ticket.codec.chunk(ticket.ask, ticket.call, item, self._wire)
                if not is_begun:
                    self._begin(ticket)
                    is_begun = True
                self._answers.add(Said(ticket.id, CHUNK, piece))
                self._answers.flush()
            self._check_time(ticket)  # it may have ended because of it
            last = b"" if ticket.is_cancelled else self._last(ticket)
            if not is_begun:
                self._begin(ticket)
            if last:
                self._answers.add(Said(ticket.id, CHUNK, last))
        except BaseException as e:  # user code; told and logged in _break_off
            if is_interrupt(e):
                raise
            self._break_off(ticket, e, is_begun=is_begun)
        else:
            ticket.is_done = True
            self._answers.add(
                Said(ticket.id, END, b"", Cancelled() if ticket.is_cancelled else None)
            )
        finally:
            close(items, at_fault([ticket.ask]))
            self._end_fed(ticket)
            self._answers.timing.compute_s += time.perf_counter() - started

    def _last(self, ticket: Ticket) -> bytes:
        assert ticket.call is not None
        return chunk_last(ticket.codec, ticket.ask, ticket.call, self._wire)

    def _begin_fed(self, ticket: Ticket) -> bool:
        """Tell who sends on that somebody listens now; whether anybody does send on."""
        if ticket.feed is None:
            return False
        self._begin(ticket)
        self._answers.flush()
        return True

    def _end_fed(self, ticket: Ticket) -> None:
        """Give the socket back to the slot."""
        if ticket.feed is not None and self._wire.signature.is_async:
            self._await_all([ticket.feed.aclose()])
        elif ticket.feed is not None:
            ticket.feed.close()

    def _check_time(self, ticket: Ticket) -> None:
        if not ticket.is_cancelled and time.monotonic() >= ticket.deadline:
            timeout_s = ticket.timeout_s or self._timeout_s
            raise DeadlineError(timeout_s=timeout_s)

    def _break_off(self, ticket: Ticket, cause: BaseException, *, is_begun: bool) -> None:
        error = told(cause)
        if not isinstance(error, CallerError | DeadlineError):
            log.error("predict_failed", exc_info=cause, extra=at_fault([ticket.ask]))
        if not is_begun:
            self._answers.fail(ticket, error)
            return
        ticket.is_done = True
        last = ending(ticket.codec, ticket.ask, error)
        self._answers.add(Said(ticket.id, CHUNK, last))
        self._answers.add(Said(ticket.id, END, b"", error))

    def _begin(self, ticket: Ticket) -> None:
        status = 200 if ticket.feed is None else SWITCHED
        codec, ask = ticket.codec, ticket.ask
        head = Reply(status, b"", codec.stream_type(ask), stream_headers(codec, ask, self._wire))
        self._answers.add(Said(ticket.id, HEAD, b"", None, head))
