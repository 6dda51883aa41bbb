"""All connections of one gateway: what they share, how many there may be, when their time is over, how they end."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import NamedTuple, Protocol

from headway.config import ServerSettings
from headway.engine.allocator import Allocator
from headway.engine.listening import accepted
from headway.observe.metrics import GatewayTally
from headway.server.answer import Answers
from headway.server.connection import Connection
from headway.server.exchange import App, CallApp
from headway.server.grpc_heads import CallHeads
from headway.server.http1 import Heads, Limits
from headway.server.room import Room

_LAST_S = 1.0
"""Who has connected just before the end may send a first request within this."""
_TICK_S = 0.25
_BACKLOG = 2048


class Member(Protocol):
    """What is counted, and has its deadlines here: a connection, or a WebSocket in its place."""

    deadline: float

    @property
    def is_asked(self) -> bool:
        """A request is with the application."""
        ...

    def expire(self) -> None:
        """Act on a deadline that is over."""
        ...

    def drain(self) -> None:
        """Tell the client to ask elsewhere, if that can be told before its next answer."""
        ...

    def close_idle(self) -> None:
        """Close it unless a request is under way."""
        ...

    def give_up(self) -> None:
        """Refuse a request of which not all has come."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...


class _Entrance(NamedTuple):
    """A listening socket, once more for who waits in it at the end."""

    queue: socket.socket
    place: int | str
    """Its port, or its path."""
    context: ssl.SSLContext | None
    is_grpc: bool


