"""KServe V1 and TensorFlow Serving REST, which share their paths.

Specifications: kserve/kserve (2026-08), python/kserve/kserve/protocol/rest/v1_endpoints.py, below "KServe", and
tensorflow/serving (2026-07), tensorflow_serving/g3doc/api_rest.md, below "TF". What instances and columns are is told
in `_instances`, events in `_events`; the state of a model in `_status`.

Chosen where the two differ or are silent. The choice `v1-inputs` decides: as `tensorflow`, a question in `inputs` is
answered in `outputs`, and NaN and infinities are read and written as those tokens; as `kserve` it is answered in
`predictions`, and JSON is strict, with null for them. No rows have an empty answer, where TF refuses them. An input
may be left out that has a default. A stream is server-sent events of one prediction each. `signature_name` is
`serving_default`. Labels are `stable` and `latest`: both are the version that answers by default.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from headway.errors import (
    BadInput,
    BadOutput,
    HeadwayError,
    UnknownModel,
    UnknownVersion,
)
from headway.model.call import Call, Description, Result
from headway.model.parity import is_object
from headway.model.wording import told
from headway.protocols import (
    JSON,
    Ask,
    Facts,
    Reply,
    Route,
    Wire,
    headers_of,
    media_of,
    public_message,
    row_error,
    status_of,
)
from headway.protocols import _events as events
from headway.protocols._asking import holds_base64
from headway.protocols._examples import pairs_of, read_examples, value_of
from headway.protocols._instances import read_columns, read_rows, read_shared, spelled
from headway.protocols._status import LABELS, SIGNATURE, describe

_MODEL = "/v1/models/{model}"
_PLACES = (_MODEL, _MODEL + "/versions/{version}", _MODEL + "/labels/{label}")
_VERBS = ("predict", "explain", "classify", "regress")
ROUTES: Sequence[Route] = (
    *(Route("POST", f"{place}:{verb}", verb) for verb in _VERBS for place in _PLACES),
    Route("GET", "/v1/models", "list", is_local=True),
    *(Route("GET", place, "status", is_local=True, needs_probe=True) for place in _PLACES),
    *(Route("GET", place + "/metadata", "metadata", is_local=True) for place in _PLACES),
)
HEADERS: Sequence[str] = events.HEADERS
CHOICES: Mapping[str, Sequence[str]] = {"v1-inputs": ("tensorflow", "kserve")}

_KEYS = {"predict": "predictions", "explain": "explanations", "classify": "results", "regress": "results"}  # fmt: skip


class _Request(Struct):
    instances: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    examples: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET
    signature_name: str | None = None


class _Memo(Struct, frozen=True):
    """What the request said about its answer."""

    key: str
    is_columns: bool = False
    event: events.Event | None = None


_requests = msgspec.json.Decoder(_Request)
_encode = msgspec.json.Encoder().encode


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read instances, columns, or examples; of an event, its data. Raises CallerError."""
    _check_label(ask)
    ask, event = events.opened(ask)
    media = media_of(ask.headers.get("content-type", ""))
    if media != "text/plain" and media in wire.description.media_types:
        call = wire.read_media(media, ask.body)
        call.memo = _Memo(_KEYS[ask.op], event=event)
        return call
    request = _read(ask)
    if request.signature_name not in (None, "", SIGNATURE):
        raise _refused("signature_name", SIGNATURE, repr(request.signature_name[:40]))
    if ask.op in ("classify", "regress"):
        context = b"{}" if request.context is UNSET else bytes(request.context)
        call = read_examples(wire, _only(request, "examples"), context)
        call.memo = _Memo(_KEYS[ask.op], event=event)
        return call
    given = b"null" if request.parameters is UNSET else bytes(request.parameters)
    shared = None if given == b"null" else read_shared(given)
    is_columns = request.inputs is not UNSET and not _is_kserve(ask)
    if is_columns:
        call = read_columns(wire, _only(request, "inputs"), shared)
    else:
        name = "instances" if request.inputs is UNSET else "inputs"
        call = read_rows(wire, _only(request, name), shared)
    has_outputs = is_columns and ask.op == "predict"
    key = "outputs" if has_outputs else _KEYS[ask.op]
    call.memo = _Memo(key, is_columns=has_outputs, event=event)
    return call


def _read(ask: Ask) -> _Request:
    body = bytes(ask.body)
    try:
        return _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        # TF, "JSON conformance": the tokens NaN, Infinity and -Infinity are taken, in requests too.
        strict = None if _is_kserve(ask) else spelled(body)
        if strict is None:
            raise BadInput(f"body: {told(e, body)}") from e
    try:
        return _requests.decode(strict)
    except msgspec.MsgspecError as e:
        raise BadInput(f"body: {told(e, body)}") from e


def _only(request: _Request, wanted: str) -> bytes:
    """The one member that asks. TF: exactly one of `instances` and `inputs`."""
    given = [n for n in ("instances", "inputs", "examples") if getattr(request, n) is not UNSET]
    if given != [wanted]:
        expected = "examples" if wanted == "examples" else "either instances or inputs"
        raise _refused("body", expected, " and ".join(given) or "none")
    return bytes(getattr(request, wanted))


def _is_kserve(ask: Ask) -> bool:
    return ask.headers.get(":v1-inputs") == "kserve"


def _refused(where: str, expected: str, found: str) -> BadInput:
    return BadInput(where=where, expected=expected, found=found)


def _check_label(ask: Ask) -> None:
    label = ask.headers.get(":label", "latest")
    if label not in LABELS:
        raise UnknownVersion(model=ask.model, version=label, known=" and ".join(LABELS))


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answers of all rows. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    memo: _Memo = call.memo or _Memo(_KEYS.get(ask.op, "predictions"))
    reply = Reply(200, b'{"%b":%b}' % (memo.key.encode(), _answers(ask, memo, result, wire)))
    source = f"io.kserve.inference.{wire.description.name}"
    type_ = "io.kserve.inference.response"
    return events.closed(memo.event, reply, ask, source=source, type_=type_)


