"""One client's connection: bytes to whole requests for the application, its answers back to bytes.

One request at a time is with the application; what the client sends meanwhile waits, within a
limit. Every answer names its request's serial number, so a late one never answers the next request.
A request whose answer its head alone decides is asked as soon as that is here; no byte of its body is kept.
A client that closes its side, or half of it, has left. Deadlines are absolute: no byte that arrives
moves them, but for a body, whose deadline moves with its size.
"""

import asyncio
import dataclasses
import math
from typing import TYPE_CHECKING

from headway.protocols import Reply
from headway.server.answer import CONTINUE, LAST_CHUNK, chunk
from headway.server.exchange import Exchange
from headway.server.handshake import accept
from headway.server.http1 import FramingError, Head, Reader, Request

if TYPE_CHECKING:
    from headway.server.listener import Listener

_IDLE, _HEAD, _BODY = range(3)
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\n"
"""How a client begins that speaks HTTP/2 without having been asked to (RFC 9113 section 3.3)."""
_MAX_BACKLOG_BYTES = 64 * 2**10
_MAX_JOINED_BYTES = 64 * 2**10
_MAX_DROPPED_BYTES = 64 * 2**10
"""Of a body that nobody wants; where more of it is to come, the connection ends with the answer."""
_LINGER_S = 2.0
_MAX_LINGER_S = 30.0
"""A client that goes on sending after its last answer is listened to for so long, and heard by nobody."""