class Listener:
    """All connections of one gateway: what they share, and one timer for all of their deadlines.

    Args:
        app: what answers the requests.
        settings: limits and deadlines; `max_connections` and `max_pending_bytes` are this gateway's own share.
        loop: the loop that it runs on.
        tally: counts its connections, if anybody wants to know.
        calls: answers gRPC calls, where they are taken.
    """

    def __init__(
        self,
        app: App,
        settings: ServerSettings,
        loop: asyncio.AbstractEventLoop,
        tally: GatewayTally | None = None,
        calls: CallApp | None = None,
    ) -> None:
        self.app = app
        self.calls = calls
        self._tally = tally
        self.settings = settings
        self.now = loop.time
        self.idle_deadline = loop.time() + settings.idle_timeout_s
        """Of a connection that falls idle now; exact to a tick."""
        self.heads = Heads(_limits(settings))
        self.room = Room(settings.max_pending_bytes, lambda: app.waiting_bytes)
        self.call_heads = CallHeads(settings.max_head_bytes)
        self.allocator = Allocator()
        self.answers = Answers(formatdate(usegmt=True))
        self.is_draining = False
        self.is_collecting = False
        """Answers that are made now may be written at the end of them all."""
        self._loop = loop
        self._connections: set[Member] = set()
        self._refused: set[Member] = set()
        self._collected: list[Connection] = []
        self._servers: list[asyncio.Server] = []
        self._entrances: list[_Entrance] = []
        is_shared = settings.grpc_port is None and not settings.tls_certificate
        self.may_turn = is_shared and calls is not None
        """A connection may turn out to speak gRPC."""
        self._timer: asyncio.TimerHandle | None = None
        self._tick_s = _tick_s(settings)

    def adapt(self, settings: ServerSettings) -> None:
        """Take on other limits and deadlines; what is under way keeps the deadline that it has."""
        self.settings = settings
        self._tick_s = _tick_s(settings)
        self.heads.limits = _limits(settings)
        self.heads.known.clear()
        self.call_heads.adapt(settings.max_head_bytes)
        self.room.limit_bytes = settings.max_pending_bytes

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def under_way(self) -> int:
        """How many requests are with the application."""
        return sum(c.is_asked for c in self._connections)

    async def listen(
        self,
        listening: socket.socket,
        context: ssl.SSLContext | None = None,
        *,
        is_grpc: bool = False,
    ) -> None:
        """Accept connections from a listening socket, over TLS if a context is given."""
        entrance = _Entrance(listening.dup(), _place(listening), context, is_grpc)
        self._entrances.append(entrance)
        is_unix = listening.family == socket.AF_UNIX
        create = self._loop.create_unix_server if is_unix else self._loop.create_server
        server = await create(
            self._maker(entrance),
            sock=listening,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=self._handshake_s(context),
        )
        self._servers.append(server)
        if self._timer is None:
            self._tick()

    def _maker(self, entrance: _Entrance) -> Callable[[], asyncio.Protocol]:
        if not entrance.is_grpc:
            return lambda: Connection(self)
        from headway.server.grpc import GrpcConnection  # noqa: PLC0415  (only for who speaks it)

        return lambda: GrpcConnection(self)

    def drain(self) -> None:
        """From now on, close each connection with its next answer."""
        self.is_draining = True
        for connection in tuple(self._connections):
            connection.drain()

    async def end_listening(self) -> None:
        """Take the connections that wait to be accepted, then stop listening: none of them is lost."""
        waiting = [sock for entrance in self._entrances for sock in accepted(entrance.queue)]
        self.stop_listening()
        await self.adopt(waiting)

    async def adopt(self, waiting: Iterable[socket.socket]) -> None:
        """Serve connections that somebody has accepted for us; over when all handshakes are."""
        await asyncio.gather(*map(self._adopt, waiting))

    async def _adopt(self, sock: socket.socket) -> None:
        place = _place(sock)
        entrance = next((e for e in self._entrances if e.place == place), self._entrances[0])
        with contextlib.suppress(OSError):  # it has left meanwhile, or is silent
            await self._loop.connect_accepted_socket(
                self._maker(entrance),
                sock,
                ssl=entrance.context,
                ssl_handshake_timeout=self._handshake_s(entrance.context),
            )

    def _handshake_s(self, context: ssl.SSLContext | None) -> float | None:
        return self.settings.head_timeout_s if context else None

    def stop_listening(self) -> None:
        """Accept no more connections, and close those that no request is under way on."""
        self.drain()
        while self._servers:
            self._servers.pop().close()
        for entrance in self._entrances:
            entrance.queue.close()
        self.idle_deadline = self.now() + _LAST_S
        for connection in tuple(self._connections):
            connection.close_idle()

    def give_up(self) -> None:
        """Wait no longer for requests of which not all has come."""
        for connection in tuple(self._connections):
            connection.give_up()

    def close(self) -> None:
        """End everything now."""
        self.stop_listening()
        for connection in (*self._connections, *self._refused):
            connection.cut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def admit(self, connection: Member) -> bool:
        """Count a connection in, unless there are too many."""
        limit = self.settings.max_connections
        if len(self._connections) < limit:
            self._connections.add(connection)
            if self._tally is not None:
                self._tally.opened()
            return True
        if self._tally is not None:
            self._tally.refused()
        if len(self._refused) < limit:
            self._refused.add(connection)
        else:
            connection.cut()
        return False

    def replace(self, connection: Member, socket: Member) -> None:
        """Count on with what has taken a connection's place."""
        self._connections.discard(connection)
        self._connections.add(socket)

    def forget(self, connection: Member) -> None:
        """Count a connection out."""
        if self._tally is not None and connection in self._connections:
            self._tally.closed()
        self._connections.discard(connection)
        self._refused.discard(connection)

    def begin(self) -> None:
        """Answers follow, of several connections: make them all, then write them.

        A write may wake its client, which takes the core at once if it is on this machine; the next answer would be
        made with cold caches.
        """
        self.is_collecting = True

    def collect(self, connection: Connection) -> None:
        """Let a connection write when all have been made."""
        self._collected.append(connection)

    def end(self) -> None:
        """Write them."""
        self.is_collecting = False
        collected, self._collected = self._collected, []
        for connection in collected:
            connection.let_go()

    def _tick(self) -> None:
        now = self._loop.time()
        idle_s = self.settings.idle_timeout_s if self._servers else _LAST_S
        self.idle_deadline = now + self._tick_s + idle_s
        self.answers.set_date(formatdate(time.time(), usegmt=True))
        due = [c for c in (*self._connections, *self._refused) if c.deadline <= now]
        for connection in due:
            connection.expire()
        self._timer = self._loop.call_later(self._tick_s, self._tick)


def _place(sock: socket.socket) -> int | str:
    """The port of a socket of ours, or its path."""
    name = sock.getsockname()
    return name if isinstance(name, str) else int(name[1])


def _limits(settings: ServerSettings) -> Limits:
    return Limits(
        max_head_bytes=settings.max_head_bytes,
        max_headers=settings.max_headers,
        max_target_bytes=settings.max_target_bytes,
        max_body_bytes=settings.max_body_bytes,
        aliases=dict(
            (name.strip(), path.strip())
            for name, _, path in (pair.partition("=") for pair in settings.aliases.split(","))
            if path
        ),
        root_path=settings.root_path,
    )


def _tick_s(settings: ServerSettings) -> float:
    shortest_s = min(settings.head_timeout_s, settings.body_timeout_s, settings.idle_timeout_s)
    return min(_TICK_S, shortest_s / 4)
