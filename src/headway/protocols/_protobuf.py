"""Messages of protocol buffers (proto3), read and written by a schema. Not a protocol by itself.

Specification: protobuf.dev, "Encoding" and "Language guide (proto 3)". Narrow on purpose: no groups (they are
refused), no extensions, unknown fields are skipped and forgotten.

Theory of operation. A message is read into a dict of the fields that are there. What may be large stays a view of
the body: `bytes`, packed numbers (as they were packed: `floats`, `varints`), and messages that are marked `lazy`, so
that nothing is made of a number of elements before somebody has compared it with what was announced.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from headway.errors import BadInput

Buffer = bytes | bytearray | memoryview
VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
MAX_ITEMS = 65_536
"""Most elements of one repeated field that are objects of their own."""
MAX_FIELDS = 16_384
"""Most fields of a message, where nobody says otherwise."""
MAX_NESTED_FIELDS = 1024
"""Most fields of a message inside of another."""
_MAX_VARINT_BYTES = 10
_SMALL_BYTES = 16 * 2**10
_HIGH = bytes(range(0x80, 0x100))
_VARINT = re.compile(rb"[\x80-\xff]{0,9}[\x00-\x7f]")
_MASK = 2**64 - 1


class Field(NamedTuple):
    """One field of a message."""

    name: str
    number: int
    type: str
    """A scalar's name, or "message" or "enum"."""
    of: str = ""
    """The full name of its message or enum."""
    is_repeated: bool = False
    is_map: bool = False
    """A repeated message of `key` and `value`, read into a dict."""
    oneof: str = ""
    is_lazy: bool = False
    """It is left unread: the bytes of a message, which are joined where it comes several times and is not repeated."""


class Message(NamedTuple):
    """A message, and how its fields are read: in order, and by their tags."""

    name: str
    readings: "list[Reading]"
    by_tag: "dict[int, Reading]"

    def fill(self, fields: Iterable[Field], messages: "Mapping[str, Message]") -> None:
        """Work out how the fields are read; a repeated number's come packed or one by one."""
        for field in fields:
            wire = WIRES[field.type]
            inner = messages[field.of] if field.type == "message" and not field.is_lazy else None
            reading = Reading(wire, field, inner, _SCALARS.get(field.type))
            self.readings.append(reading)
            self.by_tag[field.number << 3 | wire] = reading
            if field.is_repeated and wire != SIZED:
                self.by_tag[field.number << 3 | SIZED] = reading


class Reading(NamedTuple):
    """How what follows a tag is read."""

    wire: int
    field: Field
    message: Message | None
    scalar: Callable[[Any], Any] | None
    """Makes a value of a varint, or of the bytes."""


def malformed(what: str) -> BadInput:
    """The error of bytes that are no message."""
    return BadInput(where="message", expected="protocol buffers", found=what)


# Reading


def read(message: Message, body: Buffer, most: int = MAX_FIELDS) -> dict[str, Any]:
    """Read a message, of at most so many fields, into a dict of those that it has. Raises BadInput."""
    # A small body is copied once, because indexing a view costs twice as much.
    data = bytes(body) if len(body) <= _SMALL_BYTES else memoryview(body)
    try:
        return _read(message, data, most)
    except UnicodeDecodeError as e:
        raise malformed("a string that is not UTF-8") from e
    except (IndexError, struct.error) as e:
        raise malformed("a message that is cut off") from e


