"""V2 tensors in JSON and in binary. Not a protocol by itself: REST and gRPC both speak them.

Specification: kserve/open-inference-protocol (2025-05), inference_rest.md, "Tensor Data", below
"OIP", and triton-inference-server/server, docs/protocol/extension_binary_data.md, below "Binary".

Theory of operation. Raw JSON is read as its datatype says: msgspec for a little, simdjson into one
buffer for a lot. Nested data is proven regular by its skeleton of brackets and commas, so that no
reader has to follow it. Names, ranks and types of the model are the wire table's to check.
"""

import base64
import binascii
import math
import re
import secrets
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.errors import BadInput, BadOutput
from headway.model.call import Block, TensorSpec
from headway.model.wording import told

LARGE_BYTES = 16 * 1024
"""JSON data from this size on is read into one buffer."""
MAX_COUNT = 2**40
"""More elements than any body can hold, and far from where 64 bits would wrap."""


class Type(NamedTuple):
    """What a datatype is to us."""

    dtype: str
    """Numpy's name."""
    size_bytes: int
    code: str
    """Of `struct`, little-endian."""
    buffer: str
    """The format of a buffer that holds it exactly; "" where JSON gives none."""
    decoder: Any
    """Of a flat JSON array of it."""


_bools = msgspec.json.Decoder(list[bool])
_ints = msgspec.json.Decoder(list[int])
_floats = msgspec.json.Decoder(list[float])
_strings = msgspec.json.Decoder(list[str])

TYPES: Mapping[str, Type] = {
    "BOOL": Type("bool", 1, "?", "", _bools),
    "UINT8": Type("uint8", 1, "B", "q", _ints),
    "UINT16": Type("uint16", 2, "H", "q", _ints),
    "UINT32": Type("uint32", 4, "I", "q", _ints),
    "UINT64": Type("uint64", 8, "Q", "Q", _ints),
    "INT8": Type("int8", 1, "b", "q", _ints),
    "INT16": Type("int16", 2, "h", "q", _ints),
    "INT32": Type("int32", 4, "i", "q", _ints),
    "INT64": Type("int64", 8, "q", "q", _ints),
    "FP16": Type("float16", 2, "e", "", None),
    "FP32": Type("float32", 4, "f", "d", _floats),
    "FP64": Type("float64", 8, "d", "d", _floats),
    "BYTES": Type("bytes", 0, "", "", _strings),
}
DATATYPES: Mapping[str, str] = {t.dtype: name for name, t in TYPES.items()}
_SIMD: Mapping[str, str] = {"d": "d", "q": "i", "Q": "u"}
_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
_PLACE = secrets.token_hex(16).encode()
_LEAVES = b"0123456789+-.eEtrufals \t\r\n"


def bad(name: str, expected: str, found: str) -> BadInput:
    """The error of one input."""
    return BadInput(where=f"input {name!r}", expected=expected, found=found)


def count_of(name: str, shape: Sequence[int]) -> int:
    """The number of elements, in integers that can't wrap. Raises BadInput."""
    count = math.prod(shape)
    if not count and math.prod(n or 1 for n in shape) > MAX_COUNT:
        raise bad(name, "a shape that memory could hold", str(shape)[:80])
    return count


# JSON


