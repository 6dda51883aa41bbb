"""Azure ML's managed online endpoints: what its inference server answers for a `score.py`, for any model.

Specification: Azure Machine Learning documentation, "Azure Machine Learning inference HTTP server", below "Server",
"Deploy MLflow models to online endpoints" for `input_data`, and "Troubleshoot online endpoints" for statuses. Liveness
(`GET /`) is the page's.

A body is JSON of items, as the native protocol takes it, or the `input_data` of MLflow's models there: a frame in
pandas' split form, columns or rows. With several models the header `azureml-model-deployment` says which is asked.

Chosen: an answer that was late is 408, as the endpoint tells it (Server: 500); a body of another content type than
JSON or the model's own is 415; a parameter of a GET counts as text where the model wants text (Server: as JSON first).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from headway import errors
from headway.errors import BadInput, BadOutput, HeadwayError, UnknownPath
from headway.model.call import Call, Description, Result
from headway.model.drift import resolved
from headway.protocols import (
    FORM,
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
from headway.protocols._form import read_parts
from headway.protocols._frames import rows_of_split
from headway.protocols._instances import read_columns, read_rows, read_shared
from headway.protocols._swagger import VERSIONS, swagger

_DEPLOYMENT = "azureml-model-deployment"
ROUTES: Sequence[Route] = (
    Route("POST", "/score", "score", model_header=_DEPLOYMENT),
    Route("GET", "/score", "score_query", model_header=_DEPLOYMENT),
    Route("OPTIONS", "/score", "options", is_local=True),
    Route("GET", "/swagger.json", "swagger", is_local=True),
)
_REQUEST_ID, _LEGACY_ID, _CLIENT_ID = "x-request-id", "x-ms-request-id", "x-ms-client-request-id"
_IDS = (_REQUEST_ID, _LEGACY_ID, _CLIENT_ID)
HEADERS: Sequence[str] = ("content-type", "accept", *_IDS)
STATUSES: Mapping[type[HeadwayError], int] = {errors.DeadlineError: 408}
_MOST_ID = 100
_LINES, _EVENTS = "application/jsonl", "text/event-stream"
_encode = msgspec.json.Encoder().encode


class _Body(Struct):
    input_data: Raw = Raw()
    params: Raw = Raw()


class _Frame(Struct):
    """What tells a frame from columns."""

    data: Raw = Raw()
    columns: Raw = Raw()


_bodies = msgspec.json.Decoder(_Body)
_frames = msgspec.json.Decoder(_Frame)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read JSON, a form, what the model's only input takes bare, or the query of a GET. Raises CallerError."""
    _check_ids(ask)
    if ask.op == "score_query":
        return wire.read_json(_query(ask.query, wire.description))
    kind = ask.headers.get("content-type", "")
    if is_json(kind):
        return _read_json(bytes(ask.body), wire)
    if media_of(kind) == FORM:
        return wire.read_form(read_parts(kind, ask.body))
    return wire.read_media(kind, ask.body)


def _check_ids(ask: Ask) -> None:
    for header in _IDS:
        if len(given := ask.headers.get(header, "")) > _MOST_ID:
            expected = f"at most {_MOST_ID} characters"
            raise BadInput(where=f"header {header}", expected=expected, found=len(given))


def _read_json(body: bytes, wire: Wire) -> Call:
    try:
        read = _bodies.decode(body) if b'"input_data"' in body else _Body()
    except _UNREADABLE:
        read = _Body()
    data = bytes(read.input_data)
    if not data or "input_data" in wire.description.input_schema.get("properties", {}):
        return wire.read_json(body)
    params = bytes(read.params)
    shared = read_shared(params) if params not in (b"", b"null") else None
    if data.lstrip(b" \t\r\n")[:1] == b"[":
        return read_rows(wire, data, shared)
    if _is_frame(data):
        return read_rows(wire, rows_of_split(wire.description, data, wire.max_rows), shared)
    return read_columns(wire, data, shared)


def _is_frame(data: bytes) -> bool:
    try:
        frame = _frames.decode(data)
    except _UNREADABLE:
        return False
    return bool(bytes(frame.data)) and bool(bytes(frame.columns))


