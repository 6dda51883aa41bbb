"""OpenAI's embeddings: `POST /v1/embeddings` of a model that turns a text into a vector of floats.

Specification: OpenAI's API reference, "Create embeddings" and "Error codes", as of 2025, below "API"; what its Python
client reads decides where that is silent. A model takes part if its only required input is a text and its answer is one
list of numbers. The lists of models at `/v1/models` are another protocol's.

Chosen: `dimensions` must be what the model has; arrays of tokens are refused, since nobody here knows whose tokens
they are; `usage` counts words, that is what stands between white space, for the same reason. A vector that is not
finite is an error in JSON, and comes as it is in base64.
"""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from headway import errors
from headway.errors import BadInput, BadOutput, HeadwayError, UnknownPath, UnsupportedMedia
from headway.model.call import Block, Call, Description, Result
from headway.model.counting import count_rows, may_exceed
from headway.model.drift import resolved
from headway.model.wording import told
from headway.protocols import (
    JSON,
    Ask,
    Facts,
    Reply,
    Route,
    Wire,
    headers_of,
    is_json,
    media_of,
    public_message,
    row_error,
    status_of,
)

ROUTES: Sequence[Route] = (Route("POST", "/v1/embeddings", "embeddings", names_in_body=True),)
HEADERS: Sequence[str] = ("content-type",)

_CODES: Mapping[str, str] = {"float16": "e", "float32": "f", "float64": "d"}
"""Of `struct`, by dtype."""


class _Named(Struct):
    model: str


class _Request(Struct):
    input: Raw
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class _Memo(Struct, frozen=True):
    """What a request said about its answer."""

    is_base64: bool
    dimensions: int | None
    words: int


class _Vector(Struct, tag_field="object", tag="embedding"):
    index: int
    embedding: Raw | str


class _Usage(Struct):
    prompt_tokens: int
    total_tokens: int


class _Answer(Struct, tag_field="object", tag="list"):
    data: list[_Vector]
    model: str
    usage: _Usage


_named = msgspec.json.Decoder(_Named)
_requests = msgspec.json.Decoder(_Request)
_texts = msgspec.json.Decoder(str | list[str | int | list[int]])
_rows = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode


def serves(model: Description) -> bool:
    """Whether a model turns a text into a vector."""
    return bool(_text_input(model))


def _text_input(model: Description) -> str:
    """The input that a text feeds; "" of a model that does not turn a text into a vector."""
    root = model.input_schema
    known = root.get("properties", {})
    required = [name for name in known if name in root.get("required", ())] or list(known)[:1]
    schemas = [resolved(known[name], root) for name in required]
    is_text = [s.get("type") == "string" and "contentEncoding" not in s for s in schemas] == [True]
    output = resolved(model.output_schema, model.output_schema)
    item = resolved(output.get("items") or {}, model.output_schema)
    is_vector = output.get("type") == "array" and item.get("type") == "number"
    return str(required[0]) if is_text and is_vector and not model.is_stream else ""


def _checked_input(model: Description) -> str:
    """The same. Raises BadInput for other models."""
    name = _text_input(model)
    if not name:
        expected = "a model that turns a text into a list of numbers"
        raise _bad("model", expected, f"{model.name!r}, which does not")
    return name


# Requests


def target(ask: Ask) -> tuple[str, str]:
    """The model that the body names. Raises CallerError."""
    check_content_type(ask)
    return _read(_named, ask.body).model, ""


def check_content_type(ask: Ask) -> None:
    """Take JSON alone. Raises UnsupportedMedia."""
    content_type = ask.headers.get("content-type", "")
    if not is_json(content_type):
        found = media_of(content_type)[:80]
        raise UnsupportedMedia(what="content type", found=found, expected=JSON)


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a text, or several. Raises CallerError."""
    check_content_type(ask)
    name = _checked_input(wire.description)
    request = _read(_requests, ask.body)
    _check_dimensions(request.dimensions, wire.description)
    texts = _read_texts(bytes(request.input), wire.max_rows)
    call = wire.read_json(_encode([{name: text} for text in texts]))
    words = sum(len(text.split()) for text in texts)
    call.memo = _Memo(request.encoding_format == "base64", request.dimensions, words)
    return call


def _read(decoder: "msgspec.json.Decoder[Any]", body: bytes | memoryview) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"embeddings request: {told(e, body)}") from None


def _read_texts(raw: bytes, most: int) -> list[str]:
    """The texts to be embedded. Raises BadInput: there are none, too many, or others than texts."""
    if may_exceed(raw, most) and (rows := count_rows(raw)) > most:
        raise _bad("input", f"at most {most} texts", str(rows))
    try:
        found = _texts.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"input: {told(e, raw)}", param="input") from None
    texts = [found] if isinstance(found, str) else found
    if not texts:
        raise _bad("input", "a text, or a list of texts", "an empty list")
    if not all(isinstance(text, str) for text in texts):
        raise _bad("input", "texts, since tokens are each model's own", "an array of tokens")
    return texts


def _check_dimensions(wanted: int | None, model: Description) -> None:
    """Refuse another length than the model's, where that is known. Raises BadInput."""
    spec = next(iter(model.outputs), None)
    if wanted is not None and spec is not None and spec.shape and spec.shape[-1] >= 0:
        _check_length(wanted, spec.shape[-1])


