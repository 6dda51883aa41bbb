"""What an Arrow IPC body holds once it is inflated, told by its messages before any is.

Only sizes are read: of messages, of rows, and of compressed buffers, whose first eight bytes tell their
length (apache/arrow, format/Message.fbs, File.fbs, "Columnar.rst"). Flatbuffers are tables whose
fields are found through a table of offsets in front. Anything that does not fit is damaged.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"ARROW1"
_DICTIONARY, _BATCH = 2, 3
_CONTINUES = 0xFFFFFFFF


class DamagedError(Exception):
    """These bytes are no Arrow IPC."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one message takes."""

    rows: int
    """Of a record batch; 0 of others."""
    inflated_bytes: int


def messages(body: memoryview, *, is_file: bool) -> Iterator[Message]:
    """The messages of a stream, or those that a file's footer names. Raises DamagedError."""
    try:
        places = _in_file(body) if is_file else _in_stream(body)
        for start, metadata in places:
            yield _message(body, start, metadata)
    except (struct.error, IndexError, OverflowError) as e:
        raise DamagedError from e


def _in_stream(body: memoryview) -> Iterator[tuple[int, int]]:
    """Where each message's metadata begins, and its data."""
    at = 0
    while at < len(body):
        start, size = _head(body, at)
        if not size:
            return
        data = start + size
        yield start, data
        at = data + _long(body, _field(body, _pointed(body, start), 3))


def _in_file(body: memoryview) -> Iterator[tuple[int, int]]:
    """The blocks of a file's footer: dictionaries, then record batches."""
    (size,) = struct.unpack_from("<i", body, len(body) - 10)
    if bytes(body[-6:]) != MAGIC or not 0 < size <= len(body) - 10:
        raise DamagedError
    footer = _pointed(body, len(body) - 10 - size)
    for vector in (2, 3):
        for block in _vector(body, _field(body, footer, vector), 24):
            offset, metadata = struct.unpack_from("<qi", body, block)
            yield _head(body, offset)[0], offset + metadata


def _head(body: memoryview, at: int) -> tuple[int, int]:
    """Where a message's metadata begins and its size; older writers leave out the first four bytes."""
    if at < 0:
        raise DamagedError
    (first,) = struct.unpack_from("<I", body, at)
    if first != _CONTINUES:
        return at + 4, first
    return at + 8, struct.unpack_from("<I", body, at + 4)[0]


def _message(body: memoryview, start: int, data: int) -> Message:
    message = _pointed(body, start)
    place = _field(body, message, 1)
    kind = body[place] if place else 0
    if kind not in (_DICTIONARY, _BATCH):
        return Message(0, 0)
    batch = _pointed(body, _field(body, message, 2))
    if kind == _DICTIONARY:
        batch = _pointed(body, _field(body, batch, 1))
    size = 0
    for buffer in _vector(body, _field(body, batch, 2), 16):
        offset, stored = struct.unpack_from("<qq", body, buffer)
        inflated = stored
        if _field(body, batch, 3) and stored >= 8:
            (told,) = struct.unpack_from("<q", body, data + offset)
            inflated = told if told >= 0 else stored
        size += max(inflated, 0)
    return Message(_long(body, _field(body, batch, 0)) if kind == _BATCH else 0, size)


def _pointed(body: memoryview, at: int) -> int:
    """Where an offset leads that stands at `at`; a flatbuffer begins with one."""
    if at < 0:
        raise DamagedError
    return at + int(struct.unpack_from("<I", body, at)[0])


def _field(body: memoryview, table: int, index: int) -> int:
    """Where a field of a table is; 0 where it is left out."""
    offsets = table - int(struct.unpack_from("<i", body, table)[0])
    if offsets < 0:
        raise DamagedError
    (size,) = struct.unpack_from("<H", body, offsets)
    at = 4 + 2 * index
    offset = struct.unpack_from("<H", body, offsets + at)[0] if at < size else 0
    return table + int(offset) if offset else 0


def _vector(body: memoryview, at: int, item_bytes: int) -> Iterator[int]:
    if not at:
        return
    first = _pointed(body, at)
    (count,) = struct.unpack_from("<I", body, first)
    if count * item_bytes > len(body):
        raise DamagedError
    for i in range(count):
        yield first + 4 + i * item_bytes


def _long(body: memoryview, at: int) -> int:
    number = int(struct.unpack_from("<q", body, at)[0]) if at else 0
    if number < 0:
        raise DamagedError
    return number
