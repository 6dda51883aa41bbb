"""The gateways' processes: started, watched, replaced when they die, and drained at the end.

A drain has three steps, each told to all gateways:

    Drain   be not ready; go on accepting, for the drain delay
    Close   take who waits in the listening socket, close it, say Closed
    Finish  end what is under way, say Drained

Until every gateway has said Closed, the supervisor keeps its own copy of the listening socket: a gateway that dies is
replaced, and its successor finds there who waits. What comes between the last Closed and the end of that copy goes to
one gateway together with Finish. Whoever dies then takes its connections with it, and nobody else's.
"""

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

from headway.config import ServerSettings
from headway.engine.back_off import BackOff
from headway.engine.child import Child, Death
from headway.engine.listening import accepted
from headway.engine.loan import HANG_S
from headway.engine.messages import (
    Bid,
    Close,
    Closed,
    Drain,
    Drained,
    Ejected,
    Engaged,
    Fence,
    Fenced,
    Finish,
    Joined,
    Listen,
    Message,
    Obeyed,
    Overdue,
    Parted,
    Ready,
    Revoke,
)
from headway.engine.party import Party
from headway.errors import Exit, HeadwayError
from headway.model.call import Order
from headway.observe.metrics import Board

log = logging.getLogger(__name__)

_MODULE = "headway.server.process"
"""What such a process runs; it is in a row above this one."""
LONGEST_BACK_OFF_S = 5.0
"""Longest wait before a gateway is started again: nobody else takes its share of the clients."""
STEADY_S = 10.0
"""A gateway that lived for so long was well: its end begins a new row of deaths."""


class _Step(IntEnum):
    """How far the end has come."""

    SERVING = 0
    DRAINING = 1
    CLOSING = 2
    FINISHING = 3


class Host(Protocol):
    """What the gateways need of their supervisor."""

    @property
    def settings(self) -> ServerSettings:
        """How the server is run now."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the server has been ready."""
        ...

    @property
    def parties(self) -> Mapping[str, Party]:
        """The models, by name."""
        ...

    def spawn(
        self, module: str, name: str, environment: dict[str, str], fds: Sequence[int]
    ) -> Child:
        """Start a process."""
        ...

    def end(self, code: int) -> None:
        """End the server."""
        ...

    async def carry_out(self, order: Order) -> str:
        """Do what an operator asks for; returns "", or why it was not done."""
        ...


