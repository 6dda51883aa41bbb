"""An author's examples as a request has them, and calls to warm up with.

Where examples are shown or asked is no concern of this module.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import BadInput, SignatureError
from headway.model.call import Block, Call
from headway.model.field import Field
from headway.model.predictor import confine
from headway.model.signature import Signature
from headway.model.values import plain

FREE_LENGTH = 64
"""Length of a free dimension in a made-up call: a short one would let batches look better than they are."""
MANY_FREE_LENGTH = 8
"""The same where a tensor has more than two of them."""
_ITEM_BYTES = {"float16": 2, "float32": 4, "float64": 8, "bool": 1}


def to_json(example: Mapping[str, Any], signature: Signature, root: Path) -> dict[str, Any]:
    """An example as an item in its JSON form; a Path in it is read from beside the code.

    Raises:
        SignatureError: it holds what JSON can't, or what the signature does not name.
        BundleError: its file is outside of the bundle.
    """
    fields = {p.name: p.field for p in signature.parameters}
    if signature.is_flat:
        fields = dict(signature.parameters[0].field.parts)  # type: ignore[attr-defined]
    if unknown := set(example) - set(fields):
        where = f"{signature.name}: examples"
        advice = f"name its inputs: {', '.join(fields)}"
        raise SignatureError(where=where, found=f"an input {min(unknown)!r}", advice=advice)
    try:
        return {n: _value(v, fields[n], root) for n, v in example.items()}
    except (TypeError, ValueError, OSError) as e:
        advice = "write values that JSON can hold, or a Path to a file beside the code"
        raise SignatureError(
            where=f"{signature.name}: examples", found=str(e), advice=advice
        ) from e


def _value(value: Any, field: Field, root: Path) -> Any:
    if isinstance(value, Path):
        content = confine(root, str(value)).read_bytes()
        if field.json_type is str and not hasattr(field, "from_file"):
            return content.decode()
        return base64.b64encode(content).decode()
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=plain))


def files_of(example: Mapping[str, Any]) -> dict[str, str]:
    """The inputs of an author's example that are files, with their paths."""
    return {name: value.as_posix() for name, value in example.items() if isinstance(value, Path)}


def made_up(signature: Signature) -> dict[str, Any] | None:
    """An item of zeros in its JSON form; None where an input is no tensor."""
    fields = {p.name: p.field for p in signature.parameters}
    if not all(hasattr(f, "has_batch") and not hasattr(f, "parts") for f in fields.values()):
        return None
    return {name: _nested_zeros(field) for name, field in fields.items()}


def _nested_zeros(field: Field) -> Any:
    value: Any = {"bytes": "text", "bool": False}.get(
        field.dtype, 0.0 if "float" in field.dtype else 0
    )
    for length in reversed(_lengths(field)):
        value = [value] * length
    return value


def _lengths(field: Field) -> list[int]:
    free = sum(n < 0 for n in field.shape)
    length = FREE_LENGTH if free <= 2 else MANY_FREE_LENGTH
    return [length if n < 0 else n for n in field.shape]


def make_call(wire: Any, examples: Sequence[Mapping[str, Any]], rows: int) -> Call | None:
    """A call of some rows: the examples in turn, or zeros for tensors; None if there is neither."""
    if examples:
        items = [examples[i % len(examples)] for i in range(rows)]
        call: Call = wire.read_json(msgspec.json.encode(items))
        return call
    fields = [p.field for p in wire.signature.parameters]
    if not all(hasattr(f, "has_batch") and not hasattr(f, "parts") for f in fields):
        return None
    try:
        return Call(rows, {p.name: _zeros(p.field, rows) for p in wire.signature.parameters})
    except BadInput:
        return None


def _zeros(field: Field, rows: int) -> Any:
    shape = (rows, *_lengths(field))
    count = 1
    for n in shape:
        count *= n
    if field.dtype == "bytes":
        return field.from_block(Block("bytes", shape, ["text"] * count))
    size = _ITEM_BYTES.get(field.dtype) or int(field.dtype.lstrip("uint")) // 8
    return field.from_block(Block(field.dtype, shape, bytes(count * size)))
