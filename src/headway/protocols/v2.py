"""The Open Inference Protocol V2 over REST: binary tensors, classification, parameters, statistics, configuration.

Specification: kserve/open-inference-protocol (2025-05), specification/protocol/inference_rest.md,
below "OIP"; the extensions are triton-inference-server/server,
docs/protocol/extension_binary_data.md ("Binary"), extension_classification.md, extension_statistics.md ("Statistics"),
extension_model_configuration.md and extension_parameters.md ("Parameters"). Operators' verbs are `v2_admin`'s, text
is `v2_generate`'s.

One decoder reads the request and leaves each tensor's data raw, to be read as its datatype says
(`_tensors`). A few flat numbers for a model that takes no others are read whole, by a quicker one.
Not here: ranks, names and types of the model (the wire table's), arrays, gRPC.

Chosen where the texts are silent or we deviate on purpose: unknown members are skipped, a repeated
one counts once (the last), null stands for absent; NaN and infinity are written as null in JSON,
exactly in binary; `bytes` are written as base64 with the parameter `content_type: base64`; not
ready is 503 (Triton: 400), a full queue 503 as in Triton, a body too large 413, a deadline 504.
Half precision is binary only, BF16 not served.
"""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

from headway.errors import BadInput, BadOutput
from headway.model.call import Block, Call, Description, Result, Shape, TensorSpec
from headway.model.wording import told
from headway.protocols import Ask, Facts, Reply, Route, Wire, row_error
from headway.protocols._asking import read_reply, write_ask
from headway.protocols._classification import classified, count_of
from headway.protocols._metadata import describe
from headway.protocols._parameters import asked_timeout_s, check_offered, flag, refused, whole
from headway.protocols._tensors import (
    DATATYPES,
    LARGE_BYTES,
    MAX_COUNT,
    TYPES,
    bad,
    lift_data,
    read_binary,
    read_json,
    read_raw,
    write_binary,
    write_json,
    write_texts,
)
from headway.protocols._v2 import STATUSES, chunk_error, render, stream_type

__all__ = ["STATUSES", "chunk_error", "render", "stream_type"]

_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
ROUTES: Sequence[Route] = (
    Route("POST", _MODEL + "/infer", "infer"),
    Route("POST", _VERSION + "/infer", "infer"),
    Route("POST", _MODEL + "/infer_stream", "infer_stream"),
    Route("POST", _VERSION + "/infer_stream", "infer_stream"),
    Route("GET", "/v2/health/live", "live", is_local=True),
    Route("GET", "/v2/health/ready", "ready", is_local=True, needs_probe=True),
    Route("GET", _MODEL + "/ready", "model_ready", is_local=True, needs_probe=True),
    Route("GET", _VERSION + "/ready", "model_ready", is_local=True, needs_probe=True),
    Route("GET", "/v2", "server", is_local=True),
    Route("GET", "/v2/", "server", is_local=True),
    Route("GET", "/v2/models", "models", is_local=True),
    Route("GET", "/v2/models/stats", "stats", is_local=True),
    Route("GET", _MODEL, "model", is_local=True),
    Route("GET", _VERSION, "model", is_local=True),
    Route("GET", _MODEL + "/stats", "stats", is_local=True),
    Route("GET", _VERSION + "/stats", "stats", is_local=True),
    Route("GET", _MODEL + "/config", "config", is_local=True),
    Route("GET", _VERSION + "/config", "config", is_local=True),
)
_LENGTH = "inference-header-content-length"
HEADERS: Sequence[str] = (_LENGTH,)

_BINARY = "application/octet-stream"
# OIP: "Each dimension must be an integer representable as an unsigned 64-bit integer value."; we
# take fewer.
_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Dims = Annotated[list[Annotated[int, Meta(ge=0, le=MAX_COUNT)]], Meta(max_length=32)]
_Parameters = Annotated[dict[_Name, str | int | float | bool], Meta(max_length=64)]


class _Input(Struct):
    name: _Name
    shape: _Dims
    datatype: str
    data: Raw = Raw()
    parameters: _Parameters | None = None


class _Wanted(Struct):
    name: _Name
    parameters: _Parameters | None = None


class _Request(Struct):
    inputs: Annotated[list[_Input], Meta(min_length=1, max_length=4096)]
    id: Annotated[str, Meta(max_length=256)] | None = None
    parameters: _Parameters | None = None
    outputs: Annotated[list[_Wanted], Meta(max_length=4096)] | None = None


