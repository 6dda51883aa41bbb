"""One client's connection: bytes to whole requests for the application, its answers back to bytes.

One request at a time is with the application; what the client sends meanwhile waits, within a
limit. Every answer names its request's serial number, so a late one never answers the next request.
A client that closes its side, or half of it, has left. Deadlines are absolute: no byte that arrives
moves them, but for a body, whose deadline moves with its size.
"""

import asyncio
import contextlib
import math
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import formatdate

from headway.config import ServerSettings
from headway.observe.metrics import GatewayTally
from headway.protocols import Reply
from headway.server.answer import CONTINUE, LAST_CHUNK, Answers, chunk
from headway.server.exchange import App, Exchange
from headway.server.http1 import FramingError, Head, Heads, Limits, Reader

__all__ = ["App", "Connection", "Exchange", "Listener"]

_IDLE, _HEAD, _BODY = range(3)
_MAX_BACKLOG_BYTES = 64 * 2**10
_MAX_JOINED_BYTES = 64 * 2**10
_MAX_STREAM_BACKLOG_BYTES = 2**20
"""Of a stream that its client has not taken: a model does not wait for it, and memory is not endless."""
_LINGER_S = 2.0
_LAST_S = 1.0
"""Who has connected just before the end may send a first request within this."""
_TICK_S = 0.25
_BACKLOG = 2048


