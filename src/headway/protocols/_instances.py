"""What `instances` mean to a model. Not a protocol by itself: several send rows in this form.

KServe V1, TensorFlow Serving, Vertex AI, MLflow and SageMaker's JSON share it. The contract:

- Rows are a JSON array. An object whose members all name inputs is a row by name; anything else is the bare value of
  the only input that a caller must give (the first, where all have defaults), and refused where several must be given.
- Columns are a JSON object of inputs, a list with the rows in front each; what is no list, or a list of one, stands
  for every row. Anything else is the column of that same only input. Of a model file whose rows are not proven, what
  is given is its one item.
- Parameters are an object of inputs that every row has which does not name them itself.
- `{"b64": "..."}`, wherever in an input it stands, is bytes as base64: an input of text gets them as UTF-8.
- Numbers that JSON has no words for come as NaN, Infinity and -Infinity where a dialect allows them: it reads the
  body again with `spelled`, and the rows are read as tensors.

What is made of it is the wire table's one form, an array of objects, or V2's tensors: types, names, ranges and the
number of rows are checked there, and only there.
"""

import base64
import json
import math
import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.errors import BadInput
from headway.model.call import Block, Call, Description
from headway.model.counting import count_rows, may_exceed
from headway.model.wording import told
from headway.protocols import Wire
from headway.protocols._asking import blocks_of
from headway.protocols._tensors import DATATYPES, TYPES

_cells = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_MARK = b'"b64"'
_TOKENS: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORD = secrets.token_hex(16)
"""Before a token's name it stands for the token; no caller knows it."""

Shared = Mapping[str, bytes]


class _Inputs(NamedTuple):
    """How a model's inputs may be named, or left unnamed."""

    names: Sequence[str]
    bare: str
    """The input that a bare value feeds; "" where none is meant alone."""


def read_rows(wire: Wire, rows: bytes, shared: Shared | None = None) -> Call:
    """Read a JSON array of rows.

    Args:
        wire: of the model.
        rows: the array.
        shared: parameters, each as JSON (`read_shared`).

    Raises:
        BadInput: it is no array, or not what the model takes; with the row's index.
    """
    if rows.lstrip(b" \t\r\n")[:1] != b"[":
        raise _refused("rows", "a list", rows)
    given = shared or {}
    inputs = _inputs_of(wire.description, given)
    if not (inputs.bare or given or _MARK in rows or _WORD.encode() in rows):
        return wire.read_json(rows)
    named = [_named(inputs, row) for row in _cut(wire, rows, "rows")]
    return _read(wire, ({**given, **row} for row in named))


def read_columns(wire: Wire, columns: bytes, shared: Shared | None = None) -> Call:
    """Read a JSON object of columns, or the column of the only input. Arguments and errors as `read_rows`."""
    given = shared or {}
    named = _named(_inputs_of(wire.description, given), columns)
    if any(not spec.has_rows for spec in wire.description.inputs):
        return _read(wire, [{**given, **named}])
    cells = {name: _column(wire, name, column) for name, column in named.items()}
    counts = {name: len(column) for name, column in cells.items() if len(column) != 1}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise BadInput(where="columns", expected="as many rows in each", found=found)
    count = next(iter(counts.values()), 1)
    whole = {name: column * count if len(column) == 1 else column for name, column in cells.items()}
    return _read(wire, ({**given, **{n: c[i] for n, c in whole.items()}} for i in range(count)))


def read_shared(parameters: bytes) -> Shared:
    """Parameters as JSON by name. Raises BadInput: they are no object."""
    try:
        return {name: bytes(value) for name, value in _members.decode(parameters).items()}
    except _UNREADABLE as e:
        raise BadInput(f"parameters: {told(e, parameters)}") from e


def spelled(body: bytes) -> bytes | None:
    """A body without the tokens that are no JSON; None where it holds none, or can't be read anyhow.

    Raises:
        BadInput: its text is none, or too deep.
    """
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    try:
        value = json.loads(body, parse_constant=lambda token: _WORD + token)
        return msgspec.json.encode(value)
    except RecursionError as e:
        raise BadInput("the JSON is nested too deeply") from e
    except (ValueError, OverflowError, msgspec.MsgspecError):
        return None


# From what came to rows by name


def _inputs_of(model: Description, shared: Shared) -> _Inputs:
    names = list(model.input_schema.get("properties", {}))
    required = model.input_schema.get("required", ()) or names[:1]
    needed = [name for name in required if name not in shared]
    return _Inputs(names, needed[0] if len(needed) == 1 else "")


