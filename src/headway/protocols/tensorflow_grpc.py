"""TensorFlow Serving over gRPC: PredictionService and ModelService.

Specification: tensorflow/serving (2026-07), tensorflow_serving/apis/*.proto, below "TF", and TensorProto of
tensorflow/tensorflow, tensorflow/core/framework/tensor.proto (`_tensorflow_proto`). Examples are read as in V1.

Chosen where the texts are silent or we deviate on purpose: a scalar stands for a tensor of one row; a list that is
shorter than its shape repeats its last element, within a bound, since a few bytes must not become many; a model that
streams is not asked here. Versions that are no numbers are left out of statuses and answers. `signature_name` is
`serving_default`, labels are `stable` and `latest`. MultiInference is not served; models are loaded over the admin API.
"""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headway import errors
from headway.errors import HeadwayError, NotOffered
from headway.model.call import Block, Call, Description, Result, Shape, TensorSpec
from headway.protocols import Ask, Facts, Reply, Route, Wire, row_error
from headway.protocols._examples import pairs_of, read_examples, value_of
from headway.protocols._grpc import GRPC, done, failed
from headway.protocols._parameters import refused
from headway.protocols._protobuf import (
    MAX_ITEMS,
    Buffer,
    Field,
    Message,
    count_varints,
    malformed,
    read,
    signed,
    varints,
    write,
)
from headway.protocols._schema import Schema
from headway.protocols._status import LABELS, SIGNATURE
from headway.protocols._tensorflow_proto import PROTO
from headway.protocols._tensors import (
    DATATYPES,
    MAX_COUNT,
    TYPES,
    bad,
    count_of,
    write_binary,
    write_json,
)

_PREDICTION = "/tensorflow.serving.PredictionService/"
ROUTES: Sequence[Route] = (
    Route("GRPC", _PREDICTION + "Predict", "predict", names_in_body=True),
    Route("GRPC", _PREDICTION + "Classify", "classify", names_in_body=True),
    Route("GRPC", _PREDICTION + "Regress", "regress", names_in_body=True),
    Route("GRPC", _PREDICTION + "GetModelMetadata", "metadata", is_local=True, names_in_body=True),
    Route(
        *("GRPC", "/tensorflow.serving.ModelService/GetModelStatus", "status"),
        is_local=True,
        needs_probe=True,
        names_in_body=True,
    ),
)
HEADERS: Sequence[str] = ()

SCHEMA = Schema(
    PROTO,
    # An InputsEntry is a tensor of a request, and what tells of one in a SignatureDef.
    lazy=(
        "InputsEntry.value",
        "ClassificationRequest.input",
        "RegressionRequest.input",
        "Input.example_list",
        "Input.example_list_with_context",
    ),
)
MAX_FILLED_BYTES = 16 * 2**20
"""Largest tensor whose elements are repeated rather than sent."""
_MAX_FLOAT = 3.4028234e38
_MAX_RANK, _MAX_TENSORS, _MAX_NAME, _MAX_TENSOR_FIELDS = 32, 4096, 256, 32


def _message(name: str) -> Message:
    return SCHEMA.message(f"tensorflow.serving.{name}")


_SPEC = _message("ModelSpec")
_ASKED = Message("asked", [], {})
_ASKED.fill([Field("model_spec", 1, "message", "spec")], {"spec": _SPEC})
"""What all requests begin with; the rest is passed over."""
_REQUEST, _RESPONSE = _message("PredictRequest"), _message("PredictResponse")
_TENSOR, _INFO = (SCHEMA.message(f"tensorflow.{name}") for name in ("TensorProto", "TensorInfo"))


class _Kind(NamedTuple):
    """How a DataType is sent where it is no `tensor_content`."""

    number: int
    field: str
    bits: int = 0
    """Of a signed integer."""


_KINDS: Mapping[str, _Kind] = {
    "float32": _Kind(1, "float_val"),
    "float64": _Kind(2, "double_val"),
    "int32": _Kind(3, "int_val", 32),
    "uint8": _Kind(4, "int_val", 32),
    "int16": _Kind(5, "int_val", 32),
    "int8": _Kind(6, "int_val", 32),
    "bytes": _Kind(7, "string_val"),
    "int64": _Kind(9, "int64_val", 64),
    "bool": _Kind(10, "bool_val"),
    "uint16": _Kind(17, "int_val", 32),
    "float16": _Kind(19, "half_val"),
    "uint32": _Kind(22, "uint32_val"),
    "uint64": _Kind(23, "uint64_val"),
}
_DTYPES: Mapping[int, str] = {kind.number: dtype for dtype, kind in _KINDS.items()}


