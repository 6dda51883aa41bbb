"""HTTP/2 by hand: frames as a test wants them, right or wrong. Not a test."""

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
WAIT_S = 20.0
LIVE = "/inference.GRPCInferenceService/ServerLive"
EMPTY = b"\0\0\0\0\0"
"""An empty message as it is sent."""


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        start = 4 if self.kind == GOAWAY else 0
        return int.from_bytes(self.payload[start : start + 4], "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    size = len(payload)
    return struct.pack(">HBBBI", size >> 8, size & 0xFF, kind, flags, stream) + payload


def fields(path: str = LIVE, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    ]


def block(pairs: Sequence[tuple[str, str]] | None = None) -> bytes:
    """A header block that leaves no trace in the dynamic table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(fields() if pairs is None else list(pairs)))


def call(stream: int, path: str = LIVE, message: bytes = EMPTY) -> bytes:
    """A whole call."""
    return frame(HEADERS, END_HEADERS, stream, block(fields(path))) + frame(
        DATA, END_STREAM, stream, message
    )


class Peer:
    """A connection; `greet` sends preface and settings."""

    def __init__(self, port: int, *, is_greeted: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.decoder = hpack.Decoder()
        self._buffer = b""
        if is_greeted:
            self.send(PREFACE + frame(SETTINGS))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, *frames: bytes) -> None:
        """Send; that a server hangs up meanwhile is seen when its answer is read."""
        with contextlib.suppress(OSError):
            self.sock.sendall(b"".join(frames))

    def frames(self) -> Iterator[Frame]:
        """What the server sends, to its end."""
        while True:
            while len(self._buffer) < 9 or len(self._buffer) < 9 + self._size():
                try:
                    data = self.sock.recv(2**16)
                except ConnectionResetError:
                    return
                if not data:
                    return
                self._buffer += data
            size = self._size()
            _, _, kind, flags, stream = struct.unpack(">HBBBI", self._buffer[:9])
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            yield Frame(kind, flags, stream, payload)

    def _size(self) -> int:
        return int.from_bytes(self._buffer[:3], "big")

    def until(self, kind: int, stream: int | None = None) -> Frame:
        """The next frame of a kind."""
        seen = []
        for found in self.frames():
            seen.append(found)
            if found.kind == GOAWAY and kind != GOAWAY:
                raise AssertionError(f"GOAWAY: {found.code} {found.payload[8:]!r}")
            if found.kind == kind and stream in (None, found.stream):
                return found
        raise AssertionError(f"the connection ended after {seen[-5:]}")

    def end(self) -> int | None:
        """Read to the end of the connection; the code of GOAWAY, if it came."""
        code = None
        for found in self.frames():
            if found.kind == GOAWAY:
                code = found.code
        return code

    def answer(self, stream: int) -> dict[str, str]:
        """The header fields of a stream, to its end."""
        told: dict[str, str] = {}
        for found in self.frames():
            if found.kind == HEADERS:
                pairs = self.decoder.decode(found.payload)
                if found.stream == stream:
                    told |= {str(name): str(value) for name, value in pairs}
                    if found.flags & END_STREAM:
                        return told
            elif found.kind == GOAWAY and found.code:
                raise AssertionError(f"GOAWAY: {found.code} {found.payload[8:]!r}")
            elif found.kind == RST_STREAM and found.stream == stream:
                raise AssertionError(f"RST_STREAM: {found.code}")
        raise AssertionError("the connection ended")