class _Output(Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: Shape
    parameters: dict[str, Any] | UnsetType = UNSET
    data: Any = UNSET


class _Answer(Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str | UnsetType = UNSET


class _Memo(Struct, frozen=True):
    """What the request said about its answer."""

    id: str | UnsetType = UNSET
    names: Sequence[str] = ()
    """Of the wanted outputs; none for all."""
    is_binary: bool = False
    flags: Mapping[str, bool] = {}
    """`binary_data` by output, where it was given."""
    classes: Mapping[str, int] = {}
    """How many are wanted of an output, where its values are not."""


_N = TypeVar("_N")


class _Numbers(Struct, Generic[_N]):
    """An input of flat numbers of one Python type."""

    name: _Name
    shape: _Dims
    datatype: str
    data: list[_N]
    parameters: _Parameters | None = None


class _Short(Struct, Generic[_N]):
    """A request of such inputs alone."""

    inputs: Annotated[list[_Numbers[_N]], Meta(min_length=1, max_length=4096)]
    id: Annotated[str, Meta(max_length=256)] | None = None
    parameters: _Parameters | None = None
    outputs: Annotated[list[_Wanted], Meta(max_length=4096)] | None = None


class _Reader(NamedTuple):
    """What reads a short request whole, and the datatypes whose elements are what it takes."""

    read: Callable[[bytes | memoryview], _Short[Any]]
    datatypes: Set[str]


_requests = msgspec.json.Decoder(_Request)
_READERS: Sequence[_Reader] = (
    _Reader(msgspec.json.Decoder(_Short[float]).decode, {"FP32", "FP64"}),
    _Reader(msgspec.json.Decoder(_Short[int]).decode, {name for name in TYPES if "INT" in name}),
)
_encode = msgspec.json.Encoder().encode
_JSON_ONLY = _Memo()
_FEW_ROWS = 64
"""The elements of an answer to so many rows are taken from what was written for the whole batch."""


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read an inference request, with or without binary tensors. Raises BadInput."""
    if wire.description.is_stream != (ask.op == "infer_stream"):
        raise refused(ask.op, _other_op(ask.op), "a model that answers otherwise")
    length = ask.headers.get(_LENGTH)
    size = len(ask.body) if length is None else _header_size(length, len(ask.body))
    if not size and length is not None:
        call = wire.read_blocks(read_raw(wire.description.inputs, ask.body))
        call.memo = _Memo(is_binary=True)
        return call
    found = _read_short(ask.body, wire) if length is None and size <= LARGE_BYTES else None
    request, blocks = found or _read_any(ask.body, None if length is None else size, wire)
    memo = _JSON_ONLY if request.id is None else _Memo(request.id)
    if request.outputs:
        memo = _wanted(request, wire.description.outputs)
    timeout_s = None
    if request.parameters:
        is_binary = flag(request.parameters, "binary_data_output")
        memo = replace(memo, is_binary=is_binary)
        timeout_s = asked_timeout_s(request.parameters)
    call = wire.read_blocks(blocks)
    call.memo = memo
    call.timeout_s = timeout_s
    return call


def _read_any(
    body: bytes | memoryview, size: int | None, wire: Wire
) -> tuple[_Request, dict[str, Block]]:
    """Read a request and its tensors; the first `size` bytes of the body are JSON, or all of it."""
    head: bytes | memoryview = body if size is None else memoryview(body)[:size]
    lifted: Mapping[bytes, bytes] = {}
    if len(head) > LARGE_BYTES:
        head, lifted = lift_data(bytes(head))
    try:
        request = _requests.decode(head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"inference request: {told(e, head)}") from e
    if len(body) > wire.max_rows:  # a smaller one can't hold as many
        _check_texts(request.inputs, wire.max_rows)
    tail = None if size is None else memoryview(body)[size:]
    return request, _blocks(request.inputs, tail, lifted)


def _read_short(
    body: bytes | memoryview, wire: Wire
) -> tuple[_Short[Any], dict[str, Block]] | None:
    """Read flat numbers and all that is around them at once, in half the time.

    None: it is for the rest of `decode` to read, or to say what is wrong with it.
    """
    reader = _reader(wire)
    if reader is None:
        return None
    try:
        request = reader.read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    blocks = {}
    for tensor in request.inputs:
        data, shape = tensor.data, tuple(tensor.shape)
        is_plain = tensor.datatype in reader.datatypes and tensor.parameters is None
        if not is_plain or not data or len(data) != math.prod(shape):
            return None
        dtype = TYPES[tensor.datatype].dtype
        blocks[tensor.name] = Block(dtype, shape, data, is_json=True, is_typed=True)
    return (request, blocks) if len(blocks) == len(request.inputs) else None


def _reader(wire: Wire) -> _Reader | None:
    """What reads the short requests of a model: none, if its inputs are not all numbers of one kind."""
    if _Reader not in wire.notes:
        wanted = {DATATYPES.get(spec.dtype, "") for spec in wire.description.inputs}
        fitting = (reader for reader in _READERS if wanted <= reader.datatypes)
        wire.notes[_Reader] = next(fitting, None)
    found: _Reader | None = wire.notes[_Reader]
    return found


def _other_op(op: str) -> str:
    return "the path to end in " + ("infer_stream" if op == "infer" else "infer")


def _header_size(length: str, body_bytes: int) -> int:
    """Binary: the header "must be provided to give the length of the JSON object"."""
    if (
        not (length.isascii() and length.isdigit() and len(length) <= 20)
        or int(length) > body_bytes
    ):
        expected = f"one number, at most the body's {body_bytes}"
        raise refused("Inference-Header-Content-Length", expected, length[:40])
    return int(length)


def _blocks(
    inputs: Sequence[_Input], tail: memoryview | None, lifted: Mapping[bytes, bytes]
) -> dict[str, Block]:
    """Binary tensors lie behind the JSON, in the order of the inputs that claim them."""
    blocks: dict[str, Block] = {}
    offset = 0
    if lifted and sum(bytes(tensor.data) in lifted for tensor in inputs) != len(lifted):
        raise refused("inference request", "data in an input, once", "data elsewhere")
    for tensor in inputs:
        name = tensor.name
        if name in blocks:
            raise refused("inputs", "each name once", f"{name!r} again")
        if tensor.datatype not in TYPES:
            raise bad(name, f"a datatype of {', '.join(TYPES)}", repr(tensor.datatype[:40]))
        if tensor.parameters is not None and _is_binary(tensor, tail):
            blocks[name], offset = _binary_block(tensor, tail or memoryview(b""), offset)
        else:
            blocks[name] = _json_block(tensor, lifted)
    # What no input claims may not be dropped in silence.
    if tail is not None and offset != len(tail):
        raise refused("binary data", f"{offset} bytes, as the inputs say", str(len(tail)))
    return blocks


def _check_texts(inputs: Sequence[_Input], most: int) -> None:
    """Refuse more texts than a request may have rows: each is an object of its own, and is not made."""
    for tensor in inputs:
        if tensor.datatype == "BYTES" and (count := math.prod(tensor.shape)) > most:
            raise bad(tensor.name, f"at most {most} elements", str(count)[:40])


# Parameters


def _wanted(request: _Request | _Short[Any], specs: Sequence[TensorSpec]) -> _Memo:
    """OIP: "The output tensors requested for this inference", answered in the asked order."""
    known = {spec.name: spec for spec in specs}
    flags: dict[str, bool] = {}
    classes: dict[str, int] = {}
    names: list[str] = []
    for wanted in request.outputs or ():
        if wanted.name not in known or wanted.name in names:
            raise refused("outputs", f"each once of {', '.join(known)}", repr(wanted.name))
        names.append(wanted.name)
        parameters = wanted.parameters or {}
        check_offered(f"output {wanted.name!r}", parameters)
        if "binary_data" in parameters:
            flags[wanted.name] = flag(parameters, "binary_data")
        if count := count_of(wanted.name, parameters, known[wanted.name]):
            classes[wanted.name] = count
    id_ = UNSET if request.id is None else request.id
    return _Memo(id_, names, flags=flags, classes=classes)


# Tensors


def _json_block(tensor: _Input, lifted: Mapping[bytes, bytes]) -> Block:
    is_base64 = tensor.parameters is not None and tensor.parameters.get("content_type") == "base64"
    raw = bytes(tensor.data)
    if lifted:
        raw = lifted.get(raw, raw)
    data = read_json(tensor.name, tensor.datatype, tensor.shape, raw, is_base64=is_base64)
    return Block(TYPES[tensor.datatype].dtype, tuple(tensor.shape), data, is_json=True)


def _binary_block(tensor: _Input, tail: memoryview, offset: int) -> tuple[Block, int]:
    """Binary: "in the same order as the order of the input or output tensors"."""
    size = whole(tensor.parameters or {}, "binary_data_size", 0, 2**63) or 0
    if size > len(tail) - offset:
        raise bad(tensor.name, f"binary_data_size of at most {len(tail) - offset}", str(size))
    piece = tail[offset : offset + size]
    data = read_binary(tensor.name, tensor.datatype, tensor.shape, piece)
    return Block(TYPES[tensor.datatype].dtype, tuple(tensor.shape), data), offset + size


def _is_binary(tensor: _Input, tail: memoryview | None) -> bool:
    parameters = tensor.parameters or {}
    check_offered(f"input {tensor.name!r}", parameters)
    if "classification" in parameters:
        raise bad(tensor.name, "classification of outputs alone", "it of an input")
    if "binary_data_size" not in parameters:
        return False
    if bytes(tensor.data):
        raise bad(tensor.name, "either data or binary_data_size", "both")
    if tail is None:
        raise bad(
            tensor.name, "the Inference-Header-Content-Length header with binary data", "none"
        )
    return True


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write a response, with binary tensors where they were asked for. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    memo: _Memo = call.memo or _JSON_ONLY
    is_plain = not (memo.names or memo.is_binary) and call.rows <= _FEW_ROWS
    texts = wire.write_texts(result) if is_plain else None
    if texts is not None:
        return Reply(200, _around(texts, call.rows, memo.id, wire))
    pieces: list[bytes | memoryview] = []
    outputs = []
    for name, block in _wanted_blocks(memo, result, wire):
        # Binary: 'If "binary_data" is specified on an output it overrides this setting.'
        is_binary = memo.flags.get(name, memo.is_binary)
        if is_binary or block.dtype == "bytes":
            is_json = name not in memo.classes and _is_json(name, wire.description)
            place = pieces if is_binary else None
            outputs.append(_special(name, block, place, is_json=is_json))
        else:
            outputs.append(_Output(name, _datatype(block), block.shape, data=write_json(block)))
    # OIP: '"id" : The "id" identifier given in the request, if any.'
    model = wire.description
    head = _encode(_Answer(model.name, model.version, outputs, memo.id))
    if not pieces:
        return Reply(200, head)
    # "If any binary data is present in the request or response the Inference-Header-Content-Length
    # header must be provided".
    return Reply(200, b"".join([head, *pieces]), _BINARY, ((_LENGTH, str(len(head))),))


def _around(texts: tuple[bytes, ...], rows: int, id: str | UnsetType, wire: Wire) -> bytes:
    """A response around elements that are JSON already."""
    key = (_Answer, rows)
    form: bytes = wire.notes.get(key) or wire.notes.setdefault(key, _form(wire.description, rows))
    body = form % texts
    return body + b"}" if id is UNSET else b'%b,"id":%b}' % (body, _encode(id))


def _form(model: Description, rows: int) -> bytes:
    """A response to so many rows, without its end, and with a place for the elements of each output."""
    outputs = [
        _Output(spec.name, DATATYPES[spec.dtype], (rows, *spec.shape), data=[])
        for spec in model.outputs
    ]
    text = _encode(_Answer(model.name, model.version, outputs)).replace(b"%", b"%%")
    return text[: -len("}")].replace(b'"data":[]', b'"data":[%b]')


def _wanted_blocks(memo: _Memo, result: Result, wire: Wire) -> Sequence[tuple[str, Block]]:
    """The outputs that are wanted, in the asked order. Raises BadInput."""
    blocks = wire.write_blocks(result)
    if memo.names:
        made = dict(blocks)
        blocks = [(name, made[name]) for name in memo.names]
    if not memo.classes:
        return blocks
    model = wire.description
    return [
        (name, classified(name, block, memo.classes[name], is_json=_is_json(name, model)))
        if name in memo.classes
        else (name, block)
        for name, block in blocks
    ]


def _is_json(name: str, model: Description) -> bool:
    """Whether each element of an output holds JSON."""
    return any(spec.is_json for spec in model.outputs if spec.name == name)


def _datatype(block: Block) -> str:
    datatype = DATATYPES.get(block.dtype)
    if datatype is None:
        raise BadOutput(expected=f"one of {', '.join(DATATYPES)}", found=block.dtype)
    return datatype


def _special(
    name: str, block: Block, pieces: list[bytes | memoryview] | None, *, is_json: bool
) -> _Output:
    """An output that needs parameters: binary data, put into `pieces`, or BYTES."""
    output = _Output(name, _datatype(block), block.shape)
    content_type = "json" if is_json else ""
    if pieces is None:
        output.data, content_type = write_texts(block, is_json=is_json)
    parameters: dict[str, Any] = {"content_type": content_type} if content_type else {}
    if pieces is not None:
        pieces.append(write_binary(block))
        parameters["binary_data_size"] = memoryview(pieces[-1]).nbytes
    output.parameters = parameters or UNSET
    return output


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream; binary tensors have no place in it."""
    whole = Call(1, {}, memo=replace(call.memo, is_binary=False, flags={}))
    return b"data: " + encode(ask, whole, Result([value]), wire).body + b"\n\n"


# The other way round

WAYS: Sequence[str] = ("json", "binary")


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items as tensors, in JSON or in binary. Raises BadInput: they have no tensors in common."""
    return write_ask(model, items, is_binary=way == "binary" and not model.is_stream)


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    return read_reply(model, reply)


def answer(ask: Ask, facts: Facts) -> Reply:
    """Health, readiness, metadata and statistics. Raises CallerError, or NotReady."""
    return Reply(200, _encode(describe(ask, facts)))
