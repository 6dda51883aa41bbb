"""The Open Inference Protocol V2 over gRPC, with streams of Triton's kind.

Specification: kserve/open-inference-protocol (2025-05), specification/protocol/inference_grpc.md and
open_inference_grpc.proto, below "OIP"; what goes beyond it is triton-inference-server/common,
protobuf/grpc_service.proto, below "Triton".

The gateway looks at the model's name and version alone. A worker reads a message field by field: raw contents stay
views of the body, and typed ones are counted before anything is made of them.

Chosen where the texts are silent or we deviate on purpose: an answer is raw where the request was (Triton: always),
or where an output has half precision, which nothing else can hold. A model that is not there is NOT_FOUND, also to
ModelReady; one that is there and can't answer is `ready: false`. A model that streams is asked by ModelStreamInfer
alone, any model may be; the questions of one stream are answered one after another. Shared memory, trace and log
settings are not served; models are loaded and unloaded over the admin API.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headway import errors
from headway.errors import HeadwayError, NotReady
from headway.model.call import Block, Call, Description, Result, TensorSpec
from headway.protocols import Ask, Facts, Reply, Route, Wire, public_message, row_error
from headway.protocols._grpc import GRPC, done, failed
from headway.protocols._metadata import describe
from headway.protocols._parameters import asked_timeout_s, check_offered, flag, refused
from headway.protocols._protobuf import (
    MAX_ITEMS,
    Buffer,
    count_varints,
    head_of,
    malformed,
    pack_varints,
    read,
    signed,
    sized,
    texts,
    varints,
    write,
)
from headway.protocols._schema import Schema
from headway.protocols._tensors import (
    DATATYPES,
    MAX_COUNT,
    TYPES,
    bad,
    count_of,
    read_binary,
    write_binary,
    write_json,
)
from headway.protocols._v2_proto import PROTO

_SERVICE = "/inference.GRPCInferenceService/"
_EXTENSIONS = ("binary_tensor_data", "parameters", "statistics")
"""Of those of `_metadata`, what is spoken over gRPC."""
ROUTES: Sequence[Route] = (
    Route("GRPC", _SERVICE + "ModelInfer", "infer", names_in_body=True),
    Route("GRPC", _SERVICE + "ModelStreamInfer", "stream", names_in_body=True, is_bidi=True),
    Route("GRPC", _SERVICE + "ServerLive", "live", is_local=True),
    Route("GRPC", _SERVICE + "ServerReady", "ready", is_local=True, needs_probe=True),
    Route(
        *("GRPC", _SERVICE + "ModelReady", "model_ready"),
        is_local=True,
        needs_probe=True,
        names_in_body=True,
    ),
    Route("GRPC", _SERVICE + "ServerMetadata", "server", is_local=True),
    Route("GRPC", _SERVICE + "ModelMetadata", "model", is_local=True, names_in_body=True),
    Route("GRPC", _SERVICE + "ModelConfig", "config", is_local=True, names_in_body=True),
    Route("GRPC", _SERVICE + "ModelStatistics", "stats", is_local=True, names_in_body=True),
    Route("GRPC", _SERVICE + "RepositoryIndex", "index", is_local=True, needs_probe=True),
)
HEADERS: Sequence[str] = ()

SCHEMA = Schema(
    PROTO,
    lazy=(
        "ModelInferRequest.inputs",
        "ModelInferRequest.outputs",
        "InferInputTensor.contents",
    ),
)
_FINAL = "triton_final_response"
_WANTS_FINAL = "triton_enable_empty_final_response"
_MAX_TENSORS, _MAX_RANK, _MAX_PARAMETERS, _MAX_NAME = 4096, 32, 64, 256
_KNOWN_BYTES = 512


def _message(name: str) -> Any:
    return SCHEMA.message(f"inference.{name}")


_REQUEST = _message("ModelInferRequest")
_INPUT = _message("ModelInferRequest.InferInputTensor")
_WANTED = _message("ModelInferRequest.InferRequestedOutputTensor")
_CONTENTS = _message("InferTensorContents")
_OUTPUT = _message("ModelInferResponse.InferOutputTensor")
_RESPONSE = _message("ModelInferResponse")

_FIELDS: Mapping[str, tuple[int, str]] = {
    "BOOL": (1, "bool_contents"),
    **dict.fromkeys(("INT8", "INT16", "INT32"), (2, "int_contents")),
    "INT64": (3, "int64_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), (4, "uint_contents")),
    "UINT64": (5, "uint64_contents"),
    "FP32": (6, "fp32_contents"),
    "FP64": (7, "fp64_contents"),
    "BYTES": (8, "bytes_contents"),
}
"""OIP: which of the contents holds which datatype; FP16 has none."""


class _Input(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    contents: Buffer


class _Memo(NamedTuple):
    """What the request said about its answer."""

    id: str = ""
    names: Sequence[str] = ()
    """Of the wanted outputs; none for all."""
    is_raw: bool = True
    wants_final: bool = False
    """The end of a stream is to be marked."""


# Requests


def target(ask: Ask) -> tuple[str, str]:
    """The model and the version that a message names, in its fields 1 and 2. Raises BadInput."""
    name, version = texts(ask.body, 1, 2)
    if len(name) > _MAX_NAME or len(version) > _MAX_NAME:
        raise refused("message", f"a name of at most {_MAX_NAME} characters", "a longer one")
    return name, version


def decode(ask: Ask, wire: Wire) -> Call:
    """Read an inference request. Raises BadInput."""
    model = wire.description
    if model.is_stream and ask.op != "stream":
        raise refused("method", "ModelStreamInfer, for a model that streams", "ModelInfer")
    request = read(_REQUEST, ask.body)
    inputs = [_read_input(piece) for piece in _few("inputs", request.get("inputs", ()))]
    raw = request.get("raw_input_contents")
    memo, timeout_s = _read_memo(request, model, is_raw=raw is not None or not inputs)
    blocks: dict[str, Block] = {}
    if raw is not None and len(raw) != len(inputs):
        raise refused("raw_input_contents", f"{len(inputs)}, one an input", str(len(raw)))
    for place, tensor in enumerate(inputs):
        name = tensor.name
        if name in blocks:
            raise refused("inputs", "each name once", f"{name!r} again")
        if raw is None:
            blocks[name] = _typed_block(tensor, wire.max_rows)
        elif tensor.contents:
            # OIP: "If this field is used then [...] contents must not be specified in any input tensor."
            raise bad(name, "either contents or raw_input_contents", "both")
        else:
            blocks[name] = _raw_block(tensor, raw[place], wire.max_rows)
    call = wire.read_blocks(blocks)
    call.memo = memo
    call.timeout_s = timeout_s
    return call


def _few(what: str, items: Sequence[Any]) -> Sequence[Any]:
    if len(items) > _MAX_TENSORS:
        raise refused(what, f"at most {_MAX_TENSORS}", str(len(items)))
    return items


def _read_input(piece: Buffer) -> _Input:
    """An input; clients repeat theirs, but for the contents."""
    if len(piece) <= _KNOWN_BYTES:
        return _known_input(bytes(piece))
    return _new_input(piece)


@functools.lru_cache(1024)
def _known_input(piece: bytes) -> _Input:
    return _new_input(piece)


def _new_input(piece: Buffer) -> _Input:
    found = read(_INPUT, piece)
    name, datatype = found.get("name", ""), found.get("datatype", "")
    if not 0 < len(name) <= _MAX_NAME:
        raise refused("inputs", f"a name of 1 to {_MAX_NAME} characters", repr(name[:40]))
    if datatype not in TYPES:
        raise bad(name, f"a datatype of {', '.join(TYPES)}", repr(datatype[:40]))
    packed = found.get("shape", b"")
    if len(packed) > 10 * _MAX_RANK or count_varints(packed) > _MAX_RANK:
        raise bad(name, f"at most {_MAX_RANK} dimensions", "more")
    shape = tuple(map(signed, varints(packed)))
    if any(not 0 <= n <= MAX_COUNT for n in shape):
        raise bad(name, f"dimensions from 0 to {MAX_COUNT}", str(list(shape))[:80])
    check_offered(f"input {name!r}", _parameters(found))
    return _Input(name, datatype, shape, found.get("contents", b""))


def _read_memo(
    request: Mapping[str, Any], model: Description, *, is_raw: bool
) -> tuple[_Memo, float | None]:
    id_ = request.get("id", "")
    names = _read_wanted(request["outputs"], model.outputs) if "outputs" in request else ()
    if "parameters" not in request:
        return _Memo(id_, names, is_raw), None
    given = _parameters(request)
    wants_final = flag(given, _WANTS_FINAL)
    given.pop(_WANTS_FINAL, None)
    return _Memo(id_, names, is_raw, wants_final), asked_timeout_s(given)


def _read_wanted(pieces: Sequence[Buffer], specs: Sequence[TensorSpec]) -> Sequence[str]:
    """OIP: "The requested output tensors for the inference", answered in the asked order."""
    known = [spec.name for spec in specs]
    names: list[str] = []
    for piece in _few("outputs", pieces):
        found = read(_WANTED, piece)
        name = found.get("name", "")
        if name not in known or name in names:
            raise refused("outputs", f"each once of {', '.join(known)}", repr(name[:40]))
        parameters = _parameters(found)
        check_offered(f"output {name!r}", parameters)
        if "classification" in parameters:
            raise refused(f"output {name!r}", "no classification over gRPC", "one")
        names.append(name)
    return names


def _parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    given: Mapping[str, Any] = found.get("parameters", {})
    if len(given) > _MAX_PARAMETERS:
        raise refused("parameters", f"at most {_MAX_PARAMETERS}", str(len(given)))
    # An entry of an empty InferParameter is there and holds nothing.
    return {
        name: (one or {}).get((one or {}).get("parameter_choice")) for name, one in given.items()
    }


# Tensors


def _raw_block(tensor: _Input, piece: Buffer, most: int) -> Block:
    """OIP: "the same representation as the binary data" of REST, little-endian."""
    _check_texts(tensor, most)
    view = memoryview(piece)
    data = read_binary(tensor.name, tensor.datatype, tensor.shape, view)
    return Block(TYPES[tensor.datatype].dtype, tensor.shape, data)


def _check_texts(tensor: _Input, most: int) -> None:
    """Refuse more texts than a request may have rows: each is an object of its own, and is not made."""
    if tensor.datatype == "BYTES" and math.prod(tensor.shape) > most:
        raise bad(tensor.name, f"at most {most} elements", str(math.prod(tensor.shape))[:40])


def _typed_block(tensor: _Input, most: int) -> Block:
    """The elements from the field that their datatype has; numbers are checked by who makes arrays of them."""
    name, datatype, shape, contents = tensor
    if datatype not in _FIELDS:
        raise bad(name, f"{datatype} as raw_input_contents", "contents")
    _check_texts(tensor, most)
    count = count_of(name, shape)
    field = _FIELDS[datatype][1]
    found = read(_CONTENTS, contents, min(count, MAX_ITEMS) + len(_FIELDS))
    if found.keys() - {field}:
        raise bad(name, f"{datatype} in {field}", f"{min(found.keys() - {field})}")
    data = _elements(datatype, found.get(field, b""), name, count)
    return Block(
        TYPES[datatype].dtype, shape, data, is_json=datatype not in ("BYTES", "FP32", "FP64")
    )


def _elements(datatype: str, given: Any, name: str, count: int) -> Any:
    """A flat list; of floating point numbers a buffer."""
    if datatype in ("FP32", "FP64"):
        found, rest = divmod(len(given), TYPES[datatype].size_bytes)
        if rest:
            raise malformed("packed numbers that are cut off")
    else:
        found = len(given) if datatype == "BYTES" else count_varints(given)
    if found != count:
        raise bad(name, f"{count} elements for its shape", str(found))
    match datatype:
        case "BYTES":
            return [bytes(item) for item in given]
        case "FP32" | "FP64":
            return memoryview(given)
        case "BOOL":
            return [bool(n) for n in varints(given)]
        case "INT64":
            return [signed(n) for n in varints(given)]
        case "INT8" | "INT16" | "INT32":
            return [signed(n, 32) for n in varints(given)]
        case "UINT64":
            return varints(given)
    return [n & 0xFFFFFFFF for n in varints(given)]


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write a response, raw where the request was. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    memo: _Memo = call.memo or _Memo()
    is_final = True if memo.wants_final and ask.op == "stream" else None
    body = _response(memo, wire.write_blocks(result), wire.description, is_final)
    return done(sized(2, body) if ask.op == "stream" else body)


def stream_type(ask: Ask) -> str:
    """A stream is one of messages."""
    return GRPC


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    memo: _Memo = call.memo
    blocks = wire.write_blocks(Result([value]))
    is_final = False if memo.wants_final else None
    return sized(2, _response(memo, blocks, wire.description, is_final))


def chunk_last(ask: Ask, call: Call, wire: Wire) -> bytes:
    """Triton: an empty response marks the end, where it was asked for."""
    memo: _Memo = call.memo
    if not memo.wants_final:
        return b""
    return sized(2, _head(wire.description.name, wire.description.version, memo.id, True))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends an answer in parts; the stream of questions goes on."""
    return sized(1, public_message(error).encode())


