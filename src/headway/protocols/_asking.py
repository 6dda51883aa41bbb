"""V2 the other way round: items in their JSON form to a request, a response to answers. Not a protocol by itself.

For checks and clients, which know a model by its description alone: no signature, no arrays. The specifications are
those of `v2`. What tensors can't say of items (some leave an input out, lengths differ) needs a request each.
"""

import base64
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from headway.errors import BadInput, BadOutput
from headway.model.call import Block, Description, Shape, TensorSpec
from headway.model.drift import resolved
from headway.model.parity import is_object
from headway.protocols import JSON, Ask, Reply
from headway.protocols._tensors import DATATYPES, TYPES, write_binary

_LENGTH: Final = "inference-header-content-length"
_ABSENT: Final = object()

# Requests


class _Tensor(NamedTuple):
    spec: TensorSpec
    block: Block
    is_base64: bool


def write_ask(model: Description, items: Sequence[Mapping[str, Any]], *, is_binary: bool) -> Ask:
    """Write a question about items. Raises BadInput: their tensors do not stack, or are not what is asked for."""
    op = "infer_stream" if model.is_stream else "infer"
    tensors = _stacked(model, items)
    if not is_binary:
        body = msgspec.json.encode({"inputs": [_in_json(t) for t in tensors]})
        return Ask(op, model.name, "", body, {"content-type": JSON})
    pieces = [write_binary(t.block) for t in tensors]
    inputs = [
        {**_named(t), "parameters": {"binary_data_size": piece.nbytes}}
        for t, piece in zip(tensors, pieces, strict=True)
    ]
    head = msgspec.json.encode({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"content-type": "application/octet-stream", _LENGTH: str(len(head))}
    return Ask(op, model.name, "", b"".join([head, *pieces]), headers)


def blocks_of(model: Description, items: Sequence[Mapping[str, Any]]) -> dict[str, Block]:
    """Items as tensors by name, with the rows in front; numbers unchecked. Raises BadInput as `write_ask`."""
    return {tensor.spec.name: tensor.block for tensor in _stacked(model, items)}


def _stacked(model: Description, items: Sequence[Mapping[str, Any]]) -> list[_Tensor]:
    try:
        return list(_tensors(model, items))
    except (TypeError, ValueError, AttributeError) as e:
        raise BadInput(f"an item is not what the schema says: {e}") from e


def _named(tensor: _Tensor) -> dict[str, Any]:
    block = tensor.block
    return {"name": tensor.spec.name, "shape": block.shape, "datatype": DATATYPES[block.dtype]}


def _in_json(tensor: _Tensor) -> dict[str, Any]:
    if tensor.block.dtype == "float16":
        raise BadInput(f"input {tensor.spec.name!r}: FP16 is binary only")
    if not tensor.is_base64:
        return {**_named(tensor), "data": tensor.block.data}
    data = [base64.b64encode(element).decode() for element in tensor.block.data]
    return {**_named(tensor), "data": data, "parameters": {"content_type": "base64"}}


def _tensors(model: Description, items: Sequence[Mapping[str, Any]]) -> Iterator[_Tensor]:
    for spec in model.inputs:
        if not spec.has_rows and len(items) != 1:
            raise BadInput("the model's rows are not proven, so each item needs a request")
        values = [_value_of(model, spec, item) for item in items]
        given = [value is not _ABSENT for value in values]
        if not any(given):
            continue
        if not all(given):
            raise BadInput(f"input {spec.name!r}: some items leave it out, so each needs a request")
        yield _tensor(model, spec, values)


def _tensor(model: Description, spec: TensorSpec, values: list[Any]) -> _Tensor:
    if spec.is_json:
        texts = [msgspec.json.encode(value).decode() for value in values]
        return _Tensor(spec, Block("bytes", (len(values),), texts), False)
    shape, flat = _flattened(spec, values)
    is_base64 = _is_base64(_part_schema(model, spec))
    if is_base64:
        flat = [base64.b64decode(text.rpartition(",")[2], validate=True) for text in flat]
    elif spec.dtype == "bytes" and not all(isinstance(text, str) for text in flat):
        raise BadInput(where=f"input {spec.name!r}", expected="text", found="another type")
    return _Tensor(spec, Block(spec.dtype, shape if spec.has_rows else shape[1:], flat), is_base64)


def _flattened(spec: TensorSpec, values: list[Any]) -> tuple[Shape, list[Any]]:
    """The shape of nested lists, rows in front, and their elements in order."""
    shape = [len(values)]
    flat: list[Any] = values
    for _ in spec.shape:
        lengths = {len(value) for value in flat}
        if len(lengths) > 1:
            raise BadInput(f"input {spec.name!r}: items of different lengths need a request each")
        shape.append(lengths.pop() if lengths else 0)
        flat = [element for value in flat for element in value]
    return tuple(shape), flat


def _place(model: Description, spec: TensorSpec) -> tuple[str, str]:
    """The input that a tensor is, or the input and its field."""
    names = model.input_schema.get("properties", {})
    if spec.name in names:
        return spec.name, ""
    head, _, rest = spec.name.partition(".")
    return (head, rest) if head in names else (next(iter(names)), spec.name)


def _value_of(model: Description, spec: TensorSpec, item: Mapping[str, Any]) -> Any:
    name, part = _place(model, spec)
    value = item.get(name, _ABSENT)
    if part and value is not _ABSENT:
        value = value.get(part, _ABSENT)
    return _ABSENT if value is None and spec.is_optional and not spec.is_json else value


def _part_schema(model: Description, spec: TensorSpec) -> Mapping[str, Any]:
    root = model.input_schema
    name, part = _place(model, spec)
    schema = resolved(root.get("properties", {}).get(name, {}), root)
    return resolved(schema.get("properties", {}).get(part, {}), root) if part else schema


def _is_base64(schema: Mapping[str, Any]) -> bool:
    parts = schema.get("anyOf", [schema])
    return any(part.get("contentEncoding") == "base64" for part in parts)


# Responses


def read_reply(model: Description, reply: Reply) -> list[Any]:
    """The answers of a response in their JSON form. Raises BadOutput."""
    try:
        if model.is_stream:
            events = [e for e in reply.body.split(b"\n\n") if e.strip()]
            return [[_answers(model, e.removeprefix(b"data: "), b"")[0] for e in events]]
        length = dict(reply.headers).get(_LENGTH)
        size = len(reply.body) if length is None else int(length)
        return _answers(model, reply.body[:size], reply.body[size:])
    except (msgspec.MsgspecError, KeyError, IndexError, ValueError, TypeError, struct.error) as e:
        found = f"{type(e).__name__}: {e} in {reply.body[:80]!r}"
        raise BadOutput(expected="a response of V2", found=found) from e


def _answers(model: Description, head: bytes, tail: bytes) -> list[Any]:
    response = msgspec.json.decode(head, type=dict[str, Any])
    if "outputs" not in response:
        raise BadOutput(f"the stream ended with an error: {response.get('error')}")
    columns: dict[str, list[Any]] = {}
    for output in response["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        data = output["data"] if size is None else _unpacked(output, tail[:size])
        tail = tail[size or 0 :]
        columns[output["name"]] = _rows(model, output, data)
    if is_object(model):
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (only,) = columns.values()
    return only


def _unpacked(output: Mapping[str, Any], piece: bytes) -> list[Any]:
    """The elements of binary data; JSON's null stands for what it can't hold."""
    type_ = TYPES[output["datatype"]]
    if type_.dtype != "bytes":
        count = math.prod(output["shape"])
        values = struct.unpack(f"<{count}{type_.code}", piece)
        return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
    elements = []
    while piece:
        end = 4 + int.from_bytes(piece[:4], "little")
        elements.append(piece[4:end])
        piece = piece[end:]
    return elements


def _rows(model: Description, output: Mapping[str, Any], data: list[Any]) -> list[Any]:
    spec = next(s for s in model.outputs if s.name == output["name"])
    shape: list[int] = output["shape"] if spec.has_rows else [1, *output["shape"]]
    if output["datatype"] == "BYTES":
        is_base64 = holds_base64(model, spec.name)
        data = [_text(element, spec, is_base64=is_base64) for element in data]
    if len(data) != math.prod(shape):
        raise BadOutput(expected=f"{math.prod(shape)} elements", found=len(data))
    return _nested(data, shape)


def _text(element: bytes | str, spec: TensorSpec, *, is_base64: bool) -> Any:
    if spec.is_json:
        return msgspec.json.decode(element)
    if isinstance(element, str):
        return element
    return base64.b64encode(element).decode() if is_base64 else element.decode()


def holds_base64(model: Description, name: str) -> bool:
    """Whether an output holds bytes, which are base64 in JSON."""
    root = model.output_schema
    whole = resolved(root, root)
    part = whole.get("properties", {}).get(name, {})
    return _is_base64(resolved(part, root) if is_object(model) else whole)


def _nested(flat: list[Any], shape: Sequence[int]) -> list[Any]:
    """Elements as nested lists of a shape."""
    if len(shape) == 1:
        return flat
    size = math.prod(shape[1:])
    return [_nested(flat[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]
