"""TorchServe's inference API: a body of whatever form to a prediction of whatever form.

TorchServe, docs/inference_api.md at 62c4d6a. What a body means is a handler's choice there; here the model's signature
says it: JSON of the inputs, or of the only one; a form of them, or of one part `data`; else the bare bytes feed the
only input. A text and a file are answered bare, everything else as JSON. Not here: `/ping` and the management API,
which others own; gRPC; workflows.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import (
    BadInput,
    BadOutput,
    DeadlineError,
    HeadwayError,
    MethodNotAllowed,
    OutOfMemory,
    QueueFull,
    UnknownModel,
    UnknownPath,
    UnknownVersion,
)
from headway.model.call import EXPLAIN, Call, Description, Result
from headway.model.media import OCTETS, Part, read_text, takes
from headway.model.wording import told
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

ROUTES: Sequence[Route] = (
    Route("POST", "/predictions/{model}", "predict"),
    Route("POST", "/predictions/{model}/{version}", "predict"),
    Route("PUT", "/predictions/{model}", "predict"),  # as `curl -T` sends a file
    Route("PUT", "/predictions/{model}/{version}", "predict"),
    Route("POST", "/explanations/{model}", EXPLAIN),
    Route("POST", "/explanations/{model}/{version}", EXPLAIN),
    Route("PUT", "/explanations/{model}", EXPLAIN),
    Route("PUT", "/explanations/{model}/{version}", EXPLAIN),
)
HEADERS: Sequence[str] = ("content-type",)
STATUSES: Mapping[type[HeadwayError], int] = {QueueFull: 503, DeadlineError: 408, OutOfMemory: 507}

_TEXT = "text/plain; charset=utf-8"
_SAYS_NOTHING = frozenset({"", "application/x-www-form-urlencoded", OCTETS})
"""What curl and others send with bytes of any form."""
_MEDIA = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_WHOLE = ("data", "body")
"""Names of TorchServe's own for all that is sent."""
_TYPES: Mapping[int, str] = {
    400: "BadRequestException",
    401: "TokenAuthorizationException",
    403: "InvalidKeyException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    415: "BadRequestException",
    501: "NotImplementedException",
    503: "ServiceUnavailableException",
    507: "OutOfMemoryError",
}
_OWN_TYPES: Mapping[type[HeadwayError], str] = {
    UnknownModel: "ModelNotFoundException",
    UnknownVersion: "ModelVersionNotFoundException",
    MethodNotAllowed: "MethodNotAllowedException",
}

_encode = msgspec.json.Encoder().encode
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a body. Raises CallerError."""
    kind = ask.headers.get("content-type", "")
    media = media_of(kind)
    if media == FORM:
        return _read_form(read_parts(kind, ask.body), wire)
    if media and is_json(kind):
        return _read_json(ask.body, wire)
    if media not in _SAYS_NOTHING:
        return wire.read_media(kind, ask.body)
    if _names(wire.description, ask.body):
        return wire.read_json(ask.body)
    taken = wire.description.media_types
    if not taken:
        return _read_json(ask.body, wire)
    return wire.read_media(OCTETS if takes(OCTETS, taken) else taken[0], ask.body)


def _read_json(body: bytes | memoryview, wire: Wire) -> Call:
    """Read the inputs by name, or the only one, perhaps as `data`. Raises BadInput."""
    only = _only_input(wire.description)
    if only is None or _names(wire.description, body):
        return wire.read_json(body)
    fields = _fields(body)
    try:  # or what is behind a value would be read as more inputs
        value = bytes(msgspec.json.decode(body, type=msgspec.Raw))
    except _UNREADABLE as e:
        raise BadInput(told(e, body)) from e
    if len(fields) == 1 and (name := next(iter(fields))) in _WHOLE:
        value = bytes(fields[name])
    return wire.read_json(b"{" + _encode(only) + b":" + value + b"}")


def _read_form(parts: Sequence[tuple[str, Part]], wire: Wire) -> Call:
    """Read a part for each input, or for the only one under any name. Raises BadInput."""
    known = _inputs(wire.description)
    only = _only_input(wire.description)
    strangers = [name for name, _ in parts if name not in known]
    if only is not None and len(strangers) == 1 and not any(name == only for name, _ in parts):
        parts = [(name if name in known else only, part) for name, part in parts]
    return wire.read_form(parts)


def _names(model: Description, body: bytes | memoryview) -> bool:
    """Whether a body is a JSON object of the model's own inputs."""
    fields = _fields(body)
    return bool(fields) and fields.keys() <= _inputs(model).keys()