def _response(
    memo: _Memo, blocks: Sequence[tuple[str, Block]], model: Description, is_final: bool | None
) -> bytes:
    if memo.names:
        made = dict(blocks)
        blocks = [(name, made[name]) for name in memo.names]
    is_raw = memo.is_raw or any(block.dtype == "float16" for _, block in blocks)
    pieces: list[Any] = [_head(model.name, model.version, memo.id, is_final)]
    raw: list[Any] = []
    for name, block in blocks:
        datatype = _datatype(block)
        head = _output_head(name, datatype, block.shape, _is_json(model, name, block))
        if is_raw:
            data = write_binary(block)
            pieces += (head_of(5, len(head)), head)
            raw += (head_of(6, data.nbytes), data)
        else:
            contents = _contents(datatype, block)
            pieces += (head_of(5, len(head) + len(contents)), head, contents)
    return b"".join(pieces + raw)


def _datatype(block: Block) -> str:
    datatype = DATATYPES.get(block.dtype)
    if datatype is None:
        raise errors.BadOutput(expected=f"one of {', '.join(DATATYPES)}", found=block.dtype)
    return datatype


def _is_json(model: Description, name: str, block: Block) -> bool:
    return block.dtype == "bytes" and any(s.is_json for s in model.outputs if s.name == name)


