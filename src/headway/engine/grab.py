"""Run one grab where the model is: decode each request, group rows, call the model, encode, answer.

Theory of operation. A grab is what a slot took at once; a batch is what the model gets at once, and the two are not
the same. Each body is decoded alone. Rows that may meet (equal bucket keys) form groups, groups are cut into model
calls of at most `max_rows`, and a request whose rows were cut apart is rejoined before it is encoded. A call that
fails is bisected, so that a bad row fails alone, and rows that memory did not hold together are answered apart; how
many it holds is remembered (`cap`). An answer of a wrong shape fails all of its call, because nobody can say whose
answer is whose. No sockets here, and no threads but the predictor's own.
"""

import logging
import math
import time
from collections.abc import (
    Coroutine,
    Hashable,
    Sequence,
)
from functools import partial
from typing import Any

from headway.engine.answers import Answers
from headway.engine.asked import at_fault, naming, who
from headway.engine.blame import (
    internal,
    is_interrupt,
    is_short_of_memory,
    let_go,
    raised,
    told,
)
from headway.engine.inflate import inflate
from headway.engine.items import fed_items
from headway.engine.known import Known
from headway.engine.rows import by_key, by_length, cut, halve
from headway.engine.streaming import Streaming
from headway.engine.ticket import AwaitAll, Bounds, Piece, Say, Ticket
from headway.errors import (
    BadInput,
    BadOutput,
    CallerError,
    Cancelled,
    DeadlineError,
    HeadwayError,
    ModelFailed,
    TooLarge,
)
from headway.model.call import Call, Result
from headway.model.marks import Context
from headway.model.opening import Opened
from headway.observe.log import ASKING

log = logging.getLogger(__name__)


