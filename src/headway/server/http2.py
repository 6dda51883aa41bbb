"""HTTP/2 (RFC 9113), the server's side of one connection: bytes to streams, answers to bytes. No I/O, no clock.

Theory of operation. `receive` cuts frames and tells `Streams` what came for each stream, at once and in order; what is
to be written gathers in `out`. A mistake of one stream resets it, one of the connection ends all with GOAWAY, and
whatever a client can repeat at no cost to itself is paid for from a purse (`Purse`) that fills slowly. Windows are
opened as the reader of a stream asks (`grant`); the connection's own is opened as bytes come, because what they are
kept in is bounded by who keeps them.

Not here: what header fields mean, and messages (`calls`). Nothing is pushed, priorities are ignored.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from headway.server.hpack import BlockError, Decoder, Fields
from headway.server.http2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    MAX_ID,
    MAX_WINDOW,
    NO_ERROR,
    NUMBER,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTING,
    SETTINGS,
    SMALL_FRAME_BYTES,
    STREAM_CLOSED,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    ConnectionFault,
    Limits,
    Stream,
    StreamFault,
    Streams,
)
from headway.server.http2_out import Outgoing
from headway.server.purse import Purse

CONNECTION_WINDOW_BYTES: Final = 2**20
FRAME_BYTES: Final = 2**18
"""Large frames cost less; their data is taken as it comes, so that they need no room."""
_MAX_CONTINUATIONS: Final = 32
_MAX_BLOCK_FACTOR: Final = 8
"""A header block may have so many times the bytes that its fields may have: what is too much is told on its stream."""
_REMEMBERED: Final = 256


class Session:
    """One connection.

    Args:
        limits: what it may hold.
        streams: told of its streams.
        now: in seconds, of any clock that only goes on.
    """

    def __init__(self, limits: Limits, streams: Streams, now: float) -> None:
        self._limits = limits
        self._max_block_bytes = _MAX_BLOCK_FACTOR * limits.max_head_bytes
        self._streams = streams
        self._decoder = Decoder(limits.max_head_bytes, limits.max_headers)
        self.open: dict[int, Stream] = {}
        self.is_over = False
        """Nothing more is read: what is to be written is the last."""
        self.problem = ""
        """Why, if the client is at fault."""
        self.is_greeted = False
        """The client's preface and settings have come."""
        self._has_preface = False
        self._buffer = b""
        self._rest_of: tuple[int, int, bool] | None = None
        """The stream, the missing bytes and the end of a DATA frame of which not all has come."""
        self._block = bytearray()
        self._block_of: tuple[int, bool] | None = None
        """The stream of a header block that goes on, and whether that ends with it."""
        self._continuations = 0
        self._last_id = 0
        self._accepts_up_to = MAX_ID
        self._closed: dict[int, bool] = {}
        """Streams that we have closed lately: what still comes for them is no mistake."""
        self._receivable = CONNECTION_WINDOW_BYTES
        self._noise = Purse(1000, 100, now)
        """Frames that cost us something and bring nothing."""
        self._resets = Purse(200, 50, now)
        """Streams that end before they are answered."""
        self.out = Outgoing(self._sent_all, streams.drained)
        """What is to be written."""
        self._greet()

    def _greet(self) -> None:
        settings = (
            (MAX_CONCURRENT_STREAMS, self._limits.max_streams),
            (MAX_FRAME_SIZE, FRAME_BYTES),
            (MAX_HEADER_LIST_SIZE, self._limits.max_head_bytes),
        )
        self.out.frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in settings))
        more = CONNECTION_WINDOW_BYTES - WINDOW_BYTES
        self.out.frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(more))

    # What the owner of the connection calls

    def receive(self, data: bytes, now: float) -> None:
        """Take what has come."""
        if self.is_over:
            return
        self._noise.fill(now)
        self._resets.fill(now)
        buffer = self._buffer + data if self._buffer else data
        try:
            at = 0
            if not self._has_preface:
                at = self._read_preface(buffer)
            at = self._read_frames(buffer, at)
            self._buffer = buffer[at:]
        except ConnectionFault as e:
            self._end(e.code, str(e))

    def grant(self, stream: Stream, size: int) -> None:
        """Let a stream send so many bytes more."""
        if size > 0 and not stream.is_ended:
            size = min(size, MAX_WINDOW - stream.receivable)
            stream.receivable += size
            self.out.frame(WINDOW_UPDATE, 0, stream.id, NUMBER.pack(size))

    def reset(self, stream: Stream, code: int) -> None:
        """Close a stream at once."""
        self.out.frame(RST_STREAM, 0, stream.id, NUMBER.pack(code))
        self._close(stream, is_ours=True)

    def go_away(self, *, is_last: bool) -> None:
        """Ask the client to go elsewhere; with the last word, streams that begin from now on are not looked at."""
        if is_last:
            self._accepts_up_to = min(self._accepts_up_to, self._last_id)
        self.out.frame(GOAWAY, 0, 0, struct.pack(">II", self._accepts_up_to, NO_ERROR))

    # Frames in

    def _read_preface(self, buffer: bytes) -> int:
        if not buffer.startswith(PREFACE):
            if not PREFACE.startswith(buffer):
                raise ConnectionFault(PROTOCOL_ERROR, "no HTTP/2 preface")
            return 0
        self._has_preface = True
        return len(PREFACE)

    def _read_frames(self, buffer: bytes, at: int) -> int:
        if not self._has_preface:
            return at
        end = len(buffer)
        if self._rest_of is not None:
            at = self._read_rest(buffer, at)
        while end - at >= 9 and not self.is_over:
            high, low, kind, flags, id_ = FRAME.unpack_from(buffer, at)
            size = high << 8 | low
            if size > (FRAME_BYTES if kind == DATA else self._max_block_bytes):
                raise ConnectionFault(FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            stop = at + 9 + size
            if stop > end:
                if kind == DATA and not flags & PADDED and self._block_of is None:
                    at = self._begin_rest(buffer, at + 9, size, flags, id_ & MAX_ID)
                break
            try:
                self._read_frame(kind, flags, id_ & MAX_ID, buffer[at + 9 : stop])
            except StreamFault as e:
                self._refuse(e.id, e.code)
            at = stop
        return at

    def _begin_rest(self, buffer: bytes, at: int, size: int, flags: int, id_: int) -> int:
        """Take what is there of a DATA frame."""
        self._check_greeted(DATA)
        here = buffer[at:]
        self._rest_of = (id_, size - len(here), bool(flags & END_STREAM))
        if here:
            self._on_piece(id_, here, is_end=False)
        return len(buffer)

    def _read_rest(self, buffer: bytes, at: int) -> int:
        assert self._rest_of is not None
        id_, missing, is_end = self._rest_of
        piece = buffer[at : at + missing]
        if not piece:
            return at
        missing -= len(piece)
        self._rest_of = (id_, missing, is_end) if missing else None
        self._on_piece(id_, piece, is_end=is_end and not missing)
        return at + len(piece)

    def _on_piece(self, id_: int, piece: bytes, *, is_end: bool) -> None:
        try:
            self._on_data(END_STREAM if is_end else 0, id_, piece)
        except StreamFault as e:
            self._refuse(e.id, e.code)

    def _read_frame(self, kind: int, flags: int, id_: int, payload: bytes) -> None:
        if self._block_of is not None and kind != CONTINUATION:
            raise ConnectionFault(PROTOCOL_ERROR, "a header block that another frame interrupts")
        if not self.is_greeted:
            self._check_greeted(kind)
        if kind == DATA:
            if flags & PADDED:
                payload = self._without_padding(id_, payload)
            self._on_data(flags, id_, payload)
        elif kind == HEADERS:
            self._on_headers(flags, id_, payload)
        elif kind == WINDOW_UPDATE:
            self._on_window(id_, payload)
        elif (reader := _READERS.get(kind)) is not None:
            reader(self, flags, id_, payload)
        else:
            self._spend_noise()  # section 5.5: "Implementations MUST discard frames [...] of unknown type"

    def _check_greeted(self, kind: int) -> None:
        """Section 3.4: "a SETTINGS frame [...] MUST be the first frame"."""
        if kind != SETTINGS and not self.is_greeted:
            raise ConnectionFault(PROTOCOL_ERROR, "a first frame that is not SETTINGS")

    def _without_padding(self, id_: int, payload: bytes) -> bytes:
        """Padding counts in the windows; it is given back at once."""
        if not payload or payload[0] >= len(payload):
            raise ConnectionFault(PROTOCOL_ERROR, "padding that is longer than its frame")
        padding = payload[0] + 1
        self._spend(padding)
        stream = self.open.get(id_)
        if stream is not None:
            if padding > stream.receivable:
                raise StreamFault(id_, FLOW_CONTROL_ERROR)
            stream.receivable -= padding
            self.grant(stream, padding)
        return payload[1 : len(payload) - payload[0]]

    def _on_data(self, flags: int, id_: int, data: bytes) -> None:
        size = len(data)
        self._spend(size)
        stream = self.open.get(id_)
        if stream is None or stream.is_ended:
            self._stray(id_, stream)
            return
        if size > stream.receivable:
            raise StreamFault(id_, FLOW_CONTROL_ERROR)
        stream.receivable -= size
        is_end = bool(flags & END_STREAM)
        if not size and not is_end:
            self._spend_noise()
        if stream.announced is not None:
            stream.announced -= size
            if stream.announced < 0 or (is_end and stream.announced):
                raise StreamFault(id_, PROTOCOL_ERROR)
        stream.is_ended = is_end
        self._streams.received(stream, data, is_end=is_end)

    def _spend(self, size: int) -> None:
        """Use up the connection's window. It is opened again when half is left, which any frame fits into."""
        self._receivable -= size
        if self._receivable < CONNECTION_WINDOW_BYTES // 2:
            more = CONNECTION_WINDOW_BYTES - self._receivable
            self._receivable += more
            self.out.frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(more))

    def _stray(self, id_: int, stream: Stream | None) -> None:
        """Data for what is not open (section 5.1)."""
        if stream is None and (not id_ or id_ > self._last_id or id_ % 2 == 0):
            raise ConnectionFault(PROTOCOL_ERROR, f"data for the stream {id_}, which is idle")
        self._spend_noise()
        if stream is not None or not self._closed.get(id_, False):
            raise StreamFault(id_, STREAM_CLOSED)

    def _on_headers(self, flags: int, id_: int, payload: bytes) -> None:
        start, stop = 0, len(payload)
        if flags & PADDED:
            start = 1
            stop -= payload[0] if payload else 0
        if flags & PRIORITIZED:
            start += 5
        if start > stop or (flags & PADDED and not payload):
            raise ConnectionFault(PROTOCOL_ERROR, "padding that is longer than its frame")
        block = payload[start:stop] if start or stop < len(payload) else payload
        if not id_ % 2:
            raise ConnectionFault(PROTOCOL_ERROR, f"a stream of the id {id_}")
        if flags & END_HEADERS:
            self._on_block(id_, block, is_end=bool(flags & END_STREAM))
        else:
            self._block = bytearray(block)
            self._block_of = (id_, bool(flags & END_STREAM))
            self._continuations = 0

    def _on_continuation(self, flags: int, id_: int, payload: bytes) -> None:
        if self._block_of is None or self._block_of[0] != id_:
            raise ConnectionFault(PROTOCOL_ERROR, "a CONTINUATION of nothing")
        self._block += payload
        self._continuations += 1
        is_large = len(self._block) > self._max_block_bytes
        if is_large or self._continuations > _MAX_CONTINUATIONS:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "a header block that does not end")
        if flags & END_HEADERS:
            _, is_end = self._block_of
            self._block_of = None
            self._on_block(id_, bytes(self._block), is_end=is_end)

    def _on_block(self, id_: int, block: bytes, *, is_end: bool) -> None:
        try:
            fields = self._decoder.decode(block)
        except BlockError as e:
            raise ConnectionFault(COMPRESSION_ERROR, str(e)) from e
        if fields.is_too_large or len(block) > self._limits.max_head_bytes:
            self._spend_noise(1 + len(block) // 2**10)  # a byte may stand for a field
        known = self.open.get(id_)
        if known is not None:
            self._on_trailers(known, fields, is_end=is_end)
            return
        if id_ <= self._last_id:
            if self._closed.get(id_, False):
                self._spend_noise()
                return
            raise ConnectionFault(STREAM_CLOSED, f"headers for the stream {id_}, which is closed")
        self._last_id = id_
        if id_ > self._accepts_up_to or len(self.open) >= self._limits.max_streams:
            raise StreamFault(id_, REFUSED_STREAM)
        stream = self.open[id_] = Stream(id_, self.out.peer_window)
        stream.is_ended = is_end
        self._streams.begun(stream, fields, is_end=is_end)

    def _on_trailers(self, stream: Stream, fields: Fields, *, is_end: bool) -> None:
        """Section 8.1: trailers end the stream, and have no pseudo-header fields."""
        if stream.is_ended:
            raise StreamFault(stream.id, STREAM_CLOSED)
        if not is_end or any(name.startswith(":") for name, _ in fields.pairs):
            raise StreamFault(stream.id, PROTOCOL_ERROR)
        stream.is_ended = True
        self._streams.received(stream, b"", is_end=True)

    def _on_priority(self, flags: int, id_: int, payload: bytes) -> None:
        if not id_:
            raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != 5:
            raise StreamFault(id_, FRAME_SIZE_ERROR)
        self._spend_noise()

    def _on_reset(self, flags: int, id_: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        if not id_ or id_ > self._last_id:
            raise ConnectionFault(PROTOCOL_ERROR, f"RST_STREAM of the stream {id_}, which is idle")
        stream = self.open.get(id_)
        if stream is None:
            self._spend_noise()
            return
        self._close(stream, is_ours=False)
        self._streams.lost(stream)
        self._spend_reset()

    def _on_settings(self, flags: int, id_: int, payload: bytes) -> None:
        if id_:
            raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS of a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._spend_noise(1 + len(payload) // 600)
        if flags & ACK:
            return
        self.is_greeted = True
        window = self.out.peer_window
        for name, value in SETTING.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                window = value
            self._set(name, value)
        self.out.move_streams(window, list(self.open.values()))
        self.out.frame(SETTINGS, ACK, 0, b"")

    def _set(self, name: int, value: int) -> None:
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "a window of more than 2^31 - 1 bytes")
        if name == MAX_FRAME_SIZE:
            if not SMALL_FRAME_BYTES <= value < 2**24:
                raise ConnectionFault(PROTOCOL_ERROR, f"frames of at most {value} bytes")
            self.out.peer_frame = value
        elif name == ENABLE_PUSH and value > 1:
            raise ConnectionFault(PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def _on_push(self, flags: int, id_: int, payload: bytes) -> None:
        raise ConnectionFault(PROTOCOL_ERROR, "a client that pushes")

    def _on_ping(self, flags: int, id_: int, payload: bytes) -> None:
        if id_:
            raise ConnectionFault(PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "PING of a wrong size")
        self._spend_noise()
        if not flags & ACK:
            self.out.frame(PING, ACK, 0, payload)

    def _on_go_away(self, flags: int, id_: int, payload: bytes) -> None:
        if id_:
            raise ConnectionFault(PROTOCOL_ERROR, "GOAWAY of a stream")
        if len(payload) < 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
        self._spend_noise()

    def _on_window(self, id_: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        more = NUMBER.unpack(payload)[0] & MAX_ID
        if not id_:
            if not more:
                raise ConnectionFault(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self.out.open_connection(more)
            return
        stream = self.open.get(id_)
        if stream is not None:
            if not more:
                raise StreamFault(id_, PROTOCOL_ERROR)
            self.out.open_stream(stream, more)
        elif id_ > self._last_id or not id_ % 2:
            raise ConnectionFault(PROTOCOL_ERROR, f"a window for the stream {id_}")

    # Ends

    def _sent_all(self, stream: Stream) -> None:
        """Section 8.1: a server that has answered may ask the client "to abort transmission of a request"."""
        self._noise.earn(4)
        self._resets.earn(1)
        if not stream.is_ended:
            self.out.frame(RST_STREAM, 0, stream.id, NUMBER.pack(NO_ERROR))
        self._close(stream, is_ours=not stream.is_ended)

    def _close(self, stream: Stream, *, is_ours: bool) -> None:
        self.open.pop(stream.id, None)
        self.out.forget(stream)
        stream.is_ended = True
        if is_ours:
            self._remember(stream.id)

    def _remember(self, id_: int) -> None:
        if len(self._closed) >= _REMEMBERED:
            del self._closed[next(iter(self._closed))]
        self._closed[id_] = True

    def _refuse(self, id_: int, code: int) -> None:
        """Reset a stream by the client's fault, which costs it as much as if it had done so itself."""
        self.out.frame(RST_STREAM, 0, id_, NUMBER.pack(code))
        stream = self.open.get(id_)
        if stream is not None:
            self._close(stream, is_ours=True)
            self._streams.lost(stream)
        else:
            self._remember(id_)
        self._spend_reset()

    def fault(self, stream: Stream, code: int) -> None:
        """Reset a stream whose request is malformed."""
        self._refuse(stream.id, code)

    def _spend_noise(self, price: int = 1) -> None:
        if not self._noise.pay(price):
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many frames that ask nothing")

    def _spend_reset(self) -> None:
        if not self._resets.pay(1) and not self.is_over:
            self._end(ENHANCE_YOUR_CALM, "too many streams that are reset")

    def _end(self, code: int, why: str) -> None:
        self.is_over = True
        self.problem = why
        told = struct.pack(">II", self._last_id, code) + why.encode()
        self.out.frame(GOAWAY, 0, 0, told)
        for stream in list(self.open.values()):
            self._close(stream, is_ours=True)
            self._streams.lost(stream)


_READERS: Final[Mapping[int, Callable[[Session, int, int, bytes], None]]] = {
    PRIORITY: Session._on_priority,
    RST_STREAM: Session._on_reset,
    SETTINGS: Session._on_settings,
    PUSH_PROMISE: Session._on_push,
    PING: Session._on_ping,
    GOAWAY: Session._on_go_away,
    CONTINUATION: Session._on_continuation,
}
