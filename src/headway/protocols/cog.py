"""Cog's HTTP API: predictions that are waited for, told to a webhook, or streamed as events.

Cog, docs/http.md and the `coglet` crates at 6110c91 (August 2026). The worker writes what the model answered, as
`{"output", "logs", "status"}`; the gateway, which knows the job, puts its id and times to it (`conclude`). Not here:
who is told and when, which is the machinery's; training; uploads; `GET /`, which is the page.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from headway.errors import (
    BadInput,
    BadOutput,
    Cancelled,
    HeadwayError,
    NotAcceptable,
    QueueFull,
    Rejected,
    UnknownJob,
)
from headway.model.call import Call, Description, Result
from headway.model.wording import told
from headway.protocols import (
    EVENTS,
    JSON,
    Ask,
    Facts,
    Job,
    Reply,
    Route,
    Terms,
    Wire,
    headers_of,
    public_message,
    rfc3339,
    row_error,
    status_of,
)
from headway.protocols._data_urls import as_urls, from_urls

_MODEL = "headway-model"
"""Cog serves one model; where this server has several, a header may say which."""
ROUTES: Sequence[Route] = (
    Route("POST", "/predictions", "predict", job="always", model_header=_MODEL),
    Route("PUT", "/predictions/{id}", "predict", job="always", model_header=_MODEL),
    Route("POST", "/predictions/{id}/cancel", "cancel", job="cancel"),
    Route("GET", "/health-check", "health", is_local=True),
)
HEADERS: Sequence[str] = ("accept",)
# A full queue is what Cog calls being at capacity: "409 Conflict".
STATUSES: Mapping[type[HeadwayError], int] = {BadInput: 422, Rejected: 422, QueueFull: 409}

_EVENTS = "text/event-stream"
_LINES = "application/jsonl"
_ERROR_MARK = b"!"
"""Begins the line of an error among the lines of a stream, which are JSON; the gateway takes it out again."""
_STATUS = {"queued": "starting", "running": "processing"}
_IN_BODY = ("id", "webhook", "webhook_events_filter")
_NAMED = re.compile(
    r"(?:input|part) '([^']{1,256})'|\$\.([A-Za-z0-9_]{1,256})|required field ([A-Za-z0-9_]{1,256})"
)
"""Where a message names what is wrong."""

_Event = Literal["start", "output", "logs", "completed"]


class _Request(Struct):
    input: Raw = Raw(b"{}")
    id: Annotated[str, Meta(max_length=256)] | None = None
    webhook: Annotated[str, Meta(max_length=4096)] | None = None
    webhook_events_filter: list[_Event] | None = None
    context: dict[str, str] | None = None


class _Chunk(Struct):
    chunk: Raw
    index: int = 0


class _Prediction(Struct, omit_defaults=True):
    """What is told of a job."""

    id: str
    status: str
    output: Raw | UnsetType = UNSET
    error: str | None = None
    logs: str | None = None
    metrics: dict[str, float] | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None


class _Told(Struct):
    """What an answer says, in whichever of the dialect's forms."""

    output: Raw = Raw()
    error: str | None = None
    detail: list[dict[str, Any]] | str | None = None