class Connection(asyncio.Protocol):
    """One connection; to the application, an `Exchange`."""

    __slots__ = (
        *(
            "_body_due",
            "_counted_bytes",
            "_head",
            "_held",
            "_is_advancing",
            "_is_asked",
            "_is_choked",
            "_is_ending",
        ),
        *("_is_reading", "_is_streaming", "_linger_until", "_listener", "_phase", "_reader"),
        *("_serial", "_transport", "deadline", "token"),
    )

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._reader = Reader(listener.heads)
        self._transport: asyncio.Transport | None = None
        self._head: Head | None = None
        self._held = b""
        self._serial = 0
        self._phase = _IDLE
        self._body_due = 0.0
        self._counted_bytes = 0
        self._linger_until = 0.0
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
        self._give_back()
        self._leave()

    def eof_received(self) -> None:
        """Close: a client that closes its half has left."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self._is_ending:
            if not self._is_choked:
                self.deadline = min(self._listener.now() + _LINGER_S, self._linger_until)
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
        if self._is_streaming:
            self._listener.app.choked(self, is_choked=True)

    def resume_writing(self) -> None:
        """Go on: the client has taken what was sent."""
        self._is_choked = False
        if self._is_streaming:
            self._listener.app.choked(self, is_choked=False)
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
        body = reply.body if head.method != "HEAD" else b""
        is_small = len(body) <= _MAX_JOINED_BYTES
        if self._listener.is_collecting and is_small and not self._held:
            self._held = start + body
            self._listener.collect(self)
        else:
            self._write(start, body)
        self._go_on(is_last=is_last)

    def let_go(self) -> None:
        """Write the answer that is held, if one is."""
        held, self._held = self._held, b""
        if held:
            self._write(held)

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> "Exchange | None":
        """Begin to answer the request `serial` in parts; a WebSocket takes this connection's place."""
        head = self._head
        if serial != self._serial or not self._is_asked or self._is_streaming or head is None:
            return None
        if reply.status == 101:
            return self._switch(head, request_id)
        self._is_streaming = True
        connection = "close" if self._is_last(head) else ""
        answers = self._listener.answers
        is_chunked = not head.is_http10
        if self._is_choked:  # by an earlier answer
            self._listener.app.choked(self, is_choked=True)
        self._write(answers.stream(reply, request_id, connection, is_chunked=is_chunked))
        self.send_chunk(serial, reply.body)
        return None

    def _switch(self, head: Head, request_id: str) -> "Exchange | None":
        from headway.server.websocket import WebSocket  # noqa: PLC0415  (wsproto, for who asks for it)

        self.let_go()
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return None
        socket = WebSocket(self._listener, transport, self.token, self._serial)
        transport.write(accept(head, request_id))
        transport.set_protocol(socket)
        self._listener.replace(self, socket)
        self._is_asked, self._is_ending = False, True
        if self._is_choked:
            socket.pause_writing()
        if not self._is_reading:
            transport.resume_reading()
        if rest := self._reader.take_rest():
            socket.data_received(rest)
        return socket

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Send the next part of a stream; who makes it is told to wait while the client does not take it."""
        head = self._streamed(serial)
        if head is not None and data and head.method != "HEAD":
            self._write(data if head.is_http10 else chunk(data))

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """End a stream; its last part has said how it ended."""
        head = self._streamed(serial)
        if head is None:
            return
        if head.method != "HEAD" and not head.is_http10:
            self._write(LAST_CHUNK)
        is_last = self._is_last(head)
        self._is_asked = self._is_streaming = False
        self._go_on(is_last=is_last)

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Cut the answer to the request `serial` off, after a last part: without the mark of an end."""
        if serial != self._serial or not self._is_asked:
            return
        head = self._streamed(serial)
        has_mark = head is not None and not head.is_http10 and not self._is_choked
        if last and has_mark:
            self.send_chunk(serial, last)
        self._is_asked = self._is_streaming = False
        if last and has_mark:
            self._end(is_lingering=False)
        else:
            self.cut()

    def hold_input(self, *, is_held: bool) -> None:
        """Nothing is sent on: a request is whole before it is asked."""

    def _streamed(self, serial: int) -> Head | None:
        return self._head if serial == self._serial and self._is_streaming else None

    def _is_last(self, head: Head) -> bool:
        """Whether the connection ends with this answer, as a stream without chunks must."""
        is_unframed = self._is_streaming and head.is_http10
        return not head.is_keep_alive or is_unframed or self._listener.is_draining

    def expire(self) -> None:
        """Act on a deadline that is over."""
        settings = self._listener.settings
        if self._is_choked or (self._is_ending and self._is_closing()):
            self.cut()
        elif self._is_ending:
            self._close()
        elif self._phase == _HEAD:
            limit = f"{settings.head_timeout_s:g} s"
            self._refuse(FramingError(408, f"the request's head did not arrive within {limit}"))
        elif self._phase == _BODY:
            self._refuse(FramingError(408, "the request's body arrived too slowly"))
        else:
            self._end(is_lingering=False)

    def drain(self) -> None:
        """Nothing can be told before the next answer, with which the connection ends."""

    def close_idle(self) -> None:
        """Close the connection unless a request is under way; a new one may still send its first, soon."""
        if not self._is_asked and not self._is_ending and self._reader.is_empty:
            if self._serial:
                self._end(is_lingering=False)
            else:
                self.deadline = self._listener.idle_deadline

    def give_up(self) -> None:
        """Refuse a request of which not all has come."""
        if not self._is_asked and not self._reader.is_empty:
            self._refuse(FramingError(503, "the server has stopped"))

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
                request = self._reader.next_request() or self._await_more()
                if request is None:
                    break
                self._ask(*request)
        except FramingError as e:
            if self._serial or not self._listener.may_turn or not self._reader.begins_with(_HTTP2):
                self._refuse(e)
            else:
                self._turn_to_grpc()
        finally:
            self._is_advancing = False

    def _turn_to_grpc(self) -> None:
        from headway.server.grpc import GrpcConnection  # noqa: PLC0415  (only for who speaks it)

        transport, self._transport = self._transport, None
        self._is_ending = True
        if transport is not None and not transport.is_closing():
            grpc = GrpcConnection(self._listener)
            transport.set_protocol(grpc)
            self._listener.replace(self, grpc)
            grpc.take_over(transport, self._reader.take_rest())

    def _ask(self, head: Head, body: bytes) -> None:
        self._serial += 1
        self._head = head
        self._phase = _IDLE
        if self._counted_bytes:
            self._give_back()
        self._is_asked = True
        self.deadline = math.inf
        self._listener.app.ask(head, body, self, self._serial)

    def _await_more(self) -> Request | None:
        """Set the deadline of what is to come; a request that can be asked without it is given."""
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
                if not reader.is_dropping:
                    if not listener.app.needs_body(reader.head):
                        return self._without_body(reader.head)
                    listener.room.expect(reader.head.content_length)
                    if reader.head.expects_continue and not reader.body_bytes:
                        self._write(CONTINUE)
            arrived = reader.body_bytes
            if arrived != self._counted_bytes and not reader.is_dropping:
                more, self._counted_bytes = arrived - self._counted_bytes, arrived
                listener.room.take(more, arrived)
                listener.allocator.expect(arrived)
            self.deadline = self._body_due + arrived / listener.settings.min_body_rate
        return None

    def _without_body(self, head: Head) -> Request:
        """The request of which the head is here, with an empty body; a small rest is read past, and no large one.

        RFC 9110 section 10.1.1: a server that does not send 100 (Continue) may close "the connection if the
        client [...] is sending a large request content". Who waits for it may send no body at all.
        """
        missing = head.content_length - self._reader.body_bytes
        self._reader.drop_body()
        if head.is_chunked or head.expects_continue or missing > _MAX_DROPPED_BYTES:
            head = dataclasses.replace(head, is_keep_alive=False)
        return head, b""

    def _go_on(self, *, is_last: bool) -> None:
        if is_last:
            is_all_read = self._head is not None and not self._head.is_keep_alive
            self._end(is_lingering=not is_all_read or self._reader.is_dropping)
        elif self._reader.is_empty and not self._is_choked and self._is_reading:
            self.deadline = self._listener.idle_deadline
        else:
            self._advance()

    def _write(self, start: bytes, body: bytes = b"") -> None:
        if self._held:
            self.let_go()
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
        if self._reader.is_dropping:  # this request has had its answer
            self._end(is_lingering=False)
            return
        self._is_ending = True
        reply, request_id = self._listener.app.refuse(error, self._reader.head)
        body = b"" if self._reader.is_head_only else reply.body
        self._write(self._listener.answers.whole(reply, request_id, "close"), body)
        self._end(is_lingering=True)

    def _end(self, *, is_lingering: bool) -> None:
        """Close once all is sent.

        A client that may still be sending is listened to for a while: closing at once would reset
        the connection, and with it the answer (RFC 9112 section 9.6).
        """
        self.let_go()
        self._is_ending = True
        self._reader.drop()
        self._give_back()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not is_lingering:
            self._close()
            return
        now, write_timeout_s = self._listener.now(), self._listener.settings.write_timeout_s
        self.deadline = now + (write_timeout_s if self._is_choked else _LINGER_S)
        self._linger_until = now + _MAX_LINGER_S
        self._set_reading(is_reading=True)
        if transport.can_write_eof():  # which TLS can't: there the answer's length tells its end
            transport.write_eof()

    def _close(self) -> None:
        """Close once all is sent, or when the client has not taken it in time."""
        wait_s = self._listener.settings.write_timeout_s if self._is_choked else _LINGER_S
        self.deadline = self._listener.now() + wait_s
        if self._transport is not None:
            self._transport.close()

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _give_back(self) -> None:
        self._listener.room.give_back(self._counted_bytes)
        self._counted_bytes = 0

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