def _answers(ask: Ask, memo: _Memo, result: Result, wire: Wire) -> bytes:
    model = wire.description
    written = wire.write_json(result, is_single=False)
    # Only where it holds a null can the answer hold what JSON has no word for; events are KServe's, and strict.
    is_exact = b"null" not in written or _is_kserve(ask) or memo.event is not None
    packed = _packed(model)
    if is_exact and not packed and not memo.is_columns and memo.key != "results":
        return written
    values = msgspec.json.decode(written) if is_exact else wire.write_values(result)
    if memo.key == "results":
        read = pairs_of if ask.op == "classify" else value_of
        values = [read(value) for value in values]
    elif packed:
        values = [_pack(model, packed, value) for value in values]
    if memo.is_columns:
        values = _columns(model, values)
    if is_exact:
        return _encode(values)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _packed(model: Description) -> Mapping[str, bool]:
    """TF, "Encoding binary values": outputs whose names end in `_bytes` are binary; whether each is base64 already."""
    return {
        spec.name: holds_base64(model, spec.name)
        for spec in model.outputs
        if spec.name.endswith("_bytes") and spec.dtype == "bytes" and not spec.is_json
    }


def _pack(model: Description, packed: Mapping[str, bool], value: Any) -> Any:
    if not is_object(model):
        return _wrapped(value, is_base64=packed[model.outputs[0].name])
    return {
        name: _wrapped(each, is_base64=packed[name]) if name in packed else each
        for name, each in value.items()
    }


def _wrapped(value: Any, *, is_base64: bool) -> Any:
    if isinstance(value, list):
        return [_wrapped(each, is_base64=is_base64) for each in value]
    return {"b64": value if is_base64 else base64.b64encode(value.encode()).decode()}


def _columns(model: Description, values: list[Any]) -> Any:
    """TF, "Response format": a list for one output, an object of lists for several."""
    if any(not spec.has_rows for spec in model.outputs):
        return values[0]
    if not is_object(model):
        return values
    return {spec.name: [value[spec.name] for value in values] for spec in model.outputs}


def stream_type(ask: Ask) -> str:
    """Each item of a stream is an event that holds an answer."""
    return "text/event-stream; charset=utf-8"


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    memo: _Memo = call.memo
    return b'data: {"%b":[%b]}\n\n' % (memo.key.encode(), wire.write_item(value))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    return b"data: " + render(ask, error).body + b"\n\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as both do: `{"error": text}`."""
    body = _encode({"error": _message(ask, error)})
    return Reply(status_of(error), body, JSON, headers_of(error))


def _message(ask: Ask, error: HeadwayError) -> str:
    """What is unknown is told in the words that clients of each have seen."""
    model = error.fields.get("model")
    if isinstance(error, UnknownModel | UnknownVersion) and model:
        if _is_kserve(ask):
            version = error.fields.get("version")
            which = f" and version {version}" if version else ""
            return f"Model with name {model}{which} does not exist."
        version = error.fields.get("version") or "Latest"
        which = f"Latest({model})" if version == "Latest" else f"Specific({model}, {version})"
        return f"Servable not found for request: {which}"
    return public_message(error)


def answer(ask: Ask, facts: Facts) -> Reply:
    """The models, the state of one, or its metadata. Raises CallerError, or NotReady."""
    _check_label(ask)
    return Reply(200, _encode(describe(ask, facts)))


# The other way round

WAYS: Sequence[str] = ("instances", "inputs")


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items as rows, or as columns. Raises BadInput: some leave an input out that others give."""
    if way == "instances":
        body = _encode({"instances": list(items)})
        return Ask("predict", model.name, "", body, {"content-type": JSON})
    names = list(items[0]) if items else []
    if any(item.keys() != set(names) for item in items):
        raise BadInput("some items leave an input out, so each needs a request")
    columns = {name: [item[name] for item in items] for name in names}
    return Ask("predict", model.name, "", _encode({"inputs": columns}), {"content-type": JSON})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    try:
        if model.is_stream:
            found = [line for line in reply.body.split(b"\n\n") if line.strip()]
            return [[_rows(model, line.removeprefix(b"data: "))[0] for line in found]]
        return _rows(model, reply.body)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
        raise BadOutput(expected="a response of V1", found=repr(reply.body[:80])) from e


def _rows(model: Description, body: bytes) -> list[Any]:
    said: dict[str, Any] = json.loads(body, parse_constant=lambda _: None)
    if "error" in said:
        raise BadOutput(f"the stream ended with an error: {said['error']}")
    (key,) = {"predictions", "outputs", "explanations"} & said.keys()
    rows = said[key]
    if key == "outputs" and any(not spec.has_rows for spec in model.outputs):
        rows = [rows]
    elif key == "outputs" and is_object(model):
        rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    packed = _packed(model)
    return [_unpack(model, packed, row) for row in rows] if packed else list(rows)


def _unpack(model: Description, packed: Mapping[str, bool], value: Any) -> Any:
    if not is_object(model):
        return _unwrapped(value, is_base64=packed[model.outputs[0].name])
    return {
        name: _unwrapped(each, is_base64=packed[name]) if name in packed else each
        for name, each in value.items()
    }


def _unwrapped(value: Any, *, is_base64: bool) -> Any:
    if isinstance(value, list):
        return [_unwrapped(each, is_base64=is_base64) for each in value]
    return value["b64"] if is_base64 else base64.b64decode(value["b64"]).decode()