_requests = msgspec.json.Decoder(_Request)
_inputs = msgspec.json.Decoder(dict[str, Raw])
_chunks = msgspec.json.Decoder(_Chunk)
_answers = msgspec.json.Decoder(_Told)
_encode = msgspec.json.Encoder().encode


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read `{"input": {...}}`; what the model has no input for is dropped, as Cog does. Raises CallerError."""
    if _is_streamed(ask) and not wire.description.is_stream:
        raise NotAcceptable(found=_EVENTS, expected=f"{JSON}, since this model answers at once")
    raw = bytes(_request(ask).input)
    if raw == b"null":
        raw = b"{}"
    try:
        given = _inputs.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"input: {told(e, raw)}", where="input") from e
    known: Mapping[str, Any] = wire.description.input_schema.get("properties", {})
    if known and not given.keys() <= known.keys():
        kept = {name: value for name, value in given.items() if name in known}
        raw = _encode(kept)
    call = wire.read_json(raw)
    call.memo = itertools.count()
    return call


def _request(ask: Ask) -> _Request:
    body = ask.body
    if not body:
        return _Request()
    try:
        return _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"prediction: {told(e, body)}", where="body") from e


def _is_streamed(ask: Ask) -> bool:
    parts = ask.headers.get("accept", "").split(",")
    return any(part.partition(";")[0].strip().lower() == _EVENTS for part in parts)


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write what the model answered; files as data URLs. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    output = as_urls(wire.description.output_schema, wire.write_json(result, is_single=True))
    return Reply(200, b'{"output":' + output + b',"logs":"","status":"succeeded"}')


def stream_type(ask: Ask) -> str:
    """Events where they are asked for; else lines, which `conclude` makes one answer of."""
    return _EVENTS if _is_streamed(ask) else _LINES


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    item = as_urls(wire.description.output_schema, wire.write_item(value))
    if not _is_streamed(ask):
        return item + b"\n"
    index = next(call.memo) if call.memo is not None else 0
    return b'event: output\ndata: {"chunk":' + item + b',"index":%d}\n\n' % index


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    body = _encode({"error": public_message(error)})
    if _is_streamed(ask):
        return b"event: error\ndata: " + body + b"\n\n"
    return _ERROR_MARK + body + b"\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error: details for what the caller got wrong, else a prediction that has failed."""
    status, message = status_of(error, STATUSES), public_message(error)
    body: dict[str, Any]
    if status == 422:
        body = {"detail": [{"loc": _place(error), "msg": message, "type": "value_error"}]}
    elif isinstance(error, NotAcceptable):
        body = {"error": message}
    elif isinstance(error, Cancelled):
        body = {"error": message, "status": "canceled"}
    elif 400 <= status < 500 and status != 409:
        body = {"detail": message}
    else:
        body = {"error": message, "status": "failed"}
    return Reply(status, _encode(body), JSON, headers_of(error))


def _place(error: HeadwayError) -> list[str]:
    """Where a fault is, as `loc` says it."""
    where = str(error.fields.get("where", ""))
    if where in _IN_BODY:
        return ["body", where]
    found = _NAMED.search(error.message)
    names = [name for name in found.groups() if name] if found else []
    return ["body", *names] if where == "body" else ["body", "input", *names]


# Jobs


def terms(ask: Ask) -> Terms:
    """Read the id, the webhook and its events. Raises BadInput."""
    request, path_id = _request(ask), ask.headers.get(":id", "")
    if path_id and request.id not in (None, path_id):
        raise BadInput("the prediction's id must be the one in the path", where="id")
    wanted = request.webhook_events_filter
    events = EVENTS if wanted is None else EVENTS.intersection(wanted)
    return Terms(path_id or request.id or "", request.webhook or "", events, _is_streamed(ask))


def conclude(ask: Ask, job: Job) -> Reply:
    """The prediction as it has ended: 200 also where the model has failed, for that is no fault of HTTP."""
    reply = job.reply
    assert reply is not None
    if reply.status not in (200, 499, 500, 504):
        return reply
    final = _final(job, reply)
    final.metrics = {"predict_time": _took_s(job)}
    return Reply(200, _encode(final))


def _final(job: Job, reply: Reply) -> _Prediction:
    output, error = _said(reply)
    if job.status == "succeeded":
        return _Prediction(job.id, "succeeded", output, logs="")
    if job.status == "canceled" or reply.status == 504:  # late is canceled, too
        return _Prediction(job.id, "canceled", logs="")
    return _Prediction(job.id, "failed", error=error or "the prediction has failed", logs="")


def _collected(reply: Reply) -> tuple[list[Raw], str | None]:
    """The items that a stream has brought, and the error that ended it."""
    outputs: list[Raw] = []
    error: str | None = None
    is_events = reply.content_type == _EVENTS
    for part in reply.body.split(b"\n\n" if is_events else b"\n"):
        if is_events:
            name, _, data = part.partition(b"\ndata: ")
            if name == b"event: output":
                outputs.append(_chunks.decode(data).chunk)
            elif name == b"event: error":
                error = _answers.decode(data).error
        elif part.startswith(_ERROR_MARK):
            error = _answers.decode(part[1:]).error
        elif part:
            outputs.append(Raw(part))
    return outputs, error