def _head(name: str, version: str, id_: str, is_final: bool | None) -> bytes:
    start = _start(name, version, is_final)
    return start + sized(3, id_.encode()) if id_ else start


@functools.lru_cache(1024)
def _start(name: str, version: str, is_final: bool | None) -> bytes:
    values: dict[str, Any] = {"model_name": name, "model_version": version}
    if is_final is not None:
        values["parameters"] = {_FINAL: {"bool_param": is_final}}
    return write(_RESPONSE, values)


@functools.lru_cache(1024)
def _output_head(name: str, datatype: str, shape: tuple[int, ...], is_json: bool) -> bytes:
    """An output without its contents."""
    values: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if is_json:
        values["parameters"] = {"content_type": {"string_param": "json"}}
    return write(_OUTPUT, values)


def _contents(datatype: str, block: Block) -> bytes:
    number = _FIELDS[datatype][0]
    if datatype == "BYTES":
        items = (
            item.encode() if isinstance(item, str) else bytes(item) for item in write_json(block)
        )
        return sized(5, b"".join(sized(number, item) for item in items))
    # Booleans, and floating point numbers, are packed as they lie in memory.
    packed: Any = (
        write_binary(block)
        if datatype in ("BOOL", "FP32", "FP64")
        else pack_varints(write_json(block))
    )
    return sized(5, sized(number, bytes(packed)) if len(packed) else b"")


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error: a status, or a message of a stream that stays open."""
    if ask.op == "stream":
        return done(chunk_error(ask, error))
    if isinstance(error, errors.UnknownPath | errors.MethodNotAllowed):
        return failed(
            error,
            "this method is not served: models are loaded and unloaded over the admin API; "
            "shared memory, trace and log settings are not offered",
        )
    return failed(error)


# What the gateway knows


_ANSWERS: Mapping[str, str] = {
    "live": "ServerLiveResponse",
    "ready": "ServerReadyResponse",
    "model_ready": "ModelReadyResponse",
    "server": "ServerMetadataResponse",
    "model": "ModelMetadataResponse",
    "config": "ModelConfigResponse",
    "stats": "ModelStatisticsResponse",
    "index": "RepositoryIndexResponse",
}


def answer(ask: Ask, facts: Facts) -> Reply:
    """Health, readiness, metadata, configuration, statistics and the index. Raises CallerError, or NotReady."""
    if ask.op in ("model_ready", "model", "config") and not ask.model:
        raise refused("name", "the name of a model", "none")
    return done(write(_message(_ANSWERS[ask.op]), _told(ask, facts)))


def _told(ask: Ask, facts: Facts) -> Mapping[str, Any]:
    match ask.op:
        case "ready":
            return {"ready": facts.is_server_ready}
        case "model_ready":
            return {"ready": _is_ready(ask, facts)}
        case "config":
            return {"config": _config(facts.description(ask.model, ask.version))}
        case "index":
            return {"models": _index(ask, facts)}
    told = describe(ask, facts)
    return {**told, "extensions": _EXTENSIONS} if "extensions" in told else told


def _is_ready(ask: Ask, facts: Facts) -> bool:
    try:
        facts.check_ready(ask.model, ask.version)
    except (NotReady, errors.GivenUp):
        return False
    return True


def _config(model: Description) -> dict[str, Any]:
    """Triton: a batch's dimension is left out of `dims` only where `max_batch_size` is above 0; here it is in."""
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": model.platform.partition("_")[0],
        "input": [{**_dims(spec), "optional": spec.is_optional} for spec in model.inputs],
        "output": [_dims(spec) for spec in model.outputs],
        "model_transaction_policy": {"decoupled": model.is_stream},
    }


def _dims(spec: TensorSpec) -> dict[str, Any]:
    datatype = DATATYPES.get(spec.dtype, "")
    kinds = ("BOOL", *(f"UINT{n}" for n in (8, 16, 32, 64)), *(f"INT{n}" for n in (8, 16, 32, 64)))
    place = (*kinds, "FP16", "FP32", "FP64", "BYTES").index(datatype) + 1 if datatype else 0
    return {
        "name": spec.name,
        "data_type": place,
        "dims": [*([-1] if spec.has_rows else []), *spec.shape],
    }


def _index(ask: Ask, facts: Facts) -> list[dict[str, str]]:
    """Triton's states; `ready` in the request leaves out what can't answer."""
    only_ready = read(_message("RepositoryIndexRequest"), ask.body).get("ready", False)
    found = []
    for name, versions in facts.descriptions.items():
        state, reason = "LOADING", ""
        if name in facts.failures:
            state, reason = "UNAVAILABLE", facts.failures[name]
        elif facts.ready.get(name, False):
            state = "READY"
        if state == "READY" or not only_ready:
            version = list(versions)[-1] if versions else ""
            found.append({"name": name, "version": version, "state": state, "reason": reason})
    return found