def _check_length(wanted: int | None, length: int) -> None:
    if wanted is not None and wanted != length:
        raise _bad("dimensions", f"{length}, which the model has", str(wanted)[:40])


def _bad(param: str, expected: str, found: str) -> BadInput:
    return BadInput(where=param, expected=expected, found=found, param=param)


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write a vector for each text. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    memo: _Memo = call.memo
    rows: Sequence[Raw | str] = (
        _base64_rows(call, result, wire) if memo.is_base64 else _json_rows(call, result, wire)
    )
    vectors = [_Vector(i, row) for i, row in enumerate(rows)]
    usage = _Usage(memo.words, memo.words)
    return Reply(200, _encode(_Answer(vectors, wire.description.name, usage)))


def _json_rows(call: Call, result: Result, wire: Wire) -> Sequence[Raw]:
    written = wire.write_json(result, is_single=False)
    if b"null" in written:
        found = "NaN or infinity, which JSON can't hold (`encoding_format` base64 can)"
        raise BadOutput(expected="a vector of finite numbers", found=found)
    rows: list[Raw] = _rows.decode(written)
    for row in rows:
        _check_length(call.memo.dimensions, bytes(row).count(b",") + (len(row) > len(b"[]")))
    return rows


def _base64_rows(call: Call, result: Result, wire: Wire) -> Sequence[str]:
    """API: base64 of the vector's numbers, which clients read as float32, little-endian."""
    ((_, block),) = wire.write_blocks(result)
    code = _CODES.get(block.dtype)
    rows = _unpacked(block, code, call.rows) if code else _rows_of_json(result, wire)
    found = []
    for row in rows:
        _check_length(call.memo.dimensions, len(row))
        try:
            packed = struct.pack(f"<{len(row)}f", *row)
        except (struct.error, OverflowError) as e:
            raise BadOutput(expected="a vector that float32 can hold", found=str(e)) from e
        found.append(base64.b64encode(packed).decode())
    return found


def _unpacked(block: Block, code: str, rows: int) -> Sequence[Sequence[float]]:
    """The vectors of a model that answers an array."""
    length, flat = block.shape[-1], block.data
    if not isinstance(flat, list):
        flat = struct.unpack(f"<{rows * length}{code}", memoryview(flat))
    return [flat[i * length : (i + 1) * length] for i in range(rows)]


def _rows_of_json(result: Result, wire: Wire) -> Sequence[Sequence[float]]:
    """The vectors of a model that answers lists; null stands for NaN there, and for both infinities."""
    rows = msgspec.json.decode(wire.write_json(result, is_single=False), type=list[list[Any]])
    return [[float("nan") if value is None else value for value in row] for row in rows]


def stream_type(ask: Ask) -> str:
    """No model that streams takes part."""
    return JSON


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write an item as it is; never asked."""
    return wire.write_item(value)


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write an error as it is; never asked."""
    return render(ask, error).body


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"error": {"message", "type", "param", "code"}}`."""
    kind, code = "server_error", error.code
    if isinstance(error, errors.QueueFull):
        kind, code = "requests", "rate_limit_exceeded"
    elif isinstance(error, errors.CallerError):
        known = {errors.UnknownModel: "model_not_found", errors.Unauthorized: "invalid_api_key"}
        kind, code = "invalid_request_error", known.get(type(error), code)
    param = error.fields.get("param") if isinstance(error, BadInput) else None
    param = "model" if isinstance(error, errors.UnknownModel) else param
    said = {"message": public_message(error), "type": kind, "param": param, "code": code}
    return Reply(status_of(error), _encode({"error": said}), JSON, headers_of(error))


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered by the gateway: no route is local."""
    raise UnknownPath()


# The other way round

WAYS: Sequence[str] = ("float", "base64")


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items of one text each. Raises BadInput: the model does not take part, or there is more to say."""
    name = _checked_input(model)
    if any(item.keys() != {name} for item in items):
        raise BadInput(f"an embeddings request can say {name!r} alone")
    body = {"model": model.name, "input": [i[name] for i in items], "encoding_format": way}
    return Ask("embeddings", model.name, "", _encode(body), {"content-type": JSON})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The vectors, one an item. Raises BadOutput."""
    try:
        said = msgspec.json.decode(reply.body, type=dict[str, Any])
        return [_vector(entry["embedding"]) for entry in said["data"]]
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, ValueError) as e:
        raise BadOutput(expected="a list of embeddings", found=repr(reply.body[:80])) from e


def _vector(embedding: str | list[float]) -> list[float]:
    if not isinstance(embedding, str):
        return embedding
    packed = base64.b64decode(embedding, validate=True)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))