def _query(query: str, model: Description) -> bytes:
    """The fields of a query as an item. Server: "a parameter [that] shows up multiple times [is] parsed as a list"."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as e:
        expected = "at most 100 fields in UTF-8"
        raise BadInput(where="query", expected=expected, found="others") from e
    item: dict[str, Any] = {}
    for name, texts in fields.items():
        values = [_value(text, model, name) for text in texts]
        item[name] = values if len(values) > 1 else values[0]
    return _encode(item)


def _value(text: str, model: Description, name: str) -> Any:
    root = model.input_schema
    schema = resolved(root.get("properties", {}).get(name, {}), root)
    if schema.get("type") == "string":
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # the wire says what it expected instead


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    # Server: `x-ms-run-fn-exec-ms`, "formatting [...] explicitly to get '0.012'".
    took = ("x-ms-run-fn-exec-ms", f"{call.worked_s * 1e3:.3f}")
    headers = (*_told(ask, has_failed=False), took)
    if "accept" in ask.headers and (written := wire.write_media(ask.headers["accept"], result)):
        return Reply(200, written[1], written[0], headers)
    return Reply(200, wire.write_json(result, is_single=call.is_single), JSON, headers)


def _told(ask: Ask, *, has_failed: bool) -> list[tuple[str, str]]:
    """The request's names, each standing in for another that was not given, and whether the model failed."""
    given = {header: ask.headers.get(header, "") for header in _IDS}
    given = {header: value for header, value in given.items() if 0 < len(value) <= _MOST_ID}
    legacy, client = given.get(_LEGACY_ID, ""), given.get(_CLIENT_ID, "")
    named = {_LEGACY_ID: legacy or client or ask.request_id, _CLIENT_ID: client or legacy}
    failed = ("x-ms-run-function-failed", str(has_failed))
    return [*((header, value) for header, value in named.items() if value), failed]


def stream_type(ask: Ask) -> str:
    """JSON Lines, or server-sent events where the Accept header names them."""
    return f"{_EVENTS}; charset=utf-8" if _EVENTS in ask.headers.get("accept", "") else _LINES


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    return _framed(ask, wire.write_item(value))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    is_events = _EVENTS in ask.headers.get("accept", "")
    return (b"event: error\n" if is_events else b"") + _framed(ask, render(ask, error).body)


def _framed(ask: Ask, item: bytes) -> bytes:
    is_events = _EVENTS in ask.headers.get("accept", "")
    return b"data: " + item + b"\n\n" if is_events else item + b"\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"message"}`; Server: 431 for an id that is too long."""
    is_id = isinstance(error, BadInput) and str(error.fields.get("where", ""))[7:] in _IDS
    status = 431 if is_id else status_of(error, STATUSES)
    has_failed = isinstance(error, errors.ModelError) and not isinstance(error, errors.GivenUp)
    headers = (*headers_of(error), *_told(ask, has_failed=has_failed))
    return Reply(status, _encode({"message": public_message(error)}), JSON, headers)


# What the gateway knows


def answer(ask: Ask, facts: Facts) -> Reply:
    """The description of `/score`, and the methods that it takes. Raises CallerError, or NotReady."""
    _check_ids(ask)
    if ask.op == "options":
        return Reply(200, b"", "", (("allow", "GET, HEAD, OPTIONS, POST"),))
    wanted = parse_qs(ask.query).get("version", [next(iter(VERSIONS))])[-1]
    if wanted not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise UnknownPath(f"there is no Swagger of version {wanted[:20]!r}; known: {known}")
    names = list(facts.descriptions)
    model = facts.description(names[0], "") if len(names) == 1 else None
    return Reply(200, _encode(swagger(model, VERSIONS[wanted])))


# The other way round


WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write one item as an object, many as an array."""
    body = _encode(items[0] if len(items) == 1 else list(items))
    return Ask("score", model.name, "", body, {"content-type": JSON, _DEPLOYMENT: model.name})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    try:
        if model.is_stream:
            return [[_streamed(line) for line in reply.body.splitlines()]]
        if count == 1:
            return [msgspec.json.decode(reply.body)]
        return msgspec.json.decode(reply.body, type=list[Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise BadOutput(expected="JSON of the answers", found=repr(reply.body[:80])) from e


def _streamed(line: bytes) -> Any:
    """An item of a stream, unless it is the error that ends it."""
    value = msgspec.json.decode(line)
    if isinstance(value, dict) and value.keys() == {"message"}:
        raise BadOutput(f"the stream ended with an error: {value['message']}")
    return value
