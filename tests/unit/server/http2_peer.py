"""The client's side of one HTTP/2 connection, in tests without a socket: frames both ways, and what was told."""

import struct
from typing import Any

import hpack

from headway.server.hpack import Fields
from headway.server.http2 import Session
from headway.server.http2_frames import (
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Limits,
    Stream,
    frame_head,
)

CALL = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b")]


class Recorder:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.streams: dict[int, Stream] = {}

    def begun(self, stream: Stream, fields: Fields, *, is_end: bool) -> None:
        self.streams[stream.id] = stream
        self.told.append(("begun", stream.id, fields.pairs, is_end))

    def received(self, stream: Stream, data: bytes, *, is_end: bool) -> None:
        last: tuple[Any, ...] = self.told[-1] if self.told else ()
        if last[:2] == ("data", stream.id) and not last[3]:  # pieces are one
            data = last[2] + data
            self.told.pop()
        self.told.append(("data", stream.id, data, is_end))

    def lost(self, stream: Stream) -> None:
        self.told.append(("lost", stream.id))

    def drained(self, stream: Stream) -> None:
        self.told.append(("drained", stream.id))


def frame(kind: int, flags: int = 0, id_: int = 0, payload: bytes = b"") -> bytes:
    return frame_head(len(payload), kind, flags, id_) + payload


def headers(id_: int, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, id_, hpack.Encoder().encode(CALL, huffman=False))


def begun(limits: Limits | None = None) -> tuple[Session, Recorder]:
    recorder = Recorder()
    session = Session(limits or Limits(), recorder, 0.0)
    session.receive(PREFACE + frame(SETTINGS), 0.0)
    session.out.take()
    return session, recorder


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        high, low, kind, flags, id_ = struct.unpack(">HBBBI", data[:9])
        size = high << 8 | low
        found.append((kind, flags, id_, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def window(id_: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, id_, struct.pack(">I", more))
