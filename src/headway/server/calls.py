"""One gRPC call: its messages to questions for the application, the answers back to messages.

To the application it is an `Exchange`. It has one of three shapes: a question with its answer, or a stream of them
(`Single`); questions that follow each other on one stream and are answered one by one (`Conversation`); a question
that is asked again and again, and answered when the answer differs (`Watch`). Not here: frames (`http2`), deadlines
and the connection (`grpc`).
"""

import math
from typing import TYPE_CHECKING

from headway.errors import BadInput, BusyError, DeadlineError, HeadwayError, ServerStopped
from headway.observe.metrics import OUTCOMES
from headway.protocols import Reply
from headway.server.chunks import FramingError
from headway.server.grpc_heads import CallHead
from headway.server.grpc_messages import (
    OK,
    PREFIX_BYTES,
    Messages,
    framed,
    head,
    refusal,
    status_of,
    trailers,
)
from headway.server.http1 import Head
from headway.server.http2_frames import WINDOW_BYTES, Stream
from headway.server.room import SMALL_BYTES

if TYPE_CHECKING:
    from headway.server.grpc import GrpcConnection

_CHOKED_BYTES = 64 * 2**10
"""An answer in parts of which so much waits is not asked for more."""
_AT_ONCE = 64
"""Questions of one stream that are answered before others have a turn."""
_WATCH_S = 1.0
_STATUS = {
    "ok": 0,
    "caller": 3,
    "busy": 14,
    "deadline": 4,
    "model": 13,
    "worker": 14,
    "cancelled": 1,
}