def _named(inputs: _Inputs, value: bytes) -> Mapping[str, bytes]:
    """A row, or columns, as inputs by name."""
    if value.lstrip(b" \t\r\n")[:1] == b"{":
        try:
            members = _members.decode(value)
        except _UNREADABLE as e:
            raise BadInput(told(e, value)) from e
        if not inputs.bare or (members and members.keys() <= set(inputs.names)):
            return {name: bytes(member) for name, member in members.items()}
    if not inputs.bare:
        raise _refused("row", f"an object of {', '.join(inputs.names)}", value)
    return {inputs.bare: value}


def _column(wire: Wire, name: str, column: bytes) -> list[bytes]:
    if column.lstrip(b" \t\r\n")[:1] != b"[":
        return [column]
    return _cut(wire, column, f"column {name!r}")


def _cut(wire: Wire, array: bytes, where: str) -> list[bytes]:
    """The elements of an array, unread; no object is made where they are too many."""
    if may_exceed(array, wire.max_rows) and (count := count_rows(array)) > wire.max_rows:
        raise BadInput(where=where, expected=f"at most {wire.max_rows} rows", found=count)
    try:
        return [bytes(cell) for cell in _cells.decode(array)]
    except _UNREADABLE as e:
        raise BadInput(f"{where}: {told(e, array)}") from e


def _refused(where: str, expected: str, value: bytes) -> BadInput:
    return BadInput(where=where, expected=expected, found=value[:40].decode(errors="replace"))


# From rows by name to a call


def _read(wire: Wire, rows: Iterable[Mapping[str, bytes]]) -> Call:
    texts = _texts(wire.description)
    items = [_item(row, texts) for row in rows]
    if any(_WORD.encode() in item for item in items):
        return _read_numbers(wire, items)
    return wire.read_json(b"[" + b",".join(items) + b"]")


def _item(row: Mapping[str, bytes], texts: frozenset[str]) -> bytes:
    members = (
        msgspec.json.encode(name)
        + b":"
        + (_unpacked(value, is_text=name in texts) if _MARK in value else value)
        for name, value in row.items()
    )
    return b"{" + b",".join(members) + b"}"


def _texts(model: Description) -> frozenset[str]:
    """The inputs that hold no bytes."""
    defs = str(model.input_schema.get("$defs", ""))
    return frozenset(
        name
        for name, schema in model.input_schema.get("properties", {}).items()
        if "contentEncoding" not in str(schema) + (defs if "$ref" in str(schema) else "")
    )


def _unpacked(value: bytes, *, is_text: bool) -> bytes:
    """An input without its `b64` objects."""

    def walk(found: Any) -> Any:
        if isinstance(found, list):
            return [walk(each) for each in found]
        if not isinstance(found, dict):
            return found
        packed = found.get("b64")
        if len(found) != 1 or not isinstance(packed, str):
            return {name: walk(each) for name, each in found.items()}
        return base64.b64decode(packed, validate=True).decode() if is_text else packed

    try:
        return msgspec.json.encode(walk(msgspec.json.decode(value)))
    except UnicodeDecodeError as e:
        raise BadInput(where="b64", expected="text in UTF-8", found="other bytes") from e
    except (ValueError, OverflowError, *_UNREADABLE) as e:
        raise BadInput(f"b64: {told(e, value)}") from e


def _read_numbers(wire: Wire, items: Sequence[bytes]) -> Call:
    """Read rows that hold numbers that JSON has no words for: as tensors, of which floats are binary."""

    def walk(found: Any) -> Any:
        if isinstance(found, str):
            return _TOKENS[found.removeprefix(_WORD)] if found.startswith(_WORD) else found
        if isinstance(found, list):
            return [walk(each) for each in found]
        return (
            {name: walk(each) for name, each in found.items()} if isinstance(found, dict) else found
        )

    try:
        values = [walk(msgspec.json.decode(item)) for item in items]
    except _UNREADABLE as e:
        raise BadInput(told(e)) from e
    blocks = blocks_of(wire.description, values)
    return wire.read_blocks({name: _exact(name, block) for name, block in blocks.items()})


def _exact(name: str, block: Block) -> Block:
    if not block.dtype.startswith("float"):
        return Block(block.dtype, block.shape, block.data, is_json=True)
    try:
        data = struct.pack(f"<{len(block.data)}{TYPES[DATATYPES[block.dtype]].code}", *block.data)
    except (struct.error, OverflowError) as e:
        raise BadInput(f"input {name!r}: expected numbers that {block.dtype} can hold: {e}") from e
    return Block(block.dtype, block.shape, data)
