"""Vertex AI: the contract of its custom containers, and the REST paths at which its clients ask an endpoint.

Specifications: "Custom container requirements for prediction" and the reference of
`projects.locations.endpoints` (v1: predict, explain, rawPredict, streamRawPredict), both of cloud.google.com as of
2026-10. The paths of a container are told to it by variables (`config`), and are aliases of the two that it has by
default, which name no model. An endpoint's id is the model's name. What instances are is told in `_instances`.

Chosen where the texts are silent: JSON is strict, with null for NaN and infinities; a raw question that is no object
with `instances` is one in the native form, or bare, and is answered in the native form; what a stream answers are
server-sent events; of an explanation is made the `featureAttributions` of its one attribution. Errors have Google's
form. Not here: tensors (directPredict, serverStreamingPredict), and a limit of 1.5 MB.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from headway.errors import BadInput, BadOutput, HeadwayError, NotReady
from headway.model.call import EXPLAIN, Call, Description, Result
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
from headway.protocols._instances import read_rows, read_shared

_ENDPOINT = "/v1/projects/{project}/locations/{location}/endpoints/{model}"
_CONTAINER = "/v1/endpoints/{endpoint}/deployedModels/{deployed}"
ROUTES: Sequence[Route] = (
    Route("POST", _ENDPOINT + ":predict", "predict"),
    Route("POST", _ENDPOINT + ":explain", EXPLAIN),
    Route("POST", _ENDPOINT + ":rawPredict", "raw"),
    Route("POST", _ENDPOINT + ":streamRawPredict", "raw"),
    Route("POST", _CONTAINER + ":predict", "predict"),
    Route("GET", _CONTAINER, "health", is_local=True, needs_probe=True),
)
HEADERS: Sequence[str] = ("content-type",)

_STATUS: Mapping[int, str] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's names of statuses; of any other it is INVALID_ARGUMENT."""


class _Request(Struct):
    instances: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET


_requests = msgspec.json.Decoder(_Request)
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read instances with their parameters; a raw question, as it comes. Raises CallerError."""
    if ask.op == "raw" and (call := _read_raw(ask, wire)) is not None:
        return call
    try:
        request = _requests.decode(ask.body)
    except _UNREADABLE as e:
        raise BadInput(f"body: {told(e, ask.body)}") from e
    if request.instances is UNSET:
        raise BadInput(where="body", expected="instances", found="none")
    call = read_rows(wire, bytes(request.instances), _shared(request))
    call.memo = "predictions"
    return call


def _shared(request: _Request) -> Mapping[str, bytes] | None:
    given = b"null" if request.parameters is UNSET else bytes(request.parameters)
    return None if given == b"null" else read_shared(given)


def _read_raw(ask: Ask, wire: Wire) -> Call | None:
    """A question in the native form, or bare; None where it has instances."""
    kind = ask.headers.get("content-type", "")
    if not is_json(kind) and media_of(kind) in wire.description.media_types:
        return wire.read_media(kind, ask.body)
    try:
        has_instances = _requests.decode(ask.body).instances is not UNSET
    except _UNREADABLE:
        has_instances = False
    if has_instances and "instances" not in wire.description.input_schema.get("properties", {}):
        return None
    return wire.read_json(ask.body)


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answers of all rows; what was asked raw in the native form, in that. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    written = wire.write_json(result, is_single=call.is_single)
    if call.memo is None and ask.op == "raw":
        return Reply(200, written)
    if ask.op == EXPLAIN:
        return Reply(200, _explanations(msgspec.json.decode(written, type=list[Raw])))
    body = b'{"predictions":%b' % written
    if ask.op == "predict" and ":endpoint" not in ask.headers:
        model = wire.description
        about = {"deployedModelId": model.name, "modelDisplayName": model.name}
        body += b"," + _encode({**about, "modelVersionId": model.version})[1:-1]
    return Reply(200, body + b"}")


def _explanations(rows: Sequence[Raw]) -> bytes:
    return _encode({"explanations": [{"attributions": [{"featureAttributions": row}]} for row in rows]})  # fmt: skip


def stream_type(ask: Ask) -> str:
    """Each item of a stream is an event."""
    return "text/event-stream; charset=utf-8"


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    item = wire.write_item(value)
    return b"data: %b\n\n" % (item if call.memo is None else b'{"predictions":[%b]}' % item)


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    return b"data: " + render(ask, error).body + b"\n\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error in Google's form: a number, a message and the number's name."""
    code = status_of(error)
    said = {
        "code": code,
        "message": public_message(error),
        "status": _STATUS.get(code, "INVALID_ARGUMENT"),
    }
    return Reply(code, _encode({"error": said}), JSON, headers_of(error))


def answer(ask: Ask, facts: Facts) -> Reply:
    """Whether the server is ready. Raises NotReady."""
    if not facts.is_server_ready:
        raise NotReady("the server is not ready: not every model answers")
    return Reply(200, b"{}")


# The other way round

WAYS: Sequence[str] = ("instances",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items as instances."""
    body = _encode({"instances": list(items)})
    return Ask("predict", model.name, "", body, {"content-type": JSON})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    try:
        if model.is_stream:
            found = [line for line in reply.body.split(b"\n\n") if line.strip()]
            return [[_rows(line.removeprefix(b"data: "))[0] for line in found]]
        return _rows(reply.body)
    except (LookupError, TypeError, *_UNREADABLE) as e:
        raise BadOutput(expected="a response of Vertex AI", found=repr(reply.body[:80])) from e


def _rows(body: bytes) -> list[Any]:
    said = msgspec.json.decode(body, type=dict[str, Any])
    if "error" in said:
        raise BadOutput(f"the stream ended with an error: {said['error']['message']}")
    return list(said["predictions"])