class Connection(asyncio.Protocol):
    """One connection; to the application, an `Exchange`."""

    __slots__ = (
        *("_body_due", "_head", "_is_advancing", "_is_asked", "_is_choked", "_is_ending"),
        *("_is_reading", "_is_streaming", "_listener", "_phase", "_reader", "_serial"),
        *("_transport", "deadline", "token"),
    )

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._reader = Reader(listener.heads)
        self._transport: asyncio.Transport | None = None
        self._head: Head | None = None
        self._serial = 0
        self._phase = _IDLE
        self._body_due = 0.0
        self._is_asked = False
        self._is_streaming = False
        self._is_advancing = False
        self._is_choked = False
        self._is_ending = False
        self._is_reading = True
        self.deadline = math.inf
        self.token = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it: there are too many."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport
        if self._listener.admit(self):
            self.deadline = self._listener.idle_deadline
        else:
            limit = self._listener.settings.max_connections
            self._refuse(FramingError(503, f"there are {limit} connections already"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the application if it had a request of it."""
        self._transport = None
        self._is_ending = True
        self._listener.forget(self)
        self._leave()

    def eof_received(self) -> None:
        """Close: a client that closes its half has left."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self._is_ending:
            return
        self._reader.feed(data)
        if not self._is_asked:
            self._advance()
        is_waiting = self._is_asked or self._is_choked
        if is_waiting and self._reader.pending_bytes > _MAX_BACKLOG_BYTES:
            self._set_reading(is_reading=False)

    def pause_writing(self) -> None:
        """Begin the time in which the client must take its answer."""
        self._is_choked = True
        self.deadline = self._listener.now() + self._listener.settings.write_timeout_s

    def resume_writing(self) -> None:
        """Go on: the client has taken what was sent."""
        self._is_choked = False
        if self._is_ending:
            self.deadline = self._listener.now() + _LINGER_S
        elif self._is_asked:
            self.deadline = math.inf
        else:
            self._advance()

    @property
    def is_asked(self) -> bool:
        """A request is with the application."""
        return self._is_asked

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Answer the request `serial`; nothing happens if it is over."""
        if serial != self._serial or not self._is_asked:
            return
        head = self._head
        if self._is_streaming or head is None:
            self.abort(serial)
            return
        is_last = self._is_last(head)
        connection = "close" if is_last else "keep-alive" if head.is_http10 else ""
        start = self._listener.answers.whole(reply, request_id, connection)
        self._is_asked = False
        self._write(start, reply.body if head.method != "HEAD" else b"")
        self._go_on(is_last=is_last)

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Begin to answer the request `serial` in parts."""
        head = self._head
        if serial != self._serial or not self._is_asked or self._is_streaming or head is None:
            return
        self._is_streaming = True
        connection = "close" if self._is_last(head) else ""
        answers = self._listener.answers
        is_chunked = not head.is_http10
        self._write(answers.stream(reply, request_id, connection, is_chunked=is_chunked))
        self.send_chunk(serial, reply.body)

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Send the next part of a stream; cut off a client that leaves too much of it untaken."""
        head = self._streamed(serial)
        if head is None or not data or head.method == "HEAD":
            return
        transport = self._transport
        if transport and transport.get_write_buffer_size() > _MAX_STREAM_BACKLOG_BYTES:
            self.cut()
        else:
            self._write(data if head.is_http10 else chunk(data))

    def end_stream(self, serial: int) -> None:
        """End a stream."""
        head = self._streamed(serial)
        if head is None:
            return
        if head.method != "HEAD" and not head.is_http10:
            self._write(LAST_CHUNK)
        is_last = self._is_last(head)
        self._is_asked = self._is_streaming = False
        self._go_on(is_last=is_last)

    def abort(self, serial: int) -> None:
        """Cut the answer to the request `serial` off."""
        if serial == self._serial and self._is_asked:
            self._is_asked = self._is_streaming = False
            self.cut()

    def _streamed(self, serial: int) -> Head | None:
        return self._head if serial == self._serial and self._is_streaming else None

    def _is_last(self, head: Head) -> bool:
        """Whether the connection ends with this answer, as a stream without chunks must."""
        is_unframed = self._is_streaming and head.is_http10
        return not head.is_keep_alive or is_unframed or self._listener.is_draining

    def expire(self) -> None:
        """Act on a deadline that is over."""
        settings = self._listener.settings
        if self._is_ending or self._is_choked:
            self.cut()
        elif self._phase == _HEAD:
            limit = f"{settings.head_timeout_s:g} s"
            self._refuse(FramingError(408, f"the request's head did not arrive within {limit}"))
        elif self._phase == _BODY:
            self._refuse(FramingError(408, "the request's body arrived too slowly"))
        else:
            self._end(is_lingering=False)

    def close_idle(self) -> None:
        """Close the connection unless a request is under way; a new one may still send its first, soon."""
        if not self._is_asked and not self._is_ending and self._reader.is_empty:
            if self._serial:
                self._end(is_lingering=False)
            else:
                self.deadline = self._listener.idle_deadline

    def cut(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._leave()
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Give the application the next request, or wait for more of it."""
        if self._is_advancing:  # an answer at once, from inside `ask`: the loop below goes on
            return
        self._is_advancing = True
        try:
            while not (self._is_asked or self._is_ending or self._is_choked):
                request = self._reader.next_request()
                if request is None:
                    self._await_more()
                    break
                self._ask(*request)
        except FramingError as e:
            self._refuse(e)
        finally:
            self._is_advancing = False

    def _ask(self, head: Head, body: bytes) -> None:
        self._serial += 1
        self._head = head
        self._phase = _IDLE
        self._is_asked = True
        self.deadline = math.inf
        self._listener.app.ask(head, body, self, self._serial)

    def _await_more(self) -> None:
        reader, listener = self._reader, self._listener
        if not self._is_reading:
            self._set_reading(is_reading=True)
        if reader.is_empty:
            self._phase = _IDLE
            self.deadline = listener.idle_deadline
        elif reader.head is None:
            if self._phase != _HEAD:
                self._phase = _HEAD
                self.deadline = listener.now() + listener.settings.head_timeout_s
        else:
            if self._phase != _BODY:
                self._phase = _BODY
                self._body_due = listener.now() + listener.settings.body_timeout_s
                if reader.head.expects_continue and not reader.body_bytes:
                    self._write(CONTINUE)
            self.deadline = self._body_due + reader.body_bytes / listener.settings.min_body_rate

    def _go_on(self, *, is_last: bool) -> None:
        if is_last:
            head = self._head
            self._end(is_lingering=head is None or head.is_keep_alive)
        elif self._reader.is_empty and not self._is_choked and self._is_reading:
            self.deadline = self._listener.idle_deadline
        else:
            self._advance()

    def _write(self, start: bytes, body: bytes = b"") -> None:
        transport = self._transport
        if transport is None or transport.is_closing():  # uvloop would raise
            return
        if len(body) > _MAX_JOINED_BYTES:
            transport.writelines((start, body))
        else:
            transport.write(start + body if body else start)

    def _refuse(self, error: FramingError) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        reply, request_id = self._listener.app.refuse(error, self._reader.head)
        self._write(self._listener.answers.whole(reply, request_id, "close"), reply.body)
        self._end(is_lingering=True)

    def _end(self, *, is_lingering: bool) -> None:
        """Close once all is sent.

        A client that may still be sending is listened to for a while: closing at once would reset
        the connection, and with it the answer (RFC 9112 section 9.6).
        """
        self._is_ending = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wait_s = self._listener.settings.write_timeout_s if self._is_choked else _LINGER_S
        self.deadline = self._listener.now() + wait_s
        if is_lingering and transport.can_write_eof():
            self._set_reading(is_reading=True)
            transport.write_eof()
        else:
            transport.close()

    def _leave(self) -> None:
        if self._is_asked:
            self._is_asked = self._is_streaming = False
            self._listener.app.left(self, self._serial)

    def _set_reading(self, *, is_reading: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_reading == is_reading:
            return
        self._is_reading = is_reading
        if is_reading:
            transport.resume_reading()
        else:
            transport.pause_reading()


class Listener:
    """All connections of one gateway: what they share, and one timer for all of their deadlines.

    Args:
        app: what answers the requests.
        settings: limits and deadlines; `max_connections` is this gateway's own share.
        loop: the loop that it runs on.
        tally: counts its connections, if anybody wants to know.
    """

    def __init__(
        self,
        app: App,
        settings: ServerSettings,
        loop: asyncio.AbstractEventLoop,
        tally: GatewayTally | None = None,
    ) -> None:
        self.app = app
        self._tally = tally
        self.settings = settings
        self.now = loop.time
        self.idle_deadline = loop.time() + settings.idle_timeout_s
        """Of a connection that falls idle now; exact to a tick."""
        self.heads = Heads(
            Limits(
                max_head_bytes=settings.max_head_bytes,
                max_headers=settings.max_headers,
                max_target_bytes=settings.max_target_bytes,
                max_body_bytes=settings.max_body_bytes,
            )
        )
        self.answers = Answers(formatdate(usegmt=True))
        self.is_draining = False
        self._loop = loop
        self._connections: set[Connection] = set()
        self._refused: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._queues: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        """The listening sockets once more, for who waits in them at the end."""
        self._timer: asyncio.TimerHandle | None = None
        shortest_s = min(settings.head_timeout_s, settings.body_timeout_s, settings.idle_timeout_s)
        self._tick_s = min(_TICK_S, shortest_s / 4)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def under_way(self) -> int:
        """How many requests are with the application."""
        return sum(c.is_asked for c in self._connections)

    async def listen(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Accept connections from a listening socket, over TLS if a context is given."""
        timeout_s = self.settings.head_timeout_s if context else None
        self._queues.append((listening.dup(), context))
        is_unix = listening.family == socket.AF_UNIX
        create = self._loop.create_unix_server if is_unix else self._loop.create_server
        server = await create(
            lambda: Connection(self),
            sock=listening,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=timeout_s,
        )
        self._servers.append(server)
        if self._timer is None:
            self._tick()

    def drain(self) -> None:
        """From now on, close each connection with its next answer."""
        self.is_draining = True

    async def end_listening(self) -> None:
        """Take the connections that wait to be accepted, then stop listening: none of them is lost."""
        waiting = [(sock, tls) for queue, tls in self._queues for sock in _accepted(queue)]
        self.stop_listening()
        for sock, tls in waiting:
            with contextlib.suppress(OSError):  # it has left meanwhile
                await self._loop.connect_accepted_socket(lambda: Connection(self), sock, ssl=tls)

    def stop_listening(self) -> None:
        """Accept no more connections, and close those that no request is under way on."""
        self.drain()
        while self._servers:
            self._servers.pop().close()
        while self._queues:
            self._queues.pop()[0].close()
        self.idle_deadline = self.now() + _LAST_S
        for connection in tuple(self._connections):
            connection.close_idle()

    def close(self) -> None:
        """End everything now."""
        self.stop_listening()
        for connection in (*self._connections, *self._refused):
            connection.cut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def admit(self, connection: Connection) -> bool:
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

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        if self._tally is not None and connection in self._connections:
            self._tally.closed()
        self._connections.discard(connection)
        self._refused.discard(connection)

    def _tick(self) -> None:
        now = self._loop.time()
        idle_s = self.settings.idle_timeout_s if self._servers else _LAST_S
        self.idle_deadline = now + self._tick_s + idle_s
        self.answers.set_date(formatdate(time.time(), usegmt=True))
        due = [c for c in (*self._connections, *self._refused) if c.deadline <= now]
        for connection in due:
            connection.expire()
        self._timer = self._loop.call_later(self._tick_s, self._tick)


def _accepted(queue: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in a listening socket now."""
    queue.setblocking(False)
    with contextlib.suppress(OSError):  # BlockingIOError: that was the last one
        while True:
            sock, _ = queue.accept()
            sock.setblocking(False)
            yield sock
