"""One WebSocket (RFC 6455) after its handshake: messages to the request that is under way, its answers to messages.

It takes the connection's place when a worker has begun with the stream. A text message is an item in JSON, a binary
one an item's bytes, an empty text message the end of the input; each answer is a text message. Frames are wsproto's
business. Not here: which model is asked, and whether it may be (`app`).
"""

import asyncio
from typing import TYPE_CHECKING

from wsproto.connection import SERVER, ConnectionState
from wsproto.connection import Connection as Frames
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage

from headway.engine.frames import BINARY, LAST, TEXT
from headway.protocols import Reply

if TYPE_CHECKING:
    from headway.server.listener import Listener

_LINGER_S = 2.0
"""A client has so long to answer a close."""
_AT_ONCE = 256
"""Events of one client that are looked at before the others have a turn."""
_MAX_REASON_BYTES = 123
_CODES = (1000, 1007, 1013, 1011, 1011, 1011, 1000, 1011)
"""RFC 6455 section 7.4.1, by the outcome of the request (`observe.metrics.OUTCOMES`)."""
_GOING_AWAY, _TOO_BIG, _FAILED = 1001, 1009, 1011


class WebSocket(asyncio.Protocol):
    """One WebSocket; to the application, an `Exchange`."""

    def __init__(
        self, listener: "Listener", transport: asyncio.Transport, token: int, serial: int
    ) -> None:
        self._listener = listener
        self._transport = transport
        self._frames = Frames(SERVER)
        self._serial = serial
        self._parts: list[bytes] = []
        self._size = 0
        self._is_fed = False
        """The input has ended."""
        self._is_held = self._is_choked = self._is_working = False
        self._is_paused = False
        self.token = token
        self.is_asked = True
        self.deadline = listener.now() + listener.settings.idle_timeout_s

    # What the transport calls

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it; if it was not closed in good order, the client has left."""
        self._listener.forget(self)
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self._frames.state is ConnectionState.CLOSED:
            return
        self._frames.receive_data(data)
        if not self._is_working:
            self._work()

    def pause_writing(self) -> None:
        """Wait for a client that does not take its answers: nothing more is read of it meanwhile."""
        self._is_choked = True
        self.deadline = self._listener.now() + self._listener.settings.write_timeout_s
        if self.is_asked:
            self._listener.app.choked(self, is_choked=True)
        self._set_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_choked = False
        self._moved()
        if self.is_asked:
            self._listener.app.choked(self, is_choked=False)
        self._go_on()

    # What the application calls

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Tell the error that ended the stream before its first answer."""
        if self.is_asked:
            self._say(TextMessage(reply.body.decode()))
            self._close(_FAILED if reply.status >= 500 else 1007)

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """It has begun already."""

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Send the next answer."""
        if self.is_asked and data:
            self._say(TextMessage(data.decode()))
            self._moved()

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """Close: all has been said."""
        if self.is_asked:
            self.is_asked = False
            self._close(_CODES[outcome])

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Close in the middle, and say why."""
        if self.is_asked:
            self.send_chunk(serial, last)
            self.is_asked = False
            self._close(_GOING_AWAY if self._listener.is_draining else _FAILED)

    def hold_input(self, *, is_held: bool) -> None:
        """Read nothing more while the predictor does not take what there is, or go on."""
        self._is_held = is_held
        self._moved()
        self._go_on()

    # What the listener calls

    def expire(self) -> None:
        """Act on a deadline that is over."""
        if self._is_choked or self._frames.state is not ConnectionState.OPEN:
            self.cut()
        else:
            idle_s = self._listener.settings.idle_timeout_s
            self._close(_GOING_AWAY, f"no message came or went for {idle_s:g} s")

    def drain(self) -> None:
        """The same as below: a stream ends by itself."""

    def close_idle(self) -> None:
        """A stream is under way, and ends by itself or with the server."""

    def give_up(self) -> None:
        """The same."""

    def cut(self) -> None:
        """End it at once."""
        self._leave()
        self._transport.abort()

    # Frames

    def _work(self) -> None:
        """Look at what has come, and let others have a turn in between."""
        self._is_working = False
        if self._transport.is_closing():
            return
        for count, event in enumerate(self._frames.events(), 1):
            self._hear(event)
            if self._is_held or self._is_choked or self._transport.is_closing():
                return
            if count == _AT_ONCE:
                self._is_working = True
                self._set_reading()
                asyncio.get_running_loop().call_soon(self._go_on_working)
                return

    def _go_on_working(self) -> None:
        self._work()
        self._set_reading()

    def _hear(self, event: Event) -> None:
        if isinstance(event, CloseConnection):
            self._hear_close(event)
        elif self._frames.state is ConnectionState.OPEN:
            if not isinstance(event, Message) or event.message_finished:
                self._moved()
            if isinstance(event, Ping):
                self._say(event.response())
            elif isinstance(event, TextMessage | BytesMessage):
                self._gather(event)

    def _hear_close(self, event: CloseConnection) -> None:
        state = self._frames.state
        if state is ConnectionState.OPEN:  # the client broke the protocol
            self._close(event.code, event.reason or "")
            return
        if state is ConnectionState.REMOTE_CLOSING:
            self._say(event.response())
        self._leave()
        self._transport.close()

    def _gather(self, event: "TextMessage | BytesMessage") -> None:
        is_text = isinstance(event, TextMessage)
        data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        self._size += len(data)
        limit = self._listener.settings.max_message_bytes
        if self._size > limit:
            self._close(_TOO_BIG, f"a message is larger than the limit of {limit} bytes")
            return
        if data:
            self._parts.append(data)
        if event.message_finished:
            whole, self._parts, self._size = b"".join(self._parts), [], 0
            self._feed(whole, is_text=is_text)

    def _feed(self, data: bytes, *, is_text: bool) -> None:
        if self._is_fed or not self.is_asked:
            return
        self._is_fed = is_text and not data
        kind = LAST if self._is_fed else TEXT if is_text else BINARY
        self._listener.app.feed(self, data, kind)

    def _say(self, event: Event) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._frames.send(event))

    def _close(self, code: int, reason: str = "") -> None:
        self._leave()
        if self._frames.state is ConnectionState.OPEN:
            short = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
            self._say(CloseConnection(code, short or None))
            self.deadline = self._listener.now() + _LINGER_S
            self._go_on()

    def _leave(self) -> None:
        if self.is_asked:
            self.is_asked = False
            self._is_held = False
            self._listener.app.left(self, self._serial)

    def _moved(self) -> None:
        """A message came or went."""
        if not self._is_choked and self._frames.state is ConnectionState.OPEN:
            self.deadline = self._listener.now() + self._listener.settings.idle_timeout_s

    def _go_on(self) -> None:
        if not (self._is_held or self._is_choked or self._is_working):
            self._is_working = True
            asyncio.get_running_loop().call_soon(self._go_on_working)
        self._set_reading()

    def _set_reading(self) -> None:
        is_paused = self._is_held or self._is_choked or self._is_working
        if is_paused is self._is_paused or self._transport.is_closing():
            return
        self._is_paused = is_paused
        if is_paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
