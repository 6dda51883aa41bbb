"""What a model can be asked: predict, and explain where its predictor has it.

They share workers, queue and slots, but never a batch: each has its own signature, wire table and bound of rows. No
sockets and no threads here.
"""

from collections.abc import Sequence
from dataclasses import replace

from headway.engine.cap import Cap
from headway.engine.frames import WHOLE
from headway.engine.grab import Run
from headway.engine.ticket import AwaitAll, Bounds, Said, Say, Ticket, Timing
from headway.model.call import EXPLAIN
from headway.model.opening import Opened
from headway.protocols import rendered


class Questions:
    """Runs grabs of one model; any number of threads may.

    Args:
        opened: the model.
        bounds: limits; explanations have a cap of their own, and none of them is kept.
        await_all: runs coroutines of an async predictor.
    """

    def __init__(self, opened: Opened, bounds: Bounds, await_all: AwaitAll | None = None) -> None:
        self._opened = opened
        self._bounds = bounds
        self._apart = replace(bounds, cap=Cap(bounds.cap.most), known=None)
        self._await_all = await_all

    def run(self, tickets: Sequence[Ticket], say: Say) -> None:
        """Answer all of a grab; `say` as `grab.Run` has it."""
        apart = [ticket for ticket in tickets if ticket.ask.op == EXPLAIN]
        if not apart:
            Run(self._opened, self._bounds, say, self._await_all).run(tickets)
            return
        others = [ticket for ticket in tickets if ticket.ask.op != EXPLAIN]
        if others:
            Run(self._opened, self._bounds, _unfinished(say), self._await_all).run(others)
        if self._opened.explain is None:
            say([self._refused(ticket) for ticket in apart], Timing(), True)
        else:
            Run(self._opened.explain, self._apart, say, self._await_all).run(apart)

    def _refused(self, ticket: Ticket) -> Said:
        error = self._opened.description.unexplained()
        ticket.is_done = True
        reply = rendered(ticket.codec, ticket.ask, error)
        return Said(ticket.id, WHOLE, reply.body, error, reply)


def _unfinished(say: Say) -> Say:
    """Hears of a part of a grab, after which there is more."""

    def say_on(ready: list[Said], timing: Timing, is_last: bool) -> None:
        say(ready, timing, False)

    return say_on