def _took_s(job: Job) -> float:
    if job.started_s is None or job.ended_s is None:
        return 0.0
    return max(0.0, job.ended_s - job.started_s)


def state(ask: Ask, job: Job) -> Reply:
    """A prediction as it is now; a cancel is answered by no more than that there is one. Raises UnknownJob."""
    if ask.op == "cancel":
        if job.has_ended:
            raise UnknownJob(job=job.id[:80])
        return Reply(200, b"{}")
    told = _Prediction(job.id, _STATUS.get(job.status, job.status))
    if job.status != "queued":
        told.logs = ""
        told.created_at, told.started_at = rfc3339(job.created_s), _time(job.started_s)
    if job.has_ended:
        told.completed_at = _time(job.ended_s)
        told.metrics = {"predict_time": _took_s(job)}
    if job.reply is not None:
        told.output, told.error = _said(job.reply)
    return Reply(200, _encode(told))


def _said(reply: Reply) -> tuple[Raw | UnsetType, str | None]:
    """Output and error of a prediction, under way or ended."""
    if reply.content_type in (_EVENTS, _LINES):
        outputs, error = _collected(reply)
        return Raw(b"[" + b",".join(map(bytes, outputs)) + b"]"), error
    said = _answers.decode(reply.body)
    error = said.error
    if isinstance(said.detail, list) and said.detail:
        error = str(said.detail[0].get("msg", ""))
    elif isinstance(said.detail, str):
        error = said.detail
    return said.output if bytes(said.output) else UNSET, error


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else rfc3339(at_s)


def mark(ask: Ask, job: Job) -> bytes:
    """A stream of events begins with `start` and ends with `completed`."""
    if not job.has_ended:
        return b"event: start\ndata: " + _encode({"id": job.id, "status": "processing"}) + b"\n\n"
    return b"event: completed\ndata: " + state(ask, job).body + b"\n\n"


# The other way round

WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write one item. Raises BadInput: a prediction has no more than one."""
    if len(items) != 1:
        raise BadInput(where="items", expected="one, for a prediction", found=len(items))
    headers = {"content-type": JSON, _MODEL: model.name}
    return Ask("predict", model.name, "", _encode({"input": items[0]}), headers)


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The output, which is a list of its items where the model streams. Raises BadOutput."""
    try:
        answered = msgspec.json.decode(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answered = None
    if isinstance(answered, dict) and answered.keys() >= {"output", "status"}:
        return [_read_output(model, answered["output"])]
    if isinstance(answered, dict) and answered.keys() >= {"error", "status"}:
        raise BadOutput(f"the prediction has {answered['status']}: {answered['error']}")
    if model.is_stream:
        return [_read_output(model, _read_lines(reply))]
    raise BadOutput(expected="a prediction", found=repr(reply.body[:80]))


def _read_output(model: Description, output: Any) -> Any:
    """An output as other protocols write it: files are base64."""
    if model.is_stream:
        return [from_urls(model.output_schema, item) for item in output]
    return from_urls(model.output_schema, output)


def _read_lines(reply: Reply) -> list[Any]:
    """A stream as the worker writes it."""
    try:
        outputs, error = _collected(Reply(200, reply.body, _LINES))
        items = [msgspec.json.decode(output) for output in outputs]
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise BadOutput(expected="JSON of the answers", found=repr(reply.body[:80])) from e
    if error is not None:
        raise BadOutput(f"the stream ended with an error: {error}")
    return items


# What the gateway knows


def answer(ask: Ask, facts: Facts) -> Reply:
    """The health check: always 200, the state is in the body."""
    status, setup = "STARTING", "starting"
    if facts.is_server_ready:
        status, setup = "READY", "succeeded"
    if facts.failures and facts.failures.keys() == facts.descriptions.keys():
        status, setup = "SETUP_FAILED", "failed"
    logs = "\n".join(facts.failures.values())
    body = {
        "status": status,
        "setup": {"status": setup, "logs": logs},
        "version": {"coglet": f"headway {facts.server_version}"},
    }
    return Reply(200, _encode(body))