class _Memo(NamedTuple):
    """What the request said about its answer."""

    names: Sequence[str] = ()
    """Of the wanted outputs; none for all."""


# Requests


def target(ask: Ask) -> tuple[str, str]:
    """The model and the version that a message's `model_spec` names. Raises BadInput, or UnknownVersion."""
    spec = read(_ASKED, ask.body, MAX_ITEMS).get("model_spec", {})
    name = spec.get("name", "")
    label = spec.get("version_label", "")
    if label and label not in LABELS:
        raise errors.UnknownVersion(model=name, version=label[:40], known=" and ".join(LABELS))
    version = spec["version"].get("value", 0) if "version" in spec else ""
    if len(name) > _MAX_NAME:
        raise refused("model_spec", f"a name of at most {_MAX_NAME} characters", "a longer one")
    return name, str(version)


def decode(ask: Ask, wire: Wire) -> Call:
    """Read tensors, or examples. Raises BadInput."""
    if wire.description.is_stream:
        raise refused("method", "one of V2, which has streams", "a model that streams")
    if ask.op not in _VERBS:
        return _read_tensors(ask, wire)
    request = read(_message(f"{_VERBS[ask.op]}Request"), ask.body)
    _check_signature(request)
    examples, context = _read_input(request.get("input", b""), wire.max_rows)
    return read_examples(wire, msgspec.json.encode(examples), msgspec.json.encode(context))


_VERBS = {"classify": "Classification", "regress": "Regression"}


def _check_signature(request: Mapping[str, Any]) -> None:
    name = request.get("model_spec", {}).get("signature_name", "")
    if name not in ("", SIGNATURE):
        raise refused("signature_name", SIGNATURE, repr(name[:40]))


def _read_tensors(ask: Ask, wire: Wire) -> Call:
    request = read(_REQUEST, ask.body)
    _check_signature(request)
    inputs: Mapping[str, Any] = request.get("inputs", {})
    if len(inputs) > _MAX_TENSORS:
        raise refused("inputs", f"at most {_MAX_TENSORS}", str(len(inputs)))
    names = request.get("output_filter", ())
    known = [spec.name for spec in wire.description.outputs]
    for name in names:
        if name not in known or names.count(name) > 1:
            raise refused("output_filter", f"each once of {', '.join(known)}", repr(name[:40]))
    call = wire.read_blocks({n: _block(n, piece or b"", wire) for n, piece in inputs.items()})
    call.memo = _Memo(names)
    return call


def _block(name: str, piece: Buffer, wire: Wire) -> Block:
    most = max(MAX_ITEMS, wire.max_rows) + _MAX_TENSOR_FIELDS
    found = read(_TENSOR, piece, most)
    dtype = _DTYPES.get(found.get("dtype", 0))
    if dtype is None:
        raise bad(name[:_MAX_NAME], f"a DataType of {sorted(_DTYPES)}", str(found.get("dtype", 0)))
    shape = _shape(name, found.get("tensor_shape", {}))
    if not shape and any(spec.name == name and spec.has_rows for spec in wire.description.inputs):
        shape = (1,)
    count = count_of(name, shape)
    if dtype == "bytes" and count > wire.max_rows:
        raise bad(name, f"at most {wire.max_rows} elements", str(count)[:40])
    content = found.get("tensor_content", b"")
    if len(content):
        return Block(dtype, shape, _content(name, dtype, count, content))
    return _listed(name, dtype, shape, found.get(_KINDS[dtype].field, b""))


def _shape(name: str, found: Mapping[str, Any]) -> Shape:
    shape = tuple(dim.get("size", 0) for dim in found.get("dim", ()))
    if found.get("unknown_rank") or len(shape) > _MAX_RANK:
        raise bad(name, f"at most {_MAX_RANK} dimensions, all known", "others")
    if any(not 0 <= n <= MAX_COUNT for n in shape):
        raise bad(name, f"dimensions from 0 to {MAX_COUNT}", str(list(shape))[:80])
    return shape


