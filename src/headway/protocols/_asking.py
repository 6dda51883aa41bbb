"""The asking side of V2: items in their JSON form as tensors. Not a protocol by itself.

The inverse of `v2.decode`, for those who ask: load, checks, clients. Specification as in `v2` and `_tensors`.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput, BadOutput
from headway.model.call import Block, Description, Shape, TensorSpec
from headway.protocols._tensors import DATATYPES, bad, write_binary

_encode = msgspec.json.Encoder().encode


def request(
    items: Sequence[Mapping[str, Any]], model: Description, *, is_binary: bool
) -> tuple[bytes, int]:
    """A V2 request's body, and the length of the JSON in front of its binary tensors. Raises BadInput."""
    inputs: list[dict[str, Any]] = []
    pieces: list[memoryview] = []
    for spec in model.inputs:
        values = [_value(item, spec.name) for item in items]
        if spec.is_optional and all(value is None for value in values):
            continue
        if any(value is None for value in values):
            raise bad(spec.name, "a value in every item", "none")
        is_base64 = _is_base64(spec, model.input_schema)
        block = _block(spec, values, is_base64=is_base64 and is_binary)
        written = {
            "name": spec.name,
            "datatype": DATATYPES[spec.dtype],
            "shape": list(block.shape),
        }
        if is_binary:
            pieces.append(_bytes(spec.name, block))
            written["parameters"] = {"binary_data_size": pieces[-1].nbytes}
        else:
            parameters = {"parameters": {"content_type": "base64"}} if is_base64 else {}
            written |= {**parameters, "data": block.data}
        inputs.append(written)
    parameters = {"parameters": {"binary_data_output": True}} if is_binary else {}
    head = _encode({**parameters, "inputs": inputs})
    return b"".join([head, *pieces]), len(head)


def _value(item: Mapping[str, Any], name: str) -> Any:
    """An input's value in an item; a field of a struct is named `parameter.field`."""
    if name in item:
        return item[name]
    parameter, _, rest = name.partition(".")
    inner = item.get(parameter)
    return inner.get(rest) if isinstance(inner, Mapping) else None


def _is_base64(spec: TensorSpec, schema: Mapping[str, Any]) -> bool:
    """Whether the JSON form of an input is base64."""
    for name in spec.name.split("."):
        schema = schema.get("properties", {}).get(name, {})
    kinds = [schema, *schema.get("anyOf", ())]
    return spec.dtype == "bytes" and any(k.get("contentEncoding") == "base64" for k in kinds)


def _block(spec: TensorSpec, values: Sequence[Any], *, is_base64: bool) -> Block:
    """The values of all rows as one tensor."""
    if spec.is_json:
        return Block("bytes", (len(values),), [_encode(value).decode() for value in values])
    nested = values if spec.has_rows else values[0]
    shape = _shape(nested)
    flat = _flatten(nested, shape, spec.name)
    if is_base64:
        flat = [_decoded(spec.name, text) for text in flat]
    return Block(spec.dtype, shape, flat)


def _shape(value: Any) -> Shape:
    """The shape of nested lists, as their first elements have it."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def _flatten(value: Any, shape: Shape, name: str) -> list[Any]:
    """The elements of nested lists, row by row. Raises BadInput unless they are regular."""
    if not shape:
        return [value]
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != shape[0]:
        raise bad(name, "lists of equal lengths", "others")
    return [element for part in value for element in _flatten(part, shape[1:], name)]


def _decoded(name: str, text: Any) -> bytes:
    """The bytes of base64, or of a data URL."""
    try:
        return base64.b64decode(str(text).rpartition(",")[2], validate=True)
    except binascii.Error as e:
        raise bad(name, "base64", repr(text)[:40]) from e


def _bytes(name: str, block: Block) -> memoryview:
    """A tensor's bytes. Raises BadInput: an element is not of its datatype."""
    if block.dtype == "bytes" and not all(isinstance(e, bytes | str) for e in block.data):
        raise bad(name, "texts", "others")
    try:
        return write_binary(block)
    except BadOutput as e:
        raise BadInput(f"input {name!r}: {e.message}") from e
    except OverflowError as e:  # of a float32 or float16
        raise bad(name, f"{block.dtype} values", "a number out of range") from e
