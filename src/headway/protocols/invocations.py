"""`/invocations` and `/ping`, which MLflow's scoring server and SageMaker's containers share: one file owns the paths.

Specification: MLflow 3, "Deployment > MLflow Model Serving", below "MLflow"; Amazon SageMaker AI Developer Guide, "How
Containers Serve Requests", "How Containers Provide ..." and "Create an endpoint > Multi-model", below "SageMaker".
What a body means is `_invoking`'s; which of both is spoken can be chosen, as `--dialect invocations=mlflow`.

Errors are MLflow's, since SageMaker has no form for them: it passes a container's on as they are.

Chosen where the texts differ or we deviate on purpose: an error of the model is 500 (MLflow: 400), and no trace is
ever sent; `/ping` and `/health` tell their state in JSON (MLflow: an empty line, SageMaker: nothing; both look at the
status alone), which is 503 while not ready (MLflow: 404); NaN and infinity are null in an answer (MLflow: no JSON).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway import errors
from headway.errors import BadInput, BadOutput, HeadwayError, NotReady, UnsupportedMedia
from headway.model.call import Call, Description, Result
from headway.protocols import (
    JSON,
    Ask,
    Facts,
    Reply,
    Route,
    Wire,
    headers_of,
    public_message,
    status_of,
)
from headway.protocols._invoking import (
    ATTRIBUTES,
    EVENTS,
    LINES,
    attributes,
    read_request,
    write_answer,
)

ROUTES: Sequence[Route] = (
    Route("POST", "/models/{model}/invoke", "invoke"),
    Route("POST", "/invocations", "invoke"),
    Route("GET", "/ping", "ready", is_local=True, needs_probe=True),
    Route("GET", "/health", "ready", is_local=True, needs_probe=True),
    Route("GET", "/version", "version", is_local=True),
    Route("GET", "/execution-parameters", "parameters", is_local=True),
)
HEADERS: Sequence[str] = ("content-type", "accept", ATTRIBUTES)
CHOICES: Mapping[str, Sequence[str]] = {"invocations": ("both", "mlflow", "sagemaker")}

_encode = msgspec.json.Encoder().encode
_TEXT = "text/plain; charset=utf-8"
# SageMaker: "MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB".
_PARAMETERS = {"MaxConcurrentTransforms": 16, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a request by its content type. Raises CallerError."""
    return read_request(ask, wire, ask.headers.get("accept", ""))


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer in the content type that is accepted. Raises a row's error."""
    media, body = write_answer(call, result, wire)
    return Reply(200, body, media, attributes(ask))


def stream_type(ask: Ask) -> str:
    """JSON Lines, or server-sent events where the Accept header names them."""
    return f"{EVENTS}; charset=utf-8" if _is_events(ask) else LINES[0]


def stream_headers(ask: Ask, wire: Wire) -> Sequence[tuple[str, str]]:
    """The caller's own attributes, given back."""
    return attributes(ask)


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    return _framed(ask, wire.write_item(value))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    return (b"event: error\n" if _is_events(ask) else b"") + _framed(ask, _encode(_told(error)))


def _is_events(ask: Ask) -> bool:
    return EVENTS in ask.headers.get("accept", "")


def _framed(ask: Ask, item: bytes) -> bytes:
    return b"data: " + item + b"\n\n" if _is_events(ask) else item + b"\n"


# What the gateway knows


def answer(ask: Ask, facts: Facts) -> Reply:
    """Readiness, the version, and how SageMaker's batch transform may ask. Raises NotReady."""
    if ask.op == "version":
        return Reply(200, facts.server_version.encode(), _TEXT)
    if ask.op == "parameters":
        return Reply(200, _encode(_PARAMETERS))
    if not facts.is_server_ready:
        raise NotReady("the server is not ready: not every model answers")
    return Reply(200, b'{"status":"Healthy"}')


# Errors


_CODES: Mapping[type[HeadwayError], str] = {
    errors.Unauthorized: "UNAUTHENTICATED",
    errors.UnknownModel: "RESOURCE_DOES_NOT_EXIST",
    errors.UnknownVersion: "RESOURCE_DOES_NOT_EXIST",
    errors.UnknownPath: "ENDPOINT_NOT_FOUND",
    errors.ForeignOrigin: "PERMISSION_DENIED",
    errors.Misdirected: "PERMISSION_DENIED",
    errors.Cancelled: "CANCELLED",
    errors.Rejected: "INVALID_PARAMETER_VALUE",
    errors.CallerError: "BAD_REQUEST",
    errors.QueueFull: "REQUEST_LIMIT_EXCEEDED",
    errors.BusyError: "TEMPORARILY_UNAVAILABLE",
    errors.GivenUp: "TEMPORARILY_UNAVAILABLE",
    errors.DeadlineError: "DEADLINE_EXCEEDED",
    errors.WorkerError: "TEMPORARILY_UNAVAILABLE",
    errors.HeadwayError: "INTERNAL_ERROR",
}
"""MLflow's own names of errors (its ErrorCode), by the nearest class."""


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"error_code", "message"}`; one of a content type as plain text, as MLflow does."""
    status, headers = status_of(error), (*headers_of(error), *attributes(ask))
    if status == 415 and isinstance(error, UnsupportedMedia):
        return Reply(status, public_message(error).encode(), _TEXT, headers)
    return Reply(status, _encode(_told(error)), JSON, headers)


def _told(error: HeadwayError) -> Mapping[str, str]:
    code = next(_CODES[c] for c in type(error).__mro__ if c in _CODES)
    return {"error_code": code, "message": public_message(error)}


# The other way round


WAYS: Sequence[str] = ("json", "split", "records", "instances", "inputs")
"""Bare rows, and MLflow's four forms."""


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items as rows, or as the columns of a frame. Raises BadInput: some leave out what others have."""
    body: Any = list(items)
    if way in ("split", "inputs"):
        body = _frame(items) if way == "split" else _columns(items)
    if way != "json":
        body = {f"dataframe_{way}" if way in ("split", "records") else way: body}
    return Ask("invoke", model.name, "", _encode(body), {"content-type": JSON})


def _names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(items[0]) if items else []
    if any(item.keys() != set(names) for item in items):
        raise BadInput("some items leave an input out, so each needs a request")
    return names


def _frame(items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    names = _names(items)
    return {"columns": names, "data": [[item[name] for name in names] for item in items]}


def _columns(items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {name: [item[name] for item in items] for name in _names(items)}


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    try:
        if model.is_stream:
            return [[_streamed(line) for line in reply.body.splitlines()]]
        told = msgspec.json.decode(reply.body)
        answers: list[Any] = told if isinstance(told, list) else told["predictions"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError) as e:
        raise BadOutput(expected="JSON of the answers", found=repr(reply.body[:80])) from e
    if not isinstance(answers, list):
        raise BadOutput(expected="a list of the answers", found=type(answers).__name__)
    return answers


def _streamed(line: bytes) -> Any:
    """An item of a stream, unless it is the error that ends it."""
    value = msgspec.json.decode(line)
    if isinstance(value, dict) and value.keys() == {"error_code", "message"}:
        raise BadOutput(f"the stream ended with an error: {value['message']}")
    return value