def _fields(body: bytes | memoryview) -> Mapping[str, msgspec.Raw]:
    """The fields of a JSON object; none where it is something else."""
    try:
        return _objects.decode(body)
    except _UNREADABLE:
        return {}


def _inputs(model: Description) -> Mapping[str, Any]:
    known: Mapping[str, Any] = model.input_schema.get("properties", {})
    return known


def _only_input(model: Description) -> str | None:
    """The input that is meant where none is named: the only one, or the only one that must be there."""
    known, needed = list(_inputs(model)), list(model.input_schema.get("required", ()))
    if len(known) == 1:
        return known[0]
    return needed[0] if len(needed) == 1 else None


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write a text or a file bare, everything else as JSON. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    body = wire.write_json(result, is_single=call.is_single)
    return _bare(wire.description, body) or Reply(200, body)


def _bare(model: Description, body: bytes) -> Reply | None:
    """The text or the bytes that a JSON string stands for; None where it is none."""
    if not body.startswith(b'"'):
        return None
    text: str = msgspec.json.decode(body)
    if model.output_schema.get("contentEncoding") == "base64":
        part = read_text(text, "answer")
        media = part.content_type or model.output_schema.get("contentMediaType", "")
        return Reply(200, part.content, media if _MEDIA.fullmatch(media) else OCTETS)
    return Reply(200, text.encode("utf-8", "replace"), _TEXT)


def stream_type(ask: Ask) -> str:
    """A stream is the chunks of its body; of what they are, nothing is said."""
    return _TEXT


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream: a text or a file as it is, else a line of JSON."""
    body = wire.write_item(value)
    bare = _bare(wire.description, body)
    return bare.body if bare is not None else body + b"\n"


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream, as a last line."""
    return b"\n" + render(ask, error).body + b"\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"code", "type", "message"}`."""
    status = status_of(error, STATUSES)
    kind = _OWN_TYPES.get(type(error)) or _TYPES.get(status)
    if kind is None:
        kind = "BadRequestException" if status < 500 else "InternalServerException"
    body = {"code": status, "type": kind, "message": public_message(error)}
    return Reply(status, _encode(body), JSON, headers_of(error))


# The other way round

WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write one item. Raises BadInput: a body has no more than one, and bare streams have no seams."""
    if len(items) != 1:
        raise BadInput(where="items", expected="one, for a prediction", found=len(items))
    if model.is_stream and model.output_schema.get("type") == "string":
        raise BadInput(
            where="model", expected="one that answers no texts", found="a stream of them"
        )
    return Ask("predict", model.name, "", _encode(items[0]), {"content-type": JSON})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answer. Raises BadOutput."""
    try:
        if model.is_stream:
            return [[_streamed(line) for line in reply.body.splitlines() if line]]
        if reply.content_type == _TEXT:
            return [reply.body.decode()]
        if reply.content_type != JSON:
            return [base64.b64encode(reply.body).decode()]
        return [msgspec.json.decode(reply.body)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise BadOutput(expected="JSON of the answer", found=repr(reply.body[:80])) from e


def _streamed(line: bytes) -> Any:
    """An item of a stream, unless it is the error that ends it."""
    value = msgspec.json.decode(line)
    if isinstance(value, dict) and value.keys() == {"code", "type", "message"}:
        raise BadOutput(f"the stream ended with an error: {value['message']}")
    return value


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered by the gateway: no route is local."""
    raise UnknownPath()
