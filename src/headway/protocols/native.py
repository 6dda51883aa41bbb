"""Headway's own dialect: named inputs as a JSON object, an array of objects, a form, or a bare body.

It is its own specification, shown by its golden files. JSON is RFC 8259; a stream is JSON Lines, or
server-sent events as in WHATWG HTML section 9.2. `GET /models` answers what the clients of two
other dialects of that path understand too. Not here: what JSON means for a signature, which is the
wire table's.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from headway.errors import BadInput, BadOutput, CallerError, HeadwayError
from headway.model.call import EXPLAIN, Call, Description, Order, Result
from headway.model.counting import count_rows, may_exceed
from headway.protocols import (
    FORM,
    JSON,
    Ask,
    Facts,
    Job,
    Reply,
    Route,
    Terms,
    Wire,
    headers_of,
    is_json,
    media_of,
    public_message,
    rfc3339,
    row_error,
    status_of,
)
from headway.protocols._form import read_parts

ROUTES: Sequence[Route] = (
    Route("POST", "/models/{model}/predict", "predict", has_media=True, job="asked"),
    Route(
        "POST",
        "/models/{model}/versions/{version}/predict",
        "predict",
        has_media=True,
        job="asked",
    ),
    Route("POST", "/models/{model}/explain", EXPLAIN, has_media=True),
    Route("POST", "/models/{model}/versions/{version}/explain", EXPLAIN, has_media=True),
    Route("GET", "/models/{model}/stream", "stream", is_socket=True),
    Route("GET", "/models/{model}/versions/{version}/stream", "stream", is_socket=True),
    Route("GET", "/jobs/{id}", "job", job="status"),
    Route("GET", "/jobs/{id}/result", "job_result", job="result"),
    Route("DELETE", "/jobs/{id}", "job_cancel", job="cancel"),
    Route("GET", "/models", "list", is_local=True),
    Route("GET", "/models/{model}", "describe", is_local=True),
    Route("GET", "/models/{model}/versions/{version}", "describe", is_local=True),
    Route("GET", "/models/{model}/ready", "ready", is_local=True, needs_probe=True),
    Route(
        "GET", "/models/{model}/versions/{version}/ready", "ready", is_local=True, needs_probe=True
    ),
    Route("POST", "/models/{model}/load", "load", is_admin=True),
    Route("POST", "/models/{model}/unload", "unload", is_admin=True),
)
HEADERS: Sequence[str] = ("content-type", "accept")

_LINES = "application/jsonl"
_EVENTS = "text/event-stream"
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_MAX_UNREADABLE = 10_000
"""Rows that can't be read, of which each is told by itself: an error costs far more than a row does."""


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read JSON (the default), a form, or a bare image, sound, file or text. Raises CallerError."""
    if ask.op == "stream":
        return wire.read_query(ask.query)
    kind = ask.headers.get("content-type", "")
    if kind and kind != JSON and not is_json(kind):
        if media_of(kind) == FORM:
            return wire.read_form(read_parts(kind, ask.body))
        return wire.read_media(kind, ask.body)
    if ask.query and _wants_items(ask.query):
        return _read_items(ask.body, wire)
    return wire.read_json(ask.body)


def _wants_items(query: str) -> bool:
    """Whether the query holds `errors=item`: each row gets its own answer or error."""
    try:
        asked = parse_qs(query, keep_blank_values=True, max_num_fields=100).get("errors", [])
    except ValueError as e:
        raise BadInput(where="query", expected="at most 100 fields", found="more") from e
    if not asked:
        return False
    if asked != ["item"]:
        raise BadInput(
            where="query", expected="errors=item, once", found=f"errors={asked[-1][:40]}"
        )
    return True


def _read_items(body: bytes | memoryview, wire: Wire) -> Call:
    """Read the rows that can be read; the errors of the others wait in the call's memo."""
    try:
        return wire.read_json(body)
    except CallerError:
        is_too_many = may_exceed(body, wire.max_rows) and count_rows(body) > wire.max_rows
        rows = None if is_too_many else _cut_rows(body)
        if rows is None:
            raise
    unreadable: dict[int, HeadwayError] = {}
    readable = []
    for i, row in enumerate(rows):
        try:
            _check_row(row, wire)
        except CallerError as e:
            if len(unreadable) >= _MAX_UNREADABLE:
                found = f"more; row {i}: {e.message}"
                raise BadInput(
                    where="body", expected=f"at most {_MAX_UNREADABLE} bad rows", found=found
                ) from None
            # Its frames hold all that was read, in a circle that only the collector would find.
            e.__traceback__ = e.__context__ = None
            unreadable[i] = e
        else:
            readable.append(row)
    # One caller's own rows, each proven to be a whole JSON object, meet here; bodies never do.
    call = wire.read_json(b"[" + b",".join(readable) + b"]")
    call.memo = unreadable
    return call


