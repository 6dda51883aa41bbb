"""One client's gRPC connection: bytes to calls by HTTP/2, answers to bytes; its deadlines, and its end.

Many calls are with the application at a time. A client that closes its side has left. A connection is asked to end
when the server drains, and ends when its last call is answered. Not here: frames (`http2`), calls (`calls`).
"""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.config import ServerSettings
from headway.errors import HeadwayError
from headway.protocols import Route
from headway.server.calls import Call, Conversation, Single, Watch
from headway.server.grpc_heads import Malformed, NotGrpc
from headway.server.grpc_messages import NOT_GRPC
from headway.server.hpack import Fields
from headway.server.http2 import Session
from headway.server.http2_frames import CANCEL, PROTOCOL_ERROR, Limits, Stream
from headway.server.room import Room

if TYPE_CHECKING:
    from headway.server.listener import Listener

_LINGER_S = 2.0


class GrpcConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        assert listener.calls is not None
        self.app = listener.calls
        """What answers."""
        self.now = listener.now()
        settings = listener.settings
        limits = Limits(settings.max_head_bytes, settings.max_headers)
        self.session = Session(limits, self, self.now)
        self._greeted_by = self.now + settings.head_timeout_s
        self._choked_until = math.inf
        self._idle_until = math.inf
        self._is_receiving = False
        self._is_told = self._is_last = self._is_ending = False
        self.deadline = self._greeted_by

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or hang up: there are too many."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport
        if self._listener.admit(self):
            self.flush()
        else:
            self.cut()

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Go on with a connection on which HTTP/1.1 was expected."""
        self._transport = transport
        self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it; whoever still waits has left."""
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
        self.now = self._listener.now()
        self._is_receiving = True
        self.session.receive(data, self.now)
        self._is_receiving = False
        self.flush()
        if self.session.is_over:
            self._end()

    def pause_writing(self) -> None:
        """Wait for a client that does not take its answers: nothing more is read of it meanwhile."""
        self._choked_until = self._listener.now() + self.settings.write_timeout_s
        self.note(self._choked_until)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._choked_until = math.inf
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # What the session tells

    def begun(self, stream: Stream, fields: Fields, *, is_end: bool) -> None:
        """A call has begun."""
        try:
            call_head, timeout_s = self._listener.call_heads.read(fields)
        except Malformed:
            self.session.fault(stream, PROTOCOL_ERROR)
            return
        except NotGrpc:
            self.session.out.send_head(stream, NOT_GRPC, is_end=True)
            return
        stream.announced = call_head.content_length
        error, route = call_head.error, None
        if error is None:
            try:
                route = self.app.route(call_head.head)
            except HeadwayError as e:
                error = e
        call = stream.call = _shape(route)(self, stream, call_head, timeout_s)
        if error is not None:
            call.refuse(error)
        elif is_end:
            call.received(b"", is_end=True)
        else:
            call.await_message()

    def received(self, stream: Stream, data: bytes, *, is_end: bool) -> None:
        """Data of a call has come."""
        stream.call.received(data, is_end=is_end)

    def lost(self, stream: Stream) -> None:
        """A call was given up."""
        if stream.call is not None:
            stream.call.lost()

    def drained(self, stream: Stream) -> None:
        """What waited of a call has been sent."""
        stream.call.drained()

    # What calls need

    @property
    def settings(self) -> ServerSettings:
        """Limits and deadlines, as they are now."""
        return self._listener.settings

    @property
    def room(self) -> Room:
        """How much of messages may be held."""
        return self._listener.room

    def note(self, due: float) -> None:
        """Look again when this is over."""
        self.deadline = min(self.deadline, due)

    def is_open(self, stream: Stream) -> bool:
        """Whether a stream is not closed."""
        return self.session.open.get(stream.id) is stream

    def drop(self, stream: Stream) -> None:
        """Close a stream whose client does not take its answer."""
        self.session.reset(stream, CANCEL)

    def later(self, act: Callable[[], None], wait_s: float = 0.0) -> None:
        """Do something when others have had a turn."""
        self._loop.call_later(wait_s, act)

    def flush(self) -> None:
        """Write what there is to write, unless more is about to come."""
        if self._is_receiving:
            return
        transport = self._transport
        if self._listener.is_draining and not self._is_told and self.session.is_greeted:
            self.drain()
        if transport is None or transport.is_closing():  # uvloop would raise
            return
        if self.session.out.has_some:
            transport.write(self.session.out.take())
        if not self.session.open:
            self._rest()

    def _rest(self) -> None:
        """No call is under way."""
        if self._is_last:
            self._end()
        elif self.session.is_greeted:
            self._idle_until = self._listener.idle_deadline
            self.note(self._idle_until)

    # What the listener calls

    @property
    def is_asked(self) -> bool:
        """A call is with the application."""
        return any(
            stream.call is not None and stream.call.is_asked
            for stream in self.session.open.values()
        )

    def drain(self) -> None:
        """Ask the client to make its next calls elsewhere; those that come here meanwhile are answered."""
        if not self._is_told and self.session.is_greeted:
            self._is_told = True
            self.session.go_away(is_last=False)
            self.flush()

    def close_idle(self) -> None:
        """Take no new calls, and end with the last of those under way."""
        if self._is_ending or self._is_last:
            return
        if not self.session.is_greeted:
            self.deadline = self._listener.idle_deadline
            return
        self._is_told = self._is_last = True
        self.session.go_away(is_last=True)
        for call in self._calls():
            if isinstance(call, Conversation | Watch):
                call.stop()
        self.flush()

    def give_up(self) -> None:
        """Refuse calls of which not all has come."""
        for call in self._calls():
            call.stop()
        self.flush()

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._leave()
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """Act on the deadlines that are over."""
        now = self.now = self._listener.now()
        if self._is_ending or now >= self._choked_until:
            self.cut()
            return
        if not self.session.is_greeted and now >= self._greeted_by:
            self.cut()
            return
        calls = self._calls()
        for call in calls:
            call.expire(now)
        self.flush()
        if self._is_ending:
            return
        if not self.session.open and now >= self._idle_until:
            self._is_last = True
            self.session.go_away(is_last=True)
            self.flush()
            return
        dues = [due for call in self._calls() for due in (call.due, call.ends_at) if due > now]
        head_due = math.inf if self.session.is_greeted else self._greeted_by
        idle_due = math.inf if self.session.open else self._idle_until
        self.deadline = min([self._choked_until, head_due, idle_due, *dues])

    def _calls(self) -> list[Call]:
        return [s.call for s in self.session.open.values() if s.call is not None]

    def _end(self) -> None:
        """Close once all is sent."""
        if self._is_ending:
            return
        self._is_ending = True
        self._leave()
        self.deadline = self._listener.now() + _LINGER_S
        if self._transport is not None:
            self._transport.close()

    def _leave(self) -> None:
        for call in self._calls():
            call.lost()
        self.session.open.clear()


def _shape(route: Route | None) -> type[Call]:
    if route is not None and route.is_bidi:
        return Conversation
    return Watch if route is not None and route.is_watch else Single
