"""The generator: one thread that asks and listens on many connections, as fast as it can or on time.

Closed loop: each connection asks again as soon as it is answered. Open loop: requests have intended times that no
answer can delay; one that finds every connection busy waits, and its latency counts from when it was due, so that a
server that stalls is not spared the requests that it kept from being sent (Tene's "coordinated omission").
"""

import math
import select
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

from headway.traffic import schedule
from headway.traffic.answer import Answer
from headway.traffic.connection import Broken, Connection, Place
from headway.traffic.plan import Plan, Run, Slice

Watch = Callable[[float, Run], None]
"""Told, about ten times a second, how many seconds have passed since the start, and what was seen so far."""

_LOOK_S = 0.1
"""How often it looks for requests that are to be given up."""
_REST_S = 0.05
"""Closed loop: a connection whose request failed asks again after this, so that a dead server is not asked all day."""


class Generator:
    """One run of a plan.

    Args:
        place: where the service listens.
        plan: what to ask, and how fast.
        watch: is told how it goes.
    """

    def __init__(self, place: Place, plan: Plan, watch: Watch | None = None) -> None:
        self.run = Run(
            connections=plan.connections,
            rate_per_s=plan.rate_per_s,
            duration_s=plan.duration_s,
            slice_s=plan.slice_s,
        )
        self._plan = plan
        self._watch = watch
        self._selector = selectors.DefaultSelector()
        self._connections = [Connection(place, self._selector) for _ in range(plan.connections)]
        self._idle = self._connections[::-1]
        self._resting: deque[tuple[float, Connection]] = deque()
        self._first: dict[int, bytes] = {}
        """The body of the first good answer, by request."""
        self._turn = 0
        self._busy = 0
        self._sent = 0
        """Measured requests."""
        self._freed_at = 0.0
        """Open loop: when a connection became free after something due had found none; infinite before that."""
        self._slice = Slice()
        self._start = self._begin = self._end = self._last = self._slice_end = 0.0
        self._next_look = 0.0
        self._dues: Iterator[float] = iter(())
        self._due = math.inf

    def execute(self) -> Run:
        """Carry out the plan; stopped by Ctrl-C, it answers what was seen so far."""
        cpu_s = 0.0
        self._prepare()
        try:
            while self._is_going():
                self._step()
                cpu_s = cpu_s or self._cpu_at_begin()
        except KeyboardInterrupt:
            self.run.was_interrupted = True
            self._last = max(self._last, min(time.monotonic(), self._end))
        finally:
            self.run.cpu_s = time.process_time() - cpu_s if cpu_s else 0.0
            for connection in self._connections:
                connection.close()
            self._selector.close()
        self.run.elapsed_s = max(0.0, self._last - self._begin)
        return self.run

    def _prepare(self) -> None:
        plan = self._plan
        self._start = time.monotonic()
        self._begin = self._last = self._start + plan.warm_up_s
        self._end = self._begin + plan.duration_s
        self._slice_end = self._begin + plan.slice_s
        self.run.slices.append(self._slice)
        if plan.rate_per_s:
            self._dues = chain(self._warm_ups(), self._measured())
            self._due = next(self._dues, math.inf)

    def _warm_ups(self) -> Iterator[float]:
        """Intended times before what is measured."""
        for moment in self._moments(self._plan.seed + 1):
            if self._start + moment >= self._begin:
                return
            yield self._start + moment

    def _measured(self) -> Iterator[float]:
        """Intended times of what is measured."""
        for turn, moment in enumerate(self._moments(self._plan.seed)):
            if self._begin + moment >= self._end or turn == (self._plan.count or -1):
                return
            yield self._begin + moment

    def _moments(self, seed: int) -> Iterator[float]:
        rate = self._plan.rate_per_s
        return schedule.constant(rate) if self._plan.is_even else schedule.poisson(rate, seed)

    def _cpu_at_begin(self) -> float:
        return time.process_time() if time.monotonic() >= self._begin else 0.0

    def _is_going(self) -> bool:
        """Whether there is anything left to send or to wait for."""
        return bool(self._busy) or not self._is_sent(time.monotonic())

    def _is_sent(self, now: float) -> bool:
        """Whether all that is asked for has been sent."""
        if self._plan.rate_per_s:
            return self._due == math.inf
        return now >= self._end or 0 < self._plan.count <= self._sent

    def _step(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._look(now)
        if self._plan.rate_per_s:
            self._send_due(now)
        else:
            self._send_all(now)
        for key, events in self._wait(time.monotonic()):
            connection: Connection = key.data
            try:
                if connection.turn(events):
                    self._answered(connection)
            except Broken as e:
                self._broke(connection, e.code)

    def _wait(self, now: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What can be done, or nothing once it is time to send or to look."""
        until = self._next_look
        if self._idle and self._due < until:
            until = self._due
        if self._resting and self._resting[0][0] < until:
            until = self._resting[0][0]
        if not self._plan.rate_per_s:
            return self._selector.select(max(0.0, until - now))
        # A selector's time-out is rounded up to a millisecond, longer than an answer; select's is not.
        if until > now:
            select.select([self._selector], [], [], until - now)
        return self._selector.select(0)

    # Sending

    def _send_all(self, now: float) -> None:
        """Closed loop: whoever is free asks."""
        while self._resting and self._resting[0][0] <= now:
            self._idle.append(self._resting.popleft()[1])
        while self._idle and not self._is_sent(now):
            self._send(self._idle.pop(), time.monotonic())

    def _send_due(self, now: float) -> None:
        """Open loop: what is due is sent, while a connection is free."""
        while self._due <= now:
            if not self._idle:
                self._freed_at = math.inf
                return
            due = self._due
            if due >= self._begin:
                # What waited for a connection waited for the server; the rest is the generator's own delay.
                self.run.queued += due < self._freed_at
                self.run.lateness.add(int((now - max(due, self._freed_at)) * 1e9))
            self._due = next(self._dues, math.inf)
            self._send(self._idle.pop(), due)
            now = time.monotonic()

    def _send(self, connection: Connection, due: float) -> None:
        plan = self._plan
        connection.index = self._turn % len(plan.requests)
        self._turn += 1
        self._sent += due >= self._begin
        self._busy += 1
        connection.due = due
        connection.sent_at = time.monotonic()
        try:
            connection.ask(plan.requests[connection.index], Answer(keeps_body=plan.is_checked))
        except Broken as e:
            self._broke(connection, e.code)

    # What became of them

    def _answered(self, connection: Connection) -> None:
        now = time.monotonic()
        answer = connection.answer
        if connection.due >= self._begin:
            part = self._part(now)
            if 200 <= answer.status < 300:
                part.answered += 1
                part.latency.add(int((now - connection.due) * 1e9))
                if self._plan.is_checked:
                    first = self._first.setdefault(connection.index, answer.body)
                    self.run.wrong += answer.body != first
            else:
                name = str(answer.status)
                part.errors[name] = part.errors.get(name, 0) + 1
                self.run.retry_after_s = max(self.run.retry_after_s, answer.retry_after_s)
        if answer.is_last:
            connection.close()
        self._free(connection, now)

    def _broke(self, connection: Connection, code: str) -> None:
        """A connection came to nothing; that matters where it had a request."""
        was_busy = connection.is_busy
        connection.close()
        if not was_busy:
            return
        now = time.monotonic()
        if connection.due >= self._begin:
            part = self._part(now)
            part.errors[code] = part.errors.get(code, 0) + 1
            if code == "timeout":  # it would have taken longer: the tail is not cut off
                part.latency.add(int((now - connection.due) * 1e9))
        if self._plan.rate_per_s:
            self._free(connection, now)
        else:
            self._busy -= 1
            self._resting.append((now + _REST_S, connection))

    def _free(self, connection: Connection, now: float) -> None:
        connection.is_busy = False
        self._busy -= 1
        if self._freed_at == math.inf:
            self._freed_at = now
        self._idle.append(connection)

    def _part(self, now: float) -> Slice:
        """The slice that this moment belongs to."""
        self._last = now
        while now >= self._slice_end:
            self._slice = Slice()
            self.run.slices.append(self._slice)
            self._slice_end += self._plan.slice_s
        return self._slice

    def _look(self, now: float) -> None:
        """Give up what has taken too long, and tell how it goes."""
        for connection in self._connections:
            if connection.is_busy and now - connection.sent_at >= self._plan.timeout_s:
                self._broke(connection, "timeout")
        if self._watch is not None:
            self._watch(now - self._start, self.run)


def once(place: Place, request: bytes, timeout_s: float) -> Answer:
    """Ask one request.

    Raises:
        Broken: there was no answer; its code is `timeout` where it took too long.
    """
    selector = selectors.DefaultSelector()
    connection = Connection(place, selector)
    end = time.monotonic() + timeout_s
    try:
        connection.ask(request, Answer(keeps_body=True))
        while (now := time.monotonic()) < end:
            for key, events in selector.select(end - now):
                if key.data.turn(events):
                    return connection.answer
        raise Broken("timeout", f"no answer within {timeout_s:g} s")
    finally:
        connection.close()
        selector.close()