def _cut_rows(body: bytes | memoryview) -> list[bytes] | None:
    """The rows of a JSON array, undecoded; None where the body is not one."""
    try:
        return [bytes(row) for row in _rows.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _check_row(row: bytes, wire: Wire) -> None:
    if not row.startswith(b"{"):
        raise BadInput(where="row", expected="an object", found=row[:20].decode(errors="replace"))
    wire.read_json(row)


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the value, or a list of them. Raises a row's error unless asked for `errors=item`."""
    if ask.query and _wants_items(ask.query):
        return Reply(200, _item_bodies(call, result, wire))
    if result.errors:
        raise row_error(call, result)
    if "accept" in ask.headers and (written := wire.write_media(ask.headers["accept"], result)):
        return Reply(200, written[1], written[0])
    return Reply(200, wire.write_json(result, is_single=call.is_single))


def _item_bodies(call: Call, result: Result, wire: Wire) -> bytes:
    if call.is_single:
        if result.errors:
            raise row_error(call, result)
        return b'{"output":' + wire.write_json(result, is_single=True) + b"}"
    failed: Mapping[int, HeadwayError] = call.memo or {}
    outcomes = [
        _failure(result.errors[row])
        if row in result.errors
        else b'{"output":' + wire.write_json(part, is_single=True) + b"}"
        for row, part in enumerate(_apart(call, result, wire))
    ]
    for row in sorted(failed):
        outcomes.insert(row, _failure(failed[row]))
    return b"[" + b",".join(outcomes) + b"]"


def _apart(call: Call, result: Result, wire: Wire) -> Sequence[Result]:
    """Each row by itself; where every row failed there may be no values at all."""
    if len(result.errors) == call.rows:
        return [Result([])] * call.rows
    return wire.split(Result(result.values), [1] * call.rows)


def _failure(error: HeadwayError) -> bytes:
    return msgspec.json.encode({"error": public_message(error), "code": error.code})


def stream_type(ask: Ask) -> str:
    """JSON lines, or server-sent events where the Accept header names them."""
    return f"{_EVENTS}; charset=utf-8" if _EVENTS in ask.headers.get("accept", "") else _LINES


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    return _framed(ask, wire.write_item(value))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream: a last line, or an event named `error`."""
    is_events = _EVENTS in ask.headers.get("accept", "") and ask.op != "stream"
    return (b"event: error\n" if is_events else b"") + _framed(ask, render(ask, error).body)


def _framed(ask: Ask, item: bytes) -> bytes:
    if ask.op == "stream":  # a message of its own
        return item
    if _EVENTS in ask.headers.get("accept", ""):
        return b"data: " + item + b"\n\n"
    return item + b"\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"error", "code", "request_id"}`."""
    body = {"error": public_message(error), "code": error.code, "request_id": ask.request_id}
    return Reply(status_of(error), msgspec.json.encode(body), JSON, headers_of(error))


# Jobs


def terms(ask: Ask) -> Terms:
    """A webhook is named by a header, and told of the end alone."""
    return Terms(webhook=ask.headers.get("headway-webhook", ""), events=frozenset({"completed"}))


def state(ask: Ask, job: Job) -> Reply:
    """Tell of a job, and where its answer is once it has ended."""
    body: dict[str, Any] = {"id": job.id, "model": job.model, "status": job.status}
    for name, at_s in (
        ("created_at", job.created_s),
        ("started_at", job.started_s),
        ("ended_at", job.ended_s),
    ):
        body[name] = None if at_s is None else rfc3339(at_s)
    if job.has_ended and job.reply is not None:
        body |= {"result": f"/jobs/{job.id}/result", "result_status": job.reply.status}
    if job.has_ended or ask.op == "job":
        return Reply(200, msgspec.json.encode(body))
    return Reply(202, msgspec.json.encode(body), JSON, (("retry-after", "1"),))


def conclude(ask: Ask, job: Job) -> Reply:
    """The answer is that of a request that was waited for."""
    assert job.reply is not None
    return job.reply


def mark(ask: Ask, job: Job) -> bytes:
    """A stream says nothing of its job."""
    return b""


# The other way round

WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write one item as an object, many as an array."""
    body = msgspec.json.encode(items[0] if len(items) == 1 else list(items))
    return Ask("predict", model.name, "", body, {"content-type": JSON})


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
    if isinstance(value, dict) and value.keys() == {"error", "code", "request_id"}:
        raise BadOutput(f"the stream ended with an error: {value['error']}")
    return value


# What the gateway knows


def answer(ask: Ask, facts: Facts) -> Reply:
    """List the models, describe one, or tell whether it is ready."""
    if ask.op == "list":
        body: dict[str, Any] = {"models": [_line(name, facts) for name in facts.descriptions]}
    elif ask.op == "ready":
        facts.check_ready(ask.model, ask.version)
        body = {"name": ask.model, "ready": True}
    else:
        body = _details(facts.description(ask.model, ask.version), facts)
    return Reply(200, msgspec.json.encode(body))


def order(ask: Ask, facts: Facts) -> Order:
    """Load or unload a model."""
    return Order("load" if ask.op == "load" else "unload", ask.model)


def obeyed(ask: Ask, facts: Facts) -> Reply:
    """Say in what state the model is now."""
    return Reply(200, msgspec.json.encode({"name": ask.model, **facts.state(ask.model)._asdict()}))


def _line(name: str, facts: Facts) -> dict[str, Any]:
    """One model of the list; TorchServe's and SageMaker's clients read `modelName`, `modelUrl`."""
    versions = list(facts.descriptions[name])
    return {
        "name": name,
        "modelName": name,
        "modelUrl": f"/models/{name}",
        "versions": versions,
        "ready": facts.ready.get(name, False),
        "state": facts.state(name).state,
    }


def _details(model: Description, facts: Facts) -> dict[str, Any]:
    return {
        **_line(model.name, facts),
        "version": model.version,
        "doc": model.doc,
        "platform": model.platform,
        "input_schema": model.input_schema,
        "output_schema": model.output_schema,
        "examples": model.examples,
        "inputs": model.inputs,
        "outputs": model.outputs,
        "batched": model.is_batched,
        "stream": model.is_stream,
        "fed": model.is_fed,
        "idempotent": model.is_idempotent,
        **({"explain": _explanation(model.explain)} if model.explain else {}),
    }


def _explanation(model: Description) -> dict[str, Any]:
    return {
        "doc": model.doc,
        "input_schema": model.input_schema,
        "output_schema": model.output_schema,
        "inputs": model.inputs,
        "outputs": model.outputs,
        "batched": model.is_batched,
    }