class Gateways:
    """The processes that speak to clients.

    Args:
        host: the supervisor.
        listeners: the sockets on which they accept.
        board: the counters.
    """

    def __init__(self, host: Host, listeners: Sequence[socket.socket], board: Board) -> None:
        self.processes: dict[int, Child] = {}
        self._host = host
        self._listeners = listeners
        self._board = board
        self._count = host.settings.gateways
        self._loop = asyncio.get_running_loop()
        self._back_offs = [BackOff(LONGEST_BACK_OFF_S) for _ in range(self._count)]
        self.started_s = time.time()
        """When the server started, in seconds since the epoch."""
        self._step = _Step.SERVING
        self._over_at = 0.0
        """When the grace of a drain is over."""
        self._closed: set[int] = set()
        self._drained: set[int] = set()
        self._code = Exit.OK
        self._fences: dict[int, tuple[set[int], asyncio.Future[None]]] = {}
        """By number, who has not heard it yet."""
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._engaged: dict[tuple[int, int], float] = {}
        """Until when a worker may be busy with a job of a gateway."""

    def start(self) -> None:
        """Start all of them."""
        for index in range(self._count):
            self._start(index)

    def tell(self, message: Message) -> None:
        """Say something to all of them."""
        for gateway in self.processes.values():
            gateway.channel.send(message)

    def fence(self) -> "asyncio.Future[None]":
        """Done when each of them has heard all that it was told until now; one that ends counts as having."""
        number, future = next(self._numbers), self._loop.create_future()
        self._fences[number] = (set(self.processes), future)
        self.tell(Fence(number))
        self._see_fenced()
        return future

    def _see_fenced(self) -> None:
        for number, (missing, future) in list(self._fences.items()):
            if not missing:
                del self._fences[number]
                if not future.done():
                    future.set_result(None)

    async def _obey(self, child: Child, bid: Bid) -> None:
        """Carry out what an operator has asked a gateway for."""
        try:
            refusal = await self._host.carry_out(bid.order)
        except HeadwayError as e:
            refusal = e.message
        # The outermost loop of this work: the operator reads the log.
        except Exception:
            log.exception("order_failed")
            refusal = "an internal error; the server's log has it"
        if not child.is_gone:
            child.channel.send(Obeyed(bid.number, refusal))

    def look_around(self, now: float) -> None:
        """Ask all of them for a sign of life, and end who shows none."""
        for gateway in list(self.processes.values()):
            gateway.ping()
            if now - gateway.heard_at > HANG_S:
                gateway.kill()

    def hear(self, child: Child, message: Message) -> None:
        """Take what a gateway says."""
        index = self._index(child)
        if isinstance(message, Closed):
            self._closed.add(index)
            self._see_closed()
        elif isinstance(message, Drained):
            if message.left:
                log.error("grace_over", extra={"gateway": index, "left": message.left})
                self._code = Exit.GRACE
            self._drained.add(index)
            self._see_drained()
        elif isinstance(message, Fenced):
            if message.number in self._fences:
                self._fences[message.number][0].discard(index)
            self._see_fenced()
        elif isinstance(message, Bid):
            task = asyncio.create_task(self._obey(child, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif isinstance(message, Revoke):
            self.tell(message)
        else:
            self._hear_of_a_worker(index, message)

    def _hear_of_a_worker(self, index: int, message: Message) -> None:
        now, parties = time.monotonic(), self._host.parties.values()
        if isinstance(message, Engaged):
            known = {key: until for key, until in self._engaged.items() if until > now}
            key = (message.worker, index)
            self._engaged = {**known, key: max(message.until, known.get(key, 0.0))}
        elif isinstance(message, Overdue):
            engaged = [until for (w, _), until in self._engaged.items() if w == message.worker]
            if message.is_lent and now < max(engaged, default=0.0):
                return
            for party in parties:
                party.end_hanging(message.worker)
        elif isinstance(message, Ejected):
            for party in parties:
                party.see_ejected(message, index)
        elif isinstance(message, Joined | Parted):
            for party in parties:
                party.hear_gateway(message.worker, index, has_joined=isinstance(message, Joined))

    def ended(self, child: Child, death: Death) -> None:
        """A gateway's process has ended: its clients are lost, and another one takes its place."""
        index = self._index(child)
        del self.processes[index]
        for told in (self._closed, self._drained, *(m for m, _ in self._fences.values())):
            told.discard(index)
        lost = self._board.clear_gauges(index)
        tally = self._board.connections(self._board.supervisor)
        tally.restarted()
        tally.lost(lost)
        log.error(
            "gateway_ended",
            extra={"gateway": index, "reason": death.text, "connections": lost},
        )
        self._engaged = {key: until for key, until in self._engaged.items() if key[1] != index}
        for party in self._host.parties.values():
            party.lose_gateway(index)
        if self._step is not _Step.SERVING and lost:
            self._code = Exit.GRACE
        if time.monotonic() - child.started_at > STEADY_S:
            self._back_offs[index].lived()
        self._start_again(index)
        self._see_closed()
        self._see_drained()
        self._see_fenced()

    def drain(self, delay_s: float, grace_s: float) -> None:
        """Begin to end; the host is told when all are drained."""
        self._step = _Step.DRAINING
        self._over_at = time.monotonic() + delay_s + grace_s
        self.tell(Drain())
        self._loop.call_later(delay_s, self._close)

    def _close(self) -> None:
        self._step = _Step.CLOSING
        self.tell(Close())
        self._see_closed()

    def _see_closed(self) -> None:
        """Go on to the last step once nobody but us can accept."""
        if self._step is not _Step.CLOSING or not self.processes:
            return
        if not self._closed >= self.processes.keys():
            return
        self._step = _Step.FINISHING
        late = [sock for listener in self._listeners for sock in accepted(listener)]
        for listener in self._listeners:
            listener.close()
        fds = [sock.fileno() for sock in late]
        for gateway in self.processes.values():
            gateway.channel.send(Finish(max(0.0, self._over_at - time.monotonic())), fds)
            fds = []
        for sock in late:
            sock.close()

    def _see_drained(self) -> None:
        if self._step is _Step.FINISHING and self._drained >= self.processes.keys():
            self._host.end(self._code)

    def _start(self, index: int) -> None:
        if self._step is _Step.FINISHING:
            return
        fds = [listener.fileno() for listener in self._listeners]
        try:
            child = self._host.spawn(_MODULE, f"gateway-{index}", {}, [*fds, self._board.fd])
        except OSError as e:
            log.error("gateway_not_started", extra={"gateway": index, "reason": str(e)})
            self._start_again(index)
            return
        self.processes[index] = child
        child.channel.send(
            Listen(
                gateway=index,
                gateways=self._count,
                settings=self._host.settings,
                names=list(self._host.parties),
                board_fd=self._board.fd,
                listener_fds=fds,
                started_s=self.started_s,
                was_ready=self._host.is_ready,
            )
        )
        for party in self._host.parties.values():
            party.meet_gateway(index)
        told_before: tuple[tuple[bool, Message], ...] = (
            (self._host.is_ready, Ready()),
            (self._step >= _Step.DRAINING, Drain()),
            (self._step >= _Step.CLOSING, Close()),
        )
        for is_told, message in told_before:
            if is_told:
                child.channel.send(message)

    def _start_again(self, index: int) -> None:
        now = time.monotonic()
        back_off = self._back_offs[index]
        back_off.died(now)
        if back_off.is_hopeless and not self._host.is_ready:
            self._host.end(Exit.BUG)
        wait_s = max(0.0, back_off.start_at - now)
        self._loop.call_later(wait_s, self._start, index)

    def _index(self, child: Child) -> int:
        return next(i for i, gateway in self.processes.items() if gateway is child)