class Call:
    """One call, whatever its shape."""

    __slots__ = (
        *("_counted_bytes", "_front", "_is_choked", "_is_head_sent", "_messages", "_serial"),
        *("_since", "_stream", "_timeout_s", "call_head", "due", "ends_at", "is_asked", "token"),
    )

    def __init__(
        self, front: "GrpcConnection", stream: Stream, call_head: CallHead, timeout_s: float | None
    ) -> None:
        self._front = front
        self._stream = stream
        self.call_head = call_head
        self._timeout_s = timeout_s
        self._serial = 0
        self._messages: Messages | None = None
        self._since = front.now
        """When the message under way has begun, or could have."""
        self._counted_bytes = 0
        self._is_head_sent = self._is_choked = False
        self.is_asked = False
        """A question is with the application."""
        self.due = math.inf
        """When the client must have done what it is waited for."""
        self.ends_at = math.inf if timeout_s is None else front.now + timeout_s
        """When the caller stops waiting; the application heeds it itself where it has a question."""
        self.token = 0

    # What comes

    def received(self, data: bytes, *, is_end: bool) -> None:
        """Take data of the stream."""
        try:
            self._take(data, is_end=is_end)
        except HeadwayError as e:
            self.refuse(e)

    def _take(self, data: bytes, *, is_end: bool) -> None:
        raise NotImplementedError

    def _feed(self, data: bytes) -> Messages:
        """Put data to what has come before; a large message is let in when its length is known."""
        if self._messages is None:
            self._messages = Messages(self._front.settings.max_body_bytes)
        self._messages.feed(data)
        return self._messages

    def _count(self, messages: Messages) -> None:
        """Count what is held of the message under way, and let the rest of it come. Raises BusyError."""
        missing, room = messages.missing, self._front.room
        try:
            if missing and not self._counted_bytes and missing > SMALL_BYTES:
                room.expect(missing)
            more, self._counted_bytes = messages.arrived - self._counted_bytes, messages.arrived
            if more > 0:
                room.take(more, messages.arrived)
            else:
                room.give_back(-more)
        except FramingError as e:
            raise BusyError(e.message) from e
        wanted = missing + PREFIX_BYTES - self._stream.receivable
        if missing and wanted > 0:
            self._front.session.grant(self._stream, wanted)

    def _ask(self, message: bytes, *, is_compressed: bool) -> None:
        asked: Head | None = self.call_head.deflated if is_compressed else self.call_head.head
        if asked is None:
            raise BadInput(
                where="message", expected="a grpc-encoding where it is compressed", found="none"
            )
        self._serial += 1
        self.is_asked = True
        self.due = math.inf
        timeout_s = self._timeout_s
        if timeout_s is not None:
            timeout_s = max(0.0, self.ends_at - self._front.now)
        self._front.app.ask(asked, message, self, self._serial, timeout_s)

    def await_message(self, arrived: int = 0) -> None:
        """Wait for a message, or the rest of it: the deadline moves with its size alone."""
        settings = self._front.settings
        self.due = self._since + settings.body_timeout_s + arrived / settings.min_body_rate
        self._front.note(min(self.due, self.ends_at))

    def lost(self) -> None:
        """The stream is gone."""
        self._give_back()
        self.due = math.inf
        if self.is_asked:
            self.is_asked = False
            self._front.app.left(self, self._serial)

    def expire(self, now: float) -> None:
        """Act on a deadline that is over."""
        if now >= self.ends_at and not self.is_asked:
            self.refuse(DeadlineError(timeout_s=self._timeout_s))
        elif now >= self.due:
            self._too_slow()

    def _too_slow(self) -> None:
        if self._stream.pending:
            self.lost()
            self._front.drop(self._stream)
        else:
            self.refuse(DeadlineError("the message did not arrive in time"))

    def stop(self) -> None:
        """The server ends: nothing more is waited for that has not been asked."""
        if not self.is_asked and not self._stream.pending:
            self.refuse(ServerStopped("the server is about to stop"))

    def refuse(self, error: HeadwayError) -> None:
        """End the call with an error of its own, and leave the question that is under way, if any."""
        if self.is_asked:
            self.lost()
        self._serial += 1
        self.is_asked = True
        self._front.app.refuse_call(error, self.call_head.head, self, self._serial)

    def _give_back(self) -> None:
        if self._counted_bytes:
            self._front.room.give_back(self._counted_bytes)
            self._counted_bytes = 0

    # What the application answers

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take a whole answer."""
        if serial != self._serial or not self.is_asked:
            return
        self.is_asked = False
        status, _ = status_of(reply)
        if status:
            self._end_with(reply, request_id)
        else:
            self._answered(reply, request_id)
        self._front.flush()

    def _answered(self, reply: Reply, request_id: str) -> None:
        raise NotImplementedError

    def _end_with(self, reply: Reply, request_id: str) -> None:
        """End the call with an error's status."""
        self._give_back()
        self.due = self.ends_at = math.inf
        if not self._is_head_sent:
            self._front.session.out.send_head(self._stream, refusal(reply, request_id), is_end=True)
        else:
            self._end(trailers(*status_of(reply)))

    def _end(self, block: bytes) -> None:
        self.ends_at = math.inf
        self._front.session.out.send(self._stream, b"", block)
        self._watch_pending()

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Begin an answer in parts."""
        if serial == self._serial and self.is_asked:
            self._send_head(request_id)
            self._front.flush()

    def _send_head(self, request_id: str) -> None:
        if not self._is_head_sent:
            self._is_head_sent = True
            self._front.session.out.send_head(self._stream, head(request_id))

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Send the next part, a message."""
        if serial == self._serial and self.is_asked and data:
            self._send(data)
            if self._stream.pending_bytes > _CHOKED_BYTES and not self._is_choked:
                self._is_choked = True
                self._front.app.choked(self, is_choked=True)
            self._front.flush()

    def _send(self, message: bytes) -> None:
        self._front.session.out.send(self._stream, framed(message))
        self._watch_pending()

    def _watch_pending(self) -> None:
        """An answer must be taken in time."""
        if self._stream.pending and self.due == math.inf:
            self.due = self._front.now + self._front.settings.write_timeout_s
            self._front.note(self.due)

    def drained(self) -> None:
        """The client has taken what waited."""
        self.due = math.inf
        if self._is_choked:
            self._is_choked = False
            if self.is_asked:
                self._front.app.choked(self, is_choked=False)

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """End an answer in parts."""
        if serial == self._serial and self.is_asked:
            self.is_asked = False
            self._ended(_STATUS.get(OUTCOMES[outcome], 13))
            self._front.flush()

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Cut an answer in parts off; the last one says why, where it can."""
        if serial == self._serial and self.is_asked:
            if last:
                self._send(last)
            self.is_asked = False
            self._ended(_STATUS["worker"])
            self._front.flush()

    def _ended(self, status: int) -> None:
        self._end(trailers(status) if status else OK)

    def hold_input(self, *, is_held: bool) -> None:
        """Nothing is sent on: a question is whole before it is asked."""


class Single(Call):
    """One question, and one answer or a stream of them."""

    __slots__ = ("_whole",)

    def __init__(
        self, front: "GrpcConnection", stream: Stream, call_head: CallHead, timeout_s: float | None
    ) -> None:
        super().__init__(front, stream, call_head, timeout_s)
        self._whole: tuple[bool, bytes] | None = None

    def _take(self, data: bytes, *, is_end: bool) -> None:
        if is_end and self._messages is None and self._is_whole(data):  # as a rule
            self._ask(data[PREFIX_BYTES:], is_compressed=False)
            return
        messages = self._feed(data)
        if self._whole is None:
            self._whole = messages.next()
            self._count(messages)
        if self._whole is not None and not messages.is_empty:
            raise BadInput(where="call", expected="one message", found="more")
        if not is_end:
            self.await_message(messages.arrived)
        elif self._whole is None:
            raise BadInput(where="call", expected="one whole message", found="less")
        else:
            self._give_back()
            is_compressed, message = self._whole
            self._ask(message, is_compressed=is_compressed)

    def _is_whole(self, data: bytes) -> bool:
        size = len(data) - PREFIX_BYTES
        is_framed = (
            size >= 0 and not data[0] and int.from_bytes(data[1:PREFIX_BYTES], "big") == size
        )
        return is_framed and size <= self._front.settings.max_body_bytes

    def _answered(self, reply: Reply, request_id: str) -> None:
        self.ends_at = math.inf
        self._front.session.out.answer(self._stream, head(request_id), framed(reply.body), OK)
        self._watch_pending()


class Conversation(Call):
    """Questions one after another."""

    __slots__ = ("_is_advancing", "_is_ended", "_is_paused")

    def __init__(
        self, front: "GrpcConnection", stream: Stream, call_head: CallHead, timeout_s: float | None
    ) -> None:
        super().__init__(front, stream, call_head, timeout_s)
        self._is_ended = self._is_advancing = self._is_paused = False

    def _take(self, data: bytes, *, is_end: bool) -> None:
        self._feed(data)
        self._is_ended = is_end
        self._advance()

    def _advance(self) -> None:
        """Ask what is here, one question at a time, and let others have a turn in between."""
        if self._is_advancing or self._is_paused:
            return
        self._is_advancing = True
        try:
            for _ in range(_AT_ONCE):
                if self.is_asked or self._stream.pending or not self._ask_next():
                    return
        finally:
            self._is_advancing = False
        self._is_paused = True
        self._front.later(self._go_on)

    def _go_on(self) -> None:
        self._is_paused = False
        if self._front.is_open(self._stream):
            self._try_on()
            self._front.flush()

    def _try_on(self) -> None:
        try:
            self._advance()
        except HeadwayError as e:
            self.refuse(e)

    def _ask_next(self) -> bool:
        messages = self._messages
        found = messages.next() if messages is not None else None
        if found is not None:
            self._give_back()
            is_compressed, message = found
            self._ask(message, is_compressed=is_compressed)
            return True
        if messages is not None:
            self._count(messages)
        is_empty = messages is None or messages.is_empty
        if not self._is_ended:
            if is_empty:
                self._front.session.grant(self._stream, WINDOW_BYTES - self._stream.receivable)
                self._await_next()
            else:
                self.await_message(0 if messages is None else messages.arrived)
        elif is_empty:
            self._send_head("")
            self._end(OK)
        else:
            raise BadInput(where="call", expected="whole messages", found="one that is cut off")
        return False

    def _await_next(self) -> None:
        self._since = self._front.now
        self.due = self._since + self._front.settings.idle_timeout_s
        self._front.note(min(self.due, self.ends_at))

    def _answered(self, reply: Reply, request_id: str) -> None:
        self._send_head(request_id)
        self._send(reply.body)
        self._try_on()

    def _ended(self, status: int) -> None:
        self._try_on()

    def drained(self) -> None:
        """The client has taken what waited: go on."""
        super().drained()
        self._try_on()


class Watch(Single):
    """One question, asked again each second."""

    __slots__ = ("_question", "_said")

    def _ask(self, message: bytes, *, is_compressed: bool) -> None:
        self._question = (message, is_compressed)
        self._said: bytes | None = None
        super()._ask(message, is_compressed=is_compressed)

    def _answered(self, reply: Reply, request_id: str) -> None:
        if reply.body != self._said:
            self._said = bytes(reply.body)
            self._send_head(request_id)
            self._send(self._said)
        self._front.later(self._again, _WATCH_S)

    def _again(self) -> None:
        if self._front.is_open(self._stream) and not self.is_asked:
            message, is_compressed = self._question
            super()._ask(message, is_compressed=is_compressed)
