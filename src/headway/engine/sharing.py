"""Requests of a gateway that share a run: who gets its answer, who asks by himself, and for whom it goes on.

The theory of it is in `shelf`, which knows who shares what.
"""

import time
from typing import Protocol

from headway.engine.deadlines import Deadlines
from headway.engine.exchange import NOBODY
from headway.engine.life import Act, Event, Flight, State
from headway.engine.pool import Pool
from headway.engine.shelf import Share
from headway.errors import HeadwayError
from headway.protocols import Reply


class Desk(Protocol):
    """What a gateway does for each of them."""

    def refusal(self, pool: Pool, flight: Flight, key: bytes | None) -> HeadwayError | None:
        """Why a request may not wait; None: it waits."""
        ...

    def end(self, flight: Flight, outcome: int) -> None:
        """Account for a request that is over."""
        ...

    def fail(self, flight: Flight, error: HeadwayError) -> None:
        """Answer a request that is over with an error."""
        ...


class Sharing:
    """What becomes of requests that share a run when it ends, and when its caller leaves."""

    def __init__(self, desk: Desk, deadlines: Deadlines) -> None:
        self._desk = desk
        self._deadlines = deadlines

    def spread(self, share: Share, reply: Reply, *, is_answer: bool) -> None:
        """A run is over: its answer is everybody's; after an error that a worker told, each asks by itself."""
        theirs = share.keep(reply, time.monotonic()) if is_answer else None
        for flight in list(share.others.values()):
            if theirs is None:
                self._release(flight)
            elif flight.step(Event.ANSWER) is Act.DELIVER:
                flight.pool.tally.shared()
                self._desk.end(flight, 0)
                flight.exchange.finish(flight.serial, theirs, flight.request_id)

    def _release(self, flight: Flight) -> None:
        """Let a request that waited for an equal one ask by itself."""
        if flight.step(Event.RELEASE) is not Act.QUEUE:
            return
        flight.share.end(flight)
        flight.share = None
        pool = flight.pool
        pool.tally.missed()
        error = self._desk.refusal(pool, flight, None)
        pool.in_flight += 1
        if error is None:
            pool.wake()
            pool.demand()
        else:
            flight.state = State.DONE
            self._desk.fail(flight, error)

    def lose(self, share: Share, flight: Flight, error: HeadwayError) -> None:
        """A run has failed for good: who waited for its answer would end the same."""
        if share.run is flight:
            for other in list(share.others.values()):
                if other.step(Event.LOST) is Act.GIVE_UP:
                    self._desk.fail(other, error)

    def leave_to_others(self, flight: Flight, outcome: int) -> None:
        """The caller of a run is told, or gone: it goes on until the last of the others is."""
        if flight.exchange is not NOBODY:
            waited_s = time.monotonic() - flight.queued_at
            flight.pool.tally.answered(outcome, waited_s)
            flight.exchange = NOBODY
        self._deadlines.discard(flight)
        flight.deadline = max(other.deadline for other in flight.share.others.values())
        self._deadlines.add(flight)