def lift_data(body: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Take large flat `data` arrays out of a body, so that they are parsed once, by who is quick at it.

    A string can't hold the bytes `"data"` with both quotes bare, so that what is found is a member's name (or a
    text, which no colon follows). What is left has a text in the array's place that nobody outside knows; both
    are then parsed strictly, each by itself.

    Returns:
        The body without them, and the arrays by what stands in their place.
    """
    pieces: list[bytes] = []
    lifted: dict[bytes, bytes] = {}
    done = at = end = 0
    while (at := body.find(b'"data"', at)) >= 0:
        at += 6
        found = _OPENING.match(body, at)
        if found is None:
            continue
        start = found.end() - 1
        # The next end is looked for once, whoever asks, or a body of beginnings would be read again and again.
        end = end if end > start else body.find(b"]", start) + 1
        if not end:
            break
        if end - start < LARGE_BYTES or body.find(b"[", start + 1, end) >= 0:
            continue
        place = b'"%b%d"' % (_PLACE, len(lifted))
        pieces += [body[done:start], place]
        lifted[place] = body[start:end]
        done = at = end
    return b"".join([*pieces, body[done:]]), lifted


def read_json(
    name: str, datatype: str, shape: Sequence[int], raw: bytes, *, is_base64: bool
) -> Any:
    """Read one tensor's data: a flat list, or for many numbers a buffer. Raises BadInput."""
    type_ = TYPES[datatype]
    count = count_of(name, shape)
    if type_.decoder is None:
        raise bad(name, f"{datatype} as binary data", "JSON")
    if not raw:
        raise bad(name, "data", "nothing")
    try:
        if datatype == "BYTES":
            data = _texts(name, shape, raw)
        else:
            data = _numbers(name, type_, shape, raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"input {name!r}: data: {told(e, raw)}") from e
    if len(data) != count:
        raise bad(name, f"{count} elements for its shape", str(len(data)))
    return _from_base64(name, data) if is_base64 and datatype == "BYTES" else data


def _numbers(name: str, type_: Type, shape: Sequence[int], raw: bytes) -> Any:
    """Numbers or booleans, flat or nested exactly as the shape says."""
    # `find` runs at the speed of memory, which `count` does not.
    is_nested = raw.find(b"[", raw.find(b"[") + 1) >= 0
    if is_nested and not _is_regular(raw, shape):
        raise _irregular(name, shape)
    if len(raw) >= LARGE_BYTES and type_.buffer:
        return _buffer(name, type_.buffer, raw)
    if is_nested:
        raw = b"[" + raw.translate(None, b"[]") + b"]" if math.prod(shape) else b"[]"
    return type_.decoder.decode(raw)


def _irregular(name: str, shape: Sequence[int]) -> BadInput:
    return bad(name, f"data flat or nested as {list(shape)}", "another nesting")


def _buffer(name: str, code: str, raw: bytes) -> memoryview:
    """Many numbers in one buffer. simdjson is strict about elements and blind to nesting."""
    import simdjson  # noqa: PLC0415  (only large JSON bodies owe its import)

    try:
        array: Any = simdjson.Parser().parse(raw)
        buffer = array.as_buffer(of_type=_SIMD[code])
    except (TypeError, ValueError, RuntimeError, AttributeError) as e:
        raise bad(name, "an array of numbers in the datatype's range", str(e)[:80]) from e
    view: Any = memoryview(buffer)
    return view.cast(code)  # type: ignore[no-any-return]


def _is_regular(raw: bytes, shape: Sequence[int]) -> bool:
    """Whether valid JSON with as many elements as the shape has is nested as it says.

    What remains without the elements must be the shape's own brackets and commas. A list of one
    element and an empty one look the same then, which is why the number of elements has to be right
    as well.
    """
    if not math.prod(shape) and raw.translate(None, b"[], \t\r\n"):
        return False
    skeleton = raw.translate(None, _LEAVES)
    length = 0
    for n in reversed(shape):
        length = 2 + max(n - 1, 0) + n * length
    # Compared before it is built: a shape may ask for more than there is memory.
    if length != len(skeleton):
        return False
    expected = b""
    for n in reversed(shape):
        expected = b"[" + b",".join([expected] * n) + b"]"
    return expected == skeleton


def _texts(name: str, shape: Sequence[int], raw: bytes) -> list[Any]:
    """Strings, flat or nested exactly as the shape says."""
    try:
        return _strings.decode(raw)
    except msgspec.ValidationError:
        if len(shape) < 2:
            raise
    nested: Any = str
    for _ in shape:
        nested = list[nested]
    items = [msgspec.json.decode(raw, type=nested)]
    for n in shape:
        if any(len(item) != n for item in items):
            raise _irregular(name, shape)
        items = [element for item in items for element in item]
    return items


def _from_base64(name: str, items: list[str]) -> list[bytes]:
    try:
        return [base64.b64decode(item, validate=True) for item in items]
    except (binascii.Error, ValueError) as e:
        raise bad(name, "base64, as its content_type says", str(e)) from e


def write_json(block: Block) -> list[Any]:
    """A tensor's elements as a flat list. NaN and infinity become null when it is encoded."""
    data = block.data
    if isinstance(data, list):
        return data
    view = memoryview(data)
    type_ = TYPES[DATATYPES[block.dtype]]
    return list(struct.unpack(f"<{view.nbytes // type_.size_bytes}{type_.code}", view))


def write_texts(block: Block, *, is_json: bool) -> tuple[list[str], str]:
    """The elements of a BYTES tensor as strings, and their `content_type`.

    Text is written as it is; bytes are not text, so they are always written as base64 rather than
    only where they happen not to be UTF-8.
    """
    items = write_json(block)
    if is_json:
        return [str(item, "utf-8") if isinstance(item, bytes) else item for item in items], "json"
    if any(isinstance(item, bytes) for item in items):
        return [base64.b64encode(_octets(item)).decode() for item in items], "base64"
    return items, ""


# Binary


def read_binary(name: str, datatype: str, shape: Sequence[int], piece: memoryview) -> Any:
    """Read one tensor's bytes, without copying them unless they are BYTES. Raises BadInput."""
    type_ = TYPES[datatype]
    count = count_of(name, shape)
    if datatype == "BYTES":
        return _read_elements(name, count, piece)
    if len(piece) != count * type_.size_bytes:
        raise bad(name, f"{count * type_.size_bytes} bytes for its shape", str(len(piece)))
    # "For BOOL type element true is a single byte with value 1 and false [...] with value 0."
    if datatype == "BOOL" and bytes(piece).translate(None, b"\0\1"):
        raise bad(name, "bytes 0 or 1", "another")
    return piece


def read_raw(specs: Sequence[TensorSpec], body: bytes | memoryview) -> dict[str, Block]:
    """Binary: a body that is one tensor of batch 1; its size gives a free dimension. Raises BadInput."""
    if len(specs) != 1:
        expected = "JSON, since the model has several inputs"
        raise BadInput(where="body", expected=expected, found="a raw tensor")
    spec = specs[0]
    shape = [*([1] if spec.has_rows else []), *spec.shape]
    size = math.prod(n for n in shape if n != -1)
    if spec.dtype == "bytes":
        if -1 in shape or size != 1:
            raise bad(spec.name, "one element a row, for a raw body", f"shape {shape}")
        return {spec.name: Block("bytes", tuple(shape), [bytes(body)])}
    datatype = DATATYPES[spec.dtype]
    item_bytes = size * TYPES[datatype].size_bytes
    if shape.count(-1) > 1 or not item_bytes:
        raise bad(spec.name, "at most one free dimension, for a raw body", f"shape {shape}")
    if -1 in shape:
        shape[shape.index(-1)] = len(body) // item_bytes
    data = read_binary(spec.name, datatype, shape, memoryview(body))
    return {spec.name: Block(spec.dtype, tuple(shape), data)}


def _read_elements(name: str, count: int, piece: memoryview) -> list[bytes]:
    """Binary: "a 4-byte unsigned integer giving the length followed by the actual bytes"."""
    # Each element has a length, so that a count beyond this is a lie; nothing is made for it.
    if count * 4 > len(piece):
        raise bad(name, f"{count} elements", f"{len(piece)} bytes")
    items = []
    start = 0
    for _ in range(count):
        end = start + 4 + int.from_bytes(piece[start : start + 4], "little")
        items.append(bytes(piece[start + 4 : end]))
        start = end
    # A slice beyond the end is short and silent, but then the sum is off: it only grows.
    if start != len(piece):
        raise bad(name, f"{count} elements in {len(piece)} bytes", f"{start} bytes")
    return items


def write_binary(block: Block) -> memoryview:
    """A tensor's bytes: "little-endian byte order, row major, without stride or padding"."""
    data = block.data
    if block.dtype == "bytes":
        items = [_octets(item) for item in write_json(block)]
        return memoryview(b"".join(len(item).to_bytes(4, "little") + item for item in items))
    if isinstance(data, list):
        try:
            data = struct.pack(f"<{len(data)}{TYPES[DATATYPES[block.dtype]].code}", *data)
        except struct.error as e:
            raise BadOutput(expected=f"{block.dtype} values", found=str(e)) from e
    view = memoryview(data)
    return view if view.c_contiguous else memoryview(view.tobytes())


def _octets(item: bytes | str) -> bytes:
    return item.encode() if isinstance(item, str) else bytes(item)
