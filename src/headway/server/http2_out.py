"""What a server writes on one HTTP/2 connection: frames, as far as the client's windows are open. No I/O, no clock.

Header blocks and control frames go at once; data waits for its stream's window and the connection's, and what
follows the data waits with it.
"""

from collections.abc import Callable
from typing import Final

from headway.server.http2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    HEADERS,
    MAX_WINDOW,
    SMALL_FRAME_BYTES,
    WINDOW_BYTES,
    ConnectionFault,
    Stream,
    StreamFault,
    frame_head,
)

_TOO_OPEN: Final = "a window of more than 2^31 - 1 bytes"


class Outgoing:
    """The writing half of a connection.

    Args:
        ended: told of a stream on which all has been written.
        drained: told of a stream whose data has waited, and is written now.
    """

    def __init__(self, ended: Callable[[Stream], None], drained: Callable[[Stream], None]) -> None:
        self._ended = ended
        self._drained = drained
        self._sendable = WINDOW_BYTES
        self.peer_window = WINDOW_BYTES
        """Of a stream that begins now."""
        self.peer_frame = SMALL_FRAME_BYTES
        self._blocked: dict[int, Stream] = {}
        """Streams with data that waits."""
        self._out: list[bytes | memoryview] = []

    def take(self) -> bytes:
        """What is to be written now."""
        out, self._out = self._out, []
        return b"".join(out)

    @property
    def has_some(self) -> bool:
        """There is something to be written."""
        return bool(self._out)

    def frame(self, kind: int, flags: int, id_: int, payload: bytes) -> None:
        """Write a frame that no window holds back."""
        self._out += (frame_head(len(payload), kind, flags, id_), payload)

    def answer(self, stream: Stream, head: bytes, data: bytes, end: bytes) -> None:
        """Send a whole answer: a header block, data, and a last block."""
        size, id_ = len(data), stream.id
        if size <= min(stream.sendable, self._sendable, self.peer_frame) and not stream.pending:
            stream.sendable -= size
            self._sendable -= size
            self._out += (
                *(frame_head(len(head), HEADERS, END_HEADERS, id_), head),
                *(frame_head(size, DATA, 0, id_), data),
                *(frame_head(len(end), HEADERS, END_HEADERS | END_STREAM, id_), end),
            )
            self._ended(stream)
        else:
            self.send_head(stream, head)
            self.send(stream, data, end)

    def send_head(self, stream: Stream, head: bytes, *, is_end: bool = False) -> None:
        """Send a header block; the last one closes the stream."""
        self.frame(HEADERS, END_HEADERS | (END_STREAM if is_end else 0), stream.id, head)
        if is_end:
            self._ended(stream)

    def send(self, stream: Stream, data: bytes, end: bytes | None = None) -> None:
        """Send data as windows open for it, and a last block behind."""
        if data:
            stream.pending.append(memoryview(data))
            stream.pending_bytes += len(data)
        stream.end = end
        self._push(stream)

    def forget(self, stream: Stream) -> None:
        """A stream is closed: what waits of it is not written any more."""
        self._blocked.pop(stream.id, None)
        stream.pending.clear()
        stream.pending_bytes = 0

    # Windows

    def open_connection(self, more: int) -> None:
        """The connection's window opens further. Raises ConnectionFault."""
        self._sendable += more
        if self._sendable > MAX_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, _TOO_OPEN)
        for stream in list(self._blocked.values()):
            if self._sendable <= 0:
                break
            self._push(stream)

    def open_stream(self, stream: Stream, more: int) -> None:
        """A stream's window opens further. Raises StreamFault."""
        stream.sendable += more
        if stream.sendable > MAX_WINDOW:
            raise StreamFault(stream.id, FLOW_CONTROL_ERROR)
        if stream.pending:
            self._push(stream)

    def move_streams(self, window: int, streams: list[Stream]) -> None:
        """Section 6.9.2: another window to begin with; the difference counts for the streams that are open, too."""
        more, self.peer_window = window - self.peer_window, window
        for stream in streams if more else ():
            stream.sendable += more
            if stream.sendable > MAX_WINDOW:
                raise ConnectionFault(FLOW_CONTROL_ERROR, _TOO_OPEN)
            if stream.pending:
                self._push(stream)

    def _push(self, stream: Stream) -> None:
        """Send what windows are open for."""
        pending = stream.pending
        while pending:
            size = min(len(pending[0]), stream.sendable, self._sendable, self.peer_frame)
            if size <= 0:
                self._blocked[stream.id] = stream
                return
            piece = pending[0]
            stream.sendable -= size
            self._sendable -= size
            stream.pending_bytes -= size
            if size < len(piece):
                pending[0] = piece[size:]
                piece = piece[:size]
            else:
                pending.popleft()
            self._out += (frame_head(size, DATA, 0, stream.id), piece)
        was_blocked = self._blocked.pop(stream.id, None) is not None
        if stream.end is not None:
            self.frame(HEADERS, END_HEADERS | END_STREAM, stream.id, stream.end)
            self._ended(stream)
        if was_blocked:
            self._drained(stream)