def _content(name: str, dtype: str, count: int, content: Buffer) -> memoryview:
    """TF: the elements as they lie in memory, little-endian and in C order."""
    if dtype == "bytes":
        raise bad(name, "texts in string_val", "tensor_content")
    size = count * TYPES[DATATYPES[dtype]].size_bytes
    if len(content) != size:
        raise bad(name, f"{size} bytes for its shape", str(len(content)))
    view = memoryview(content)
    if dtype == "bool" and bytes(view).translate(None, b"\0\1"):
        raise bad(name, "bytes 0 or 1", "another")
    return view


def _listed(name: str, dtype: str, shape: Shape, given: Any) -> Block:
    """TF: a list that is shorter than the shape repeats its last element; an empty one is of zeros."""
    count = math.prod(shape)
    size_bytes = TYPES[DATATYPES[dtype]].size_bytes
    if dtype in ("float32", "float64"):
        found, rest = divmod(len(given), size_bytes)
        if rest:
            raise malformed("packed numbers that are cut off")
    else:
        found = len(given) if dtype == "bytes" else count_varints(given)
    if found > count:
        raise bad(name, f"at most {count} elements for its shape", str(found))
    if found < count and count * max(size_bytes, 1) > MAX_FILLED_BYTES:
        raise bad(name, f"all {count} elements, as they are so many", str(found))
    if dtype in ("float32", "float64"):
        last = bytes(given[-size_bytes:]) if found else bytes(size_bytes)
        return Block(dtype, shape, memoryview(bytes(given) + last * (count - found)))
    items = _items(dtype, given)
    items += (items[-1:] or [_ZEROS.get(dtype, 0)]) * (count - found)
    if dtype == "float16":
        return Block(dtype, shape, memoryview(struct.pack(f"<{count}H", *items)))
    return Block(dtype, shape, items, is_json=dtype != "bytes")


_ZEROS: Mapping[str, Any] = {"bytes": b"", "bool": False}


def _items(dtype: str, given: Any) -> list[Any]:
    if dtype == "bytes":
        return [bytes(item) for item in given]
    numbers = varints(given)
    if dtype == "bool":
        return [bool(n) for n in numbers]
    if dtype == "float16":  # TF: 16 bits of each number
        return [n & 0xFFFF for n in numbers]
    bits = _KINDS[dtype].bits
    if bits:
        return [signed(n, bits) for n in numbers]
    return numbers if dtype == "uint64" else [n & 0xFFFFFFFF for n in numbers]


# Examples


