"""The frames of HTTP/2 (RFC 9113) and what a connection is made of: numbers, streams, mistakes. No I/O, no state."""

import struct
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headway.server.hpack import Fields

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""Section 3.4."""
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0x0, 0x1, 0x2, 0x3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 0x5, 0x6, 0x7, 0x8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0x9, 0xB
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 0x1, 0x2, 0x3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 0x4, 0x5, 0x6

WINDOW_BYTES: Final = 2**16 - 1
"""A window as it is at first."""
MAX_WINDOW: Final = 2**31 - 1
MAX_ID: Final = 2**31 - 1
SMALL_FRAME_BYTES: Final = 2**14
"""Frames that everybody takes."""
FRAME: Final = struct.Struct(">HBBBI")
"""What a frame begins with: its size in two pieces, its type, flags and stream."""
NUMBER: Final = struct.Struct(">I")
SETTING: Final = struct.Struct(">HI")


def frame_head(size: int, kind: int, flags: int, id_: int) -> bytes:
    """The nine bytes in front of a frame."""
    return FRAME.pack(size >> 8, size & 0xFF, kind, flags, id_)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may hold."""

    max_head_bytes: int = 16 * 2**10
    max_headers: int = 100
    max_streams: int = 100


class Stream:
    """One stream that is not closed."""

    __slots__ = (
        "announced",
        "call",
        "end",
        "id",
        "is_ended",
        "pending",
        "pending_bytes",
        "receivable",
        "sendable",
    )

    def __init__(self, id_: int, sendable: int) -> None:
        self.id = id_
        self.sendable = sendable
        self.receivable = WINDOW_BYTES
        self.announced: int | None = None
        """What is still to come of the data, where the client has said how much there is."""
        self.is_ended = False
        """The client has sent all that it will."""
        self.pending: deque[memoryview] = deque()
        """Data that no window is open for."""
        self.pending_bytes = 0
        self.end: bytes | None = None
        """The block that follows all data."""
        self.call: Any = None
        """Room for who reads it."""


class Streams(Protocol):
    """What a connection tells of its streams. None of these may raise."""

    def begun(self, stream: Stream, fields: Fields, *, is_end: bool) -> None:
        """A stream has begun, with these fields."""
        ...

    def received(self, stream: Stream, data: bytes, *, is_end: bool) -> None:
        """Data has come, or the stream's end without any."""
        ...

    def lost(self, stream: Stream) -> None:
        """The stream was reset before its end; it is closed."""
        ...

    def drained(self, stream: Stream) -> None:
        """All data that waited has been sent."""
        ...


class ConnectionFault(Exception):
    """The client's mistake ends the connection."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class StreamFault(Exception):
    """The client's mistake ends a stream."""

    def __init__(self, id_: int, code: int) -> None:
        super().__init__()
        self.id = id_
        self.code = code