def _read(message: Message, data: Buffer, most: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    by_tag = message.by_tag
    at, end = 0, len(data)
    for _ in range(most + 1):
        if at >= end:
            return found
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = read_varint(data, at - 1)
        reading = by_tag.get(tag)
        if reading is None:
            at = skip(data, at, tag)
            continue
        wire = tag & 7
        if wire == SIZED:
            size = data[at]
            at += 1
            if size >= 0x80:
                size, at = read_varint(data, at - 1)
            stop = at + size
        elif wire == VARINT:
            start = at
            value, at = read_varint(data, start)
            _store_number(found, reading, value, data[start:at])
            continue
        else:
            stop = at + (8 if wire == FIXED64 else 4)
        if stop > end:
            raise malformed("a field that is longer than its message")
        _store(found, reading, data[at:stop])
        at = stop
    raise malformed(f"a message of more than {most} fields")


def _store_number(found: dict[str, Any], reading: Reading, value: int, raw: Buffer) -> None:
    field = reading.field
    if field.is_repeated:
        _join(found, field.name, raw)
    else:
        _forget_others(found, reading)
        found[field.name] = value if reading.scalar is None else reading.scalar(value)


def _store(found: dict[str, Any], reading: Reading, piece: Buffer) -> None:
    field = reading.field
    name = field.name
    if (field.is_lazy and not field.is_repeated) or (field.is_repeated and reading.wire != SIZED):
        _join(found, name, piece)
        return
    value: Any = piece
    if reading.message is not None:
        value = _read(reading.message, piece, MAX_NESTED_FIELDS)
    elif reading.scalar is not None:
        value = reading.scalar(piece)
    if field.is_map:
        entries = found.setdefault(name, {})
        entries[value.get("key", "")] = value.get("value")
        _check_count(name, entries)
    elif field.is_repeated:
        items = found.setdefault(name, [])
        items.append(value)
        _check_count(name, items)
    else:
        _forget_others(found, reading)
        if reading.message is not None and name in found:
            value = {**found[name], **value}
        found[name] = value


def _join(found: dict[str, Any], name: str, piece: Buffer) -> None:
    """Keep bytes as they are; several pieces are joined."""
    before = found.get(name)
    if before is None:
        found[name] = piece
    elif isinstance(before, bytearray):
        before += piece
    else:
        found[name] = bytearray(before) + piece


def _check_count(name: str, items: Any) -> None:
    if len(items) > MAX_ITEMS:
        raise malformed(f"more than {MAX_ITEMS} of {name!r}")


def _forget_others(found: dict[str, Any], reading: Reading) -> None:
    """Of a oneof, the last one that is there counts; it is found under the oneof's name, too."""
    field = reading.field
    if field.oneof:
        other = found.get(field.oneof)
        if other is not None and other != field.name:
            del found[other]
        found[field.oneof] = field.name


def read_varint(data: Buffer, at: int) -> tuple[int, int]:
    """The number at a place, modulo 2^64, and the place behind it. Raises IndexError at the end; BadInput."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
        if shift >= 7 * _MAX_VARINT_BYTES:
            raise malformed("a number of more than ten bytes")


def skip(data: Buffer, at: int, tag: int) -> int:
    """The place behind a field that nobody wants. Raises BadInput, or IndexError at the end."""
    wire, number = tag & 7, tag >> 3
    if not 0 < number < 2**29:
        raise malformed(f"a field of the number {number}")
    if wire == VARINT:
        at = read_varint(data, at)[1]
    elif wire == SIZED:
        size, at = read_varint(data, at)
        at += size
    elif wire in (FIXED64, FIXED32):
        at += 8 if wire == FIXED64 else 4
    else:
        raise malformed(f"a field of the wire type {wire}")
    if at > len(data):
        raise malformed("a field that is longer than its message")
    return at


def texts(body: Buffer, *numbers: int) -> list[str]:
    """The texts of some fields of a message, "" for each that is not there: all else is passed over, not read.

    This is how a gateway learns which model a message asks, whatever its tensors weigh.

    Raises:
        BadInput: it is no message; or has more fields than anybody needs.
    """
    found = dict.fromkeys(numbers, "")
    at, end, count = 0, len(body), 0
    try:
        while at < end:
            count += 1
            if count > MAX_FIELDS:
                raise malformed(f"a message of more than {MAX_FIELDS} fields")
            tag = body[at]
            at += 1
            if tag >= 0x80:
                tag, at = read_varint(body, at - 1)
            if tag & 7 != SIZED or tag < 8:
                at = skip(body, at, tag)
                continue
            size = body[at]
            at += 1
            if size >= 0x80:
                size, at = read_varint(body, at - 1)
            start, at = at, at + size
            if at > end:
                raise malformed("a field that is longer than its message")
            if tag >> 3 in found:
                found[tag >> 3] = str(body[start:at], "utf-8")
    except IndexError as e:
        raise malformed("a message that is cut off") from e
    except UnicodeDecodeError as e:
        raise malformed("a string that is not UTF-8") from e
    return [found[number] for number in numbers]


# Packed numbers


def count_varints(packed: Buffer) -> int:
    """How many numbers there are, without making them."""
    return len(bytes(packed).translate(None, _HIGH))


def varints(packed: Buffer) -> list[int]:
    """Packed numbers from 0 to 2^64 - 1. Raises BadInput."""
    raw = bytes(packed)
    if raw.isascii():
        return list(raw)
    pieces = _VARINT.findall(raw)
    if sum(map(len, pieces)) != len(raw):
        raise malformed("packed numbers that are cut off, or too long")
    return [piece[0] if len(piece) == 1 else read_varint(piece, 0)[0] for piece in pieces]


def signed(number: int, bits: int = 64) -> int:
    """A number as two's complement, of the lowest bits."""
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def pack_varints(numbers: Iterable[int]) -> bytes:
    """Pack integers; negative ones as 64 bits."""
    try:
        packed = bytes(numbers := list(numbers))
        if packed.isascii():
            return packed
    except ValueError:
        pass
    return b"".join(map(varint, numbers))


def varint(number: int) -> bytes:
    """One integer; a negative one as 64 bits."""
    if 0 <= number < 0x80:
        return bytes((number,))
    number &= _MASK
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


# Writing


def sized(number: int, data: Buffer) -> bytes:
    """One field of bytes, text or a message."""
    return varint(number << 3 | SIZED) + varint(len(data)) + bytes(data)


def head_of(number: int, size: int) -> bytes:
    """The beginning of a field of so many bytes."""
    return varint(number << 3 | SIZED) + varint(size)


def write(message: Message, values: Mapping[str, Any]) -> bytes:
    """Write a message; a field that is absent, None or its type's default is left out, but for one of a oneof."""
    pieces: list[bytes] = []
    for reading in message.readings:
        value = values.get(reading.field.name)
        if value is not None:
            _write_field(pieces, reading, value)
    return b"".join(pieces)


def _write_field(pieces: list[bytes], reading: Reading, value: Any) -> None:
    field = reading.field
    if field.is_map and reading.message is not None:
        for key, entry in value.items():
            pieces.append(sized(field.number, write(reading.message, {"key": key, "value": entry})))
    elif field.is_repeated and reading.wire == SIZED:
        pieces.extend(sized(field.number, _sized_value(reading, each)) for each in value)
    elif field.is_repeated:
        if len(value):
            packed = b"".join(_scalar_bytes(field, each) for each in value)
            pieces.append(sized(field.number, packed))
    elif reading.wire == SIZED:
        if reading.message is not None or value or field.oneof:
            pieces.append(sized(field.number, _sized_value(reading, value)))
    else:
        data = _scalar_bytes(field, value)
        if data.strip(b"\0") or field.oneof:  # -0.0 is no default
            pieces.append(varint(field.number << 3 | reading.wire) + data)


def _sized_value(reading: Reading, value: Any) -> Buffer:
    if reading.message is not None:
        return write(reading.message, value)
    return value.encode() if isinstance(value, str) else value


def _scalar_bytes(field: Field, value: Any) -> bytes:
    code = _STRUCTS.get(field.type)
    return varint(int(value)) if code is None else struct.pack(code, value)


WIRES: Mapping[str, int] = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "bool", "enum"), VARINT),
    **dict.fromkeys(("string", "bytes", "message"), SIZED),
    **dict.fromkeys(("double", "fixed64", "sfixed64"), FIXED64),
    **dict.fromkeys(("float", "fixed32", "sfixed32"), FIXED32),
}
_STRUCTS: Mapping[str, str] = {
    "double": "<d",
    "float": "<f",
    "fixed64": "<Q",
    "sfixed64": "<q",
    "fixed32": "<I",
    "sfixed32": "<i",
}


def _unpacked(code: str, piece: Buffer) -> int | float:
    value: int | float = struct.unpack(code, piece)[0]
    return value


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "int32": lambda n: signed(n, 32),
    "int64": signed,
    "uint32": lambda n: n & 0xFFFFFFFF,
    "bool": bool,
    "enum": lambda n: signed(n, 32),
    "string": lambda piece: str(piece, "utf-8"),
    **{name: partial(_unpacked, code) for name, code in _STRUCTS.items()},
}