class Run:
    """One grab under way; `run` answers every ticket exactly once.

    Args:
        opened: the model.
        bounds: limits.
        say: takes what is ready to be sent, and whether the grab is done with it; called after each model call
            that took its time, and once at the end.
        await_all: runs coroutines of an async predictor on the worker's loop and waits for all their outcomes.
    """

    def __init__(
        self,
        opened: Opened,
        bounds: Bounds,
        say: Say,
        await_all: AwaitAll | None = None,
    ) -> None:
        self._opened = opened
        self._signature = opened.signature
        self._wire = opened.wire
        self._bounds = bounds
        self._cap = bounds.cap
        self._known = bounds.known
        self._answers = Answers(opened.wire, say, bounds.compress_bytes)
        self._await_all: AwaitAll = await_all or _no_loop

    def run(self, tickets: Sequence[Ticket]) -> None:
        """Answer all of a grab."""
        started = time.perf_counter()
        decoded = [t for t in tickets if self._decode(t)]
        self._answers.timing.decode_s = time.perf_counter() - started
        if self._signature.is_stream:
            streaming = Streaming(
                self._wire, self._answers, self._await_all, self._bounds.timeout_s
            )
            for ticket in decoded:
                streaming.run(ticket, partial(self._ask_one, ticket))
        else:
            if self._known is not None:
                self._recall(self._known, decoded)
            for group in self._groups(decoded):
                for batch in cut(self._sorted(group), self._cap.most):
                    self._perform(batch)
                    self._answers.finish(ticket for ticket, _ in batch)
        ASKING.set(None)
        self._answers.flush(is_last=True)

    # From bytes to calls

    def _decode(self, ticket: Ticket) -> bool:
        try:
            if self._is_over(ticket):
                return False
            ask = ticket.ask
            if ticket.coding:
                ask.body = inflate(ask.body, ticket.coding, self._bounds.max_body_bytes)
            ticket.call = ticket.codec.decode(ask, self._wire)
            if ticket.call.timeout_s is not None:
                ticket.deadline = min(ticket.deadline, time.monotonic() + ticket.call.timeout_s)
                ticket.timeout_s = ticket.call.timeout_s
            ticket.keys = self._wire.keys(ticket.call) if ticket.call.rows else None
            if self._signature.context is not None:
                ticket.context = Context(ask.request_id, ask.headers, _deadline(ticket))
                if ticket.is_cancelled:  # by another thread, before it could find the context
                    ticket.context.cancel()
        except HeadwayError as e:
            self._answers.fail(ticket, e)
            return False
        except Exception as e:  # noqa: BLE001  (a codec's bug must not take the grab with it; logged in _fail)
            self._answers.fail(ticket, internal(e))
            return False
        is_empty = not ticket.call.rows and not self._signature.is_stream
        if is_empty or not ticket.call.needs_model:
            self._answers.encode(ticket, self._wire.empty())
            return False
        return True

    def _is_over(self, ticket: Ticket) -> bool:
        """Answer a ticket for which nobody waits any more."""
        if ticket.is_done:
            return True
        if ticket.is_cancelled:
            self._answers.fail(ticket, Cancelled())
        elif time.monotonic() >= ticket.deadline:
            timeout_s = ticket.timeout_s or self._bounds.timeout_s
            self._answers.fail(ticket, DeadlineError(timeout_s=timeout_s))
        return ticket.is_done

    def _recall(self, known: Known, tickets: Sequence[Ticket]) -> None:
        """Answer the rows that are known; a request of which all are is done."""
        now = time.monotonic()
        for ticket in tickets:
            assert ticket.call is not None
            ticket.names = known.keys(ticket.call)
            for row, result in known.find(ticket.names, now).items():
                ticket.parts.append((range(row, row + 1), result))
                ticket.answered += 1
                self._answers.timing.recalled += 1
        self._answers.finish(tickets)

    def _remember(self, ticket: Ticket, rows: Sequence[int], part: Result) -> None:
        """Keep the answers of rows that have just been computed."""
        assert self._known is not None
        now = time.monotonic()
        singles = self._wire.split(Result(part.values), [1] * len(rows))
        for i, (row, single) in enumerate(zip(rows, singles, strict=True)):
            if i not in part.errors:
                self._known.keep(ticket.names[row], single, now)

    # From calls to batches

    def _groups(self, tickets: Sequence[Ticket]) -> list[list[Piece]]:
        """Rows that may share a model call, in the order of arrival."""
        groups: dict[Hashable, list[Piece]] = {}
        is_personal = self._signature.context is not None and self._signature.is_batched
        for ticket in tickets:
            assert ticket.call is not None
            rows: Sequence[int] = range(ticket.call.rows)
            if ticket.answered:
                rows = _unanswered(ticket)
            owner = id(ticket) if ticket.is_alone or is_personal else None
            if ticket.keys is None:
                if rows:
                    groups.setdefault(owner, []).append((ticket, rows))
                continue
            for key, members in by_key(ticket.keys, rows if ticket.answered else None):
                groups.setdefault((owner, key), []).append((ticket, members))
        return list(groups.values())

    def _sorted(self, group: list[Piece]) -> list[Piece]:
        """A group that takes several calls, by length, so that little is padded in each."""
        if not self._wire.has_lengths or sum(len(rows) for _, rows in group) <= self._cap.most:
            return group
        return by_length(group, lambda ticket, row: self._wire.length(ticket.call, row))  # type: ignore[arg-type]

    # From batches to answers

    def _perform(self, batch: Sequence[Piece]) -> None:
        batch = [piece for piece in batch if not self._is_over(piece[0])]
        if not batch:
            return
        started = time.perf_counter()
        if self._signature.is_batched:
            self._perform_batch(batch)
            worked_s = time.perf_counter() - started
            for ticket, _ in batch:
                assert ticket.call is not None
                ticket.call.worked_s += worked_s
        else:
            self._perform_items(batch)
            worked_s = time.perf_counter() - started
        self._answers.timing.compute_s += worked_s

    def _perform_batch(self, batch: Sequence[Piece]) -> bool:
        """Call the model with rows that may meet, as many at a time as memory was seen to hold.

        Returns:
            Whether memory did not hold some row by itself.
        """
        total, is_lone, cap = sum(len(rows) for _, rows in batch), False, self._cap
        while total > cap.rows and (room := cap.room(time.monotonic())) < total:
            part, rest = halve(batch, room)
            is_lone |= self._call(part, room)
            batch = [piece for piece in rest if not self._is_over(piece[0])]
            total = sum(len(rows) for _, rows in batch)
        return self._call(batch, total) or is_lone if batch else is_lone

    def _call(self, batch: Sequence[Piece], total: int) -> bool:
        error = self._try(batch, total)
        return error is not None and self._bisect(batch, total, error)

    def _try(self, batch: Sequence[Piece], total: int) -> Exception | None:
        sizes = [len(rows) for _, rows in batch]
        try:
            arguments = self._wire.gather([_part(piece) for piece in batch])
            if self._signature.context is not None:
                arguments[self._signature.context] = batch[0][0].context
            self._answers.timing.batches.append(total)
            output = self._predict(arguments, batch)
            if self._signature.is_async:
                output = raised(self._await_all([output])[0])
            result = self._wire.scatter(output, total)
        except BadOutput as e:
            self._blame(batch, e)
        except Exception as e:  # noqa: BLE001  (user code; told to its caller, or logged, in _blame)
            return e
        else:
            if total > self._cap.rows and self._cap.fitted(total, time.monotonic()):
                log.info("memory_holds_more", extra={"rows": total})
            for piece, part in zip(batch, self._wire.split(result, sizes), strict=True):
                is_cut = self._wire.has_lengths
                self._keep(piece, self._wire.cut_back(part, *_part(piece)) if is_cut else part)
        return None

    def _bisect(self, batch: Sequence[Piece], total: int, error: Exception) -> bool:
        """Try the halves of a batch that failed, down to the row that is at fault.

        Returns:
            Whether memory did not hold some row by itself: then it is that row's doing that its batch did not fit.
        """
        is_short = is_short_of_memory(error)
        self._answers.timing.shortages += is_short
        is_lone = is_short and total == 1
        may_repeat = self._signature.idempotent or isinstance(error, BadInput | TooLarge)
        if total == 1 or not may_repeat:
            self._blame(batch, told(error))
        else:
            if is_short:
                let_go(error)
            for part in halve(batch, total // 2):
                alive = [piece for piece in part if not self._is_over(piece[0])]
                if alive:
                    is_lone |= self._perform_batch(alive)
        if is_short and not is_lone and self._cap.failed(total, time.monotonic()):
            log.warning("memory_short", extra={"rows": total, "cap": self._cap.rows})
        return is_lone

    def _perform_items(self, batch: Sequence[Piece]) -> None:
        begun: list[tuple[Ticket, int, Any]] = []
        for ticket, row in [(ticket, row) for ticket, members in batch for row in members]:
            if self._is_over(ticket):
                continue
            started = time.perf_counter()
            try:
                arguments = self._item(ticket, row)
                self._answers.timing.batches.append(1)
                outcome = self._predict(arguments, ((ticket, ()),))
            except Exception as e:  # noqa: BLE001  (user code; told to its caller, or logged, in _keep_item)
                self._keep_item(ticket, row, e)
                continue
            if self._signature.is_async:
                begun.append((ticket, row, naming(outcome, ticket.ask)))
                continue
            _count(ticket, time.perf_counter() - started)
            self._keep_item(ticket, row, outcome)
            if ticket.call is not None and row == ticket.call.rows - 1:
                self._answers.finish([ticket])
        started = time.perf_counter()
        outcomes = self._await_all([coroutine for _, _, coroutine in begun]) if begun else ()
        awaited_s = time.perf_counter() - started
        for ticket in dict.fromkeys(ticket for ticket, _, _ in begun):
            _count(ticket, awaited_s)
        for (ticket, row, _), outcome in zip(begun, outcomes, strict=True):
            self._keep_item(ticket, row, outcome)

    def _predict(self, arguments: dict[str, Any], asked: Sequence[Piece]) -> Any:
        ASKING.set(partial(who, asked))  # what the predictor logs or prints names its requests
        try:
            return self._opened.predict(**arguments)
        except BaseException as e:
            if isinstance(e, Exception) or is_interrupt(e):
                raise
            raise ModelFailed from e  # to exit is a library's way to refuse its input: no worker ends

    def _ask_one(self, ticket: Ticket) -> Any:
        """Call the predictor with the only item of a request."""
        return self._predict(self._item(ticket, 0), ((ticket, ()),))

    def _item(self, ticket: Ticket, row: int) -> dict[str, Any]:
        assert ticket.call is not None
        arguments = self._wire.item(ticket.call, row)
        fed = self._signature.fed
        if fed is not None:
            arguments[fed.name] = fed_items(fed.field, arguments[fed.name], ticket.feed)
        if self._signature.context is not None:
            arguments[self._signature.context] = ticket.context
        return arguments

    def _keep_item(self, ticket: Ticket, row: int, outcome: Any) -> None:
        try:
            value = self._wire.check_item(raised(outcome))
        except Exception as e:  # noqa: BLE001  (user code; told or logged in _blame)
            self._blame([(ticket, (row,))], told(e))
        else:
            part = Result([value])
            ticket.parts.append((range(row, row + 1), part))
            ticket.answered += 1
            if ticket.names:
                self._remember(ticket, (row,), part)

    def _keep(self, piece: Piece, part: Result) -> None:
        ticket, rows = piece
        for i, error in part.errors.items():
            ticket.errors[rows[i]] = error
        ticket.parts.append((rows, part))
        ticket.answered += len(rows)
        if ticket.names:
            self._remember(ticket, rows, part)

    def _blame(self, batch: Sequence[Piece], error: HeadwayError) -> None:
        for ticket, rows in batch:
            for row in rows:
                ticket.errors[row] = error
            ticket.answered += len(rows)
        if not isinstance(error, CallerError):
            log.error("predict_failed", exc_info=error, extra=at_fault([t.ask for t, _ in batch]))


def _count(ticket: Ticket, worked_s: float) -> None:
    assert ticket.call is not None
    ticket.call.worked_s += worked_s


def _deadline(ticket: Ticket) -> float | None:
    return None if math.isinf(ticket.deadline) else ticket.deadline


def _no_loop(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    raise RuntimeError("an async predictor needs its worker's loop")


def _part(piece: Piece) -> tuple[Call, Sequence[int] | None]:
    ticket, rows = piece
    assert ticket.call is not None
    return ticket.call, None if ticket.has_all(rows) else rows


def _unanswered(ticket: Ticket) -> list[int]:
    """The rows that were not known."""
    answered = {row for rows, _ in ticket.parts for row in rows}
    assert ticket.call is not None
    return [row for row in range(ticket.call.rows) if row not in answered]