def _read_input(piece: Buffer, most: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The examples, and the features that they all have, in the form that JSON has them."""
    found = read(_message("Input"), piece)
    name = "example_list_with_context" if "example_list_with_context" in found else "example_list"
    if name not in found:
        raise refused("input", "an example list", "none")
    kind = "ExampleListWithContext" if name.endswith("context") else "ExampleList"
    given = read(_message(kind), found[name], most + 1)
    examples = [_features(example) for example in given.get("examples", ())]
    return examples, _features(given.get("context", {}))


def _features(example: Mapping[str, Any]) -> dict[str, Any]:
    features = example.get("features", {}).get("feature", {})
    return {name: _values(feature or {}) for name, feature in features.items()}


def _values(feature: Mapping[str, Any]) -> list[Any]:
    kind = feature.get("kind", "")
    given = feature.get(kind, {}).get("value", b"")
    if kind == "bytes_list":
        return [{"b64": base64.b64encode(item).decode()} for item in given]
    if kind == "float_list":
        if len(given) % 4:
            raise malformed("packed numbers that are cut off")
        return list(memoryview(bytes(given)).cast("f"))
    return [signed(n) for n in varints(given)]


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the outputs as tensors, or classes, or numbers. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    spec = _spec_of(wire.description)
    if ask.op in _VERBS:
        values = wire.write_values(result)
        told = _classified(values) if ask.op == "classify" else _regressed(values)
        response = _message(f"{_VERBS[ask.op]}Response")
        return done(write(response, {"result": told, "model_spec": spec}))
    blocks = dict(wire.write_blocks(result))
    names = call.memo.names if call.memo else ()
    outputs = {name: _written(blocks[name]) for name in names or blocks}
    return done(write(_RESPONSE, {"outputs": outputs, "model_spec": spec}))


def _spec_of(model: Description) -> dict[str, Any]:
    """The effective one: a version where it is a number."""
    spec: dict[str, Any] = {"name": model.name, "signature_name": SIGNATURE}
    number = _number(model.version)
    return spec if number is None else {**spec, "version": {"value": number}}


def _number(version: str) -> int | None:
    is_one = version.isascii() and version.isdigit() and len(version) <= 18
    return int(version) if is_one else None


def _written(block: Block) -> dict[str, Any]:
    kind = _KINDS.get(block.dtype)
    if kind is None:
        raise errors.BadOutput(expected=f"one of {', '.join(_KINDS)}", found=block.dtype)
    tensor: dict[str, Any] = {
        "dtype": kind.number,
        "tensor_shape": {"dim": [{"size": n} for n in block.shape]},
    }
    if block.dtype == "bytes":
        return {**tensor, "string_val": write_json(block)}
    return {**tensor, "tensor_content": bytes(write_binary(block))}


def _classified(values: Sequence[Any]) -> dict[str, Any]:
    return {
        "classifications": [
            {"classes": [{"label": label, "score": _float(score)} for label, score in pairs]}
            for pairs in map(pairs_of, values)
        ]
    }


def _regressed(values: Sequence[Any]) -> dict[str, Any]:
    return {"regressions": [{"value": _float(value_of(value))} for value in values]}


def _float(value: float | None) -> float:
    """A number as `float` holds it: one that is too large is infinite."""
    if value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) > _MAX_FLOAT else value


def stream_type(ask: Ask) -> str:
    """Nothing is answered in a stream."""
    return GRPC


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Nothing is answered in a stream: such a model is refused."""
    raise NotOffered(what="a stream", reason="TensorFlow Serving's calls have one answer each")


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Nothing is answered in a stream: the call's status tells."""
    return b""


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error: a status."""
    return failed(error)


# What the gateway knows


def answer(ask: Ask, facts: Facts) -> Reply:
    """Metadata, or the state of a model's versions. Raises CallerError, or NotReady."""
    if not ask.model:
        raise refused("model_spec", "the name of a model", "none")
    if ask.op == "status":
        states = _states(ask, facts)
        return done(write(_message("GetModelStatusResponse"), {"model_version_status": states}))
    fields = read(_message("GetModelMetadataRequest"), ask.body).get("metadata_field", [])
    if set(fields) - {"signature_def"}:
        raise refused("metadata_field", "signature_def", repr(fields)[:80])
    model = facts.description(ask.model, ask.version)
    about = {
        "type_url": "type.googleapis.com/tensorflow.serving.SignatureDefMap",
        "value": write(
            _message("SignatureDefMap"), {"signature_def": {SIGNATURE: _signature(model)}}
        ),
    }
    told = {"model_spec": {**_spec_of(model), "signature_name": ""}, "metadata": {"signature_def": about}}  # fmt: skip
    return done(write(_message("GetModelMetadataResponse"), told))


def _signature(model: Description) -> dict[str, Any]:
    return {
        "inputs": {spec.name: write(_INFO, _info(spec)) for spec in model.inputs},
        "outputs": {spec.name: _info(spec) for spec in model.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _info(spec: TensorSpec) -> dict[str, Any]:
    shape = (-1, *spec.shape) if spec.has_rows else spec.shape
    return {
        "name": f"{spec.name}:0",
        "dtype": _KINDS[spec.dtype].number if spec.dtype in _KINDS else 0,
        "tensor_shape": {"dim": [{"size": n} for n in shape]},
    }


_LOADING, _AVAILABLE, _END = 20, 30, 50


def _states(ask: Ask, facts: Facts) -> list[dict[str, Any]]:
    """TF: the state of each version, the newest first; one that fails says why."""
    state, status = (_AVAILABLE if facts.ready.get(ask.model, False) else _LOADING), {}
    if ask.model in facts.failures:
        state, status = _END, {"error_code": 14, "error_message": facts.failures[ask.model]}
    else:
        facts.description(ask.model, ask.version)
    versions = [ask.version] if ask.version else reversed(list(facts.descriptions[ask.model]))
    found = [(_number(version), version) for version in versions]
    return [{"version": n, "state": state, "status": status} for n, _ in found if n is not None]
