"""SageMaker's runtime API as its clients call it (`boto3.client("sagemaker-runtime", endpoint_url=...)`).

Specification: Amazon SageMaker AI Runtime API (2017-05-13): InvokeEndpoint, InvokeEndpointWithResponseStream, and the
AWS event stream encoding (application/vnd.amazon.eventstream). An endpoint is a model; what is sent to it is what its
container would be sent (`_invoking`). Signatures (SigV4) are not looked at: whoever needs a key gives Headway's.

Chosen: a target model or inference component must be the endpoint's own name, a target variant its version; an item
of a stream is a line of JSON, and a whole answer comes in parts of half a megabyte where a stream is asked for.
InvokeEndpointAsync reads its input from S3 and writes it there, which nobody here does: it is answered 501.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from headway import errors
from headway.errors import (
    BadOutput,
    HeadwayError,
    NotOffered,
    UnknownModel,
    UnknownPath,
    UnknownVersion,
)
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
from headway.protocols._invoking import ATTRIBUTES, LINES, attributes, read_request, write_answer

ROUTES: Sequence[Route] = (
    Route("POST", "/endpoints/{model}/invocations", "invoke"),
    Route("POST", "/endpoints/{model}/invocations-response-stream", "stream"),
    Route("POST", "/endpoints/{model}/async-invocations", "invoke_async"),
)
_OWN = "x-amzn-sagemaker-"
_NAMES = (f"{_OWN}target-model", f"{_OWN}inference-component")
_VARIANT = f"{_OWN}target-variant"
_ACCEPT = f"{_OWN}accept"
HEADERS: Sequence[str] = (
    *("content-type", "accept", _ACCEPT),
    *(ATTRIBUTES, _VARIANT, *_NAMES),
)
_EVENTS = "application/vnd.amazon.eventstream"
_PART_BYTES = 2**19
_encode = msgspec.json.Encoder().encode


# Requests


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a request as the endpoint's container would. Raises CallerError."""
    if ask.op == "invoke_async":
        raise NotOffered(what="InvokeEndpointAsync", reason="call InvokeEndpoint")
    model = wire.description
    for header in _NAMES:
        named = ask.headers.get(header, "")
        if named not in ("", model.name):
            raise UnknownModel(model=named[:80], known=model.name)
    variant = ask.headers.get(_VARIANT, "")
    if variant not in ("", model.version):
        raise UnknownVersion(model=model.name, version=variant[:80], known=model.version)
    return read_request(ask, wire, ask.headers.get(_ACCEPT if ask.op == "stream" else "accept", ""))


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer, in frames where a stream was asked for. Raises a row's error."""
    media, body = write_answer(call, result, wire)
    if ask.op != "stream":
        return Reply(200, body, media, _about(ask, wire))
    parts = [body[at : at + _PART_BYTES] for at in range(0, len(body), _PART_BYTES)]
    headers = (*_about(ask, wire), (f"{_OWN}content-type", media))
    return Reply(200, b"".join(map(_payload, parts)), _EVENTS, headers)


def _about(ask: Ask, wire: Wire) -> Sequence[tuple[str, str]]:
    variant = ("x-amzn-invoked-production-variant", wire.description.version)
    return (*_known(ask), variant, *attributes(ask))


def _known(ask: Ask) -> Sequence[tuple[str, str]]:
    return (("x-amzn-requestid", ask.request_id),) if ask.request_id else ()


def stream_type(ask: Ask) -> str:
    """Frames, or lines of JSON where a whole answer was asked for."""
    return _EVENTS if ask.op == "stream" else LINES[0]


def stream_headers(ask: Ask, wire: Wire) -> Sequence[tuple[str, str]]:
    """Who answers, and what the parts of a stream are, put together."""
    media = ((f"{_OWN}content-type", LINES[0]),) if ask.op == "stream" else ()
    return (*_about(ask, wire), *media)


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream."""
    line = wire.write_item(value) + b"\n"
    return _payload(line) if ask.op == "stream" else line


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream: `ModelStreamError`, or `InternalStreamFailure` for what is ours."""
    if ask.op != "stream":
        return render(ask, error).body + b"\n"
    is_ours = not isinstance(
        error, errors.ModelError | errors.CallerError | errors.DeadlineError | errors.WorkerError
    )
    is_late = isinstance(error, errors.DeadlineError)
    told = {"Message": public_message(error)}
    if not is_ours:
        told["ErrorCode"] = "ModelInvocationTimeExceeded" if is_late else "StreamBroken"
    headers = {
        ":message-type": "exception",
        ":exception-type": "InternalStreamFailure" if is_ours else "ModelStreamError",
        ":content-type": JSON,
    }
    return write_frame(headers, _encode(told))


def _payload(data: bytes) -> bytes:
    headers = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }
    return write_frame(headers, data)


# Frames


_TEXT_VALUE = 7
_PRELUDE = struct.Struct(">III")


def write_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of an event stream: "the prelude, the headers, the payload", each sum a CRC32 of what precedes it."""
    block = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT_VALUE, len(value))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    start = struct.pack(">II", _PRELUDE.size + len(block) + len(payload) + 4, len(block))
    message = start + struct.pack(">I", zlib.crc32(start)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def read_frames(body: bytes) -> Iterator[tuple[Mapping[str, str], bytes]]:
    """The messages of an event stream: headers and payload. Raises BadOutput: a sum is wrong, or one is cut off."""
    while body:
        if len(body) < _PRELUDE.size + 4:
            raise BadOutput(expected="whole frames", found=f"{len(body)} bytes more")
        size, block, crc = _PRELUDE.unpack_from(body)
        message, body = body[:size], body[size:]
        is_sound = crc == zlib.crc32(message[:8]) and len(message) == size >= block + 16
        if not is_sound or zlib.crc32(message[:-4]) != int.from_bytes(message[-4:], "big"):
            raise BadOutput(expected="frames with their sums", found="others")
        start = _PRELUDE.size + block
        yield dict(_texts(message[_PRELUDE.size : start])), message[start:-4]


def _texts(block: bytes) -> Iterator[tuple[str, str]]:
    while block:
        name, rest = block[1 : 1 + block[0]], block[1 + block[0] :]
        end = 3 + int.from_bytes(rest[1:3], "big")
        yield name.decode(), rest[3:end].decode()
        block = rest[end:]


# Errors


STATUSES: Mapping[type[HeadwayError], int] = {
    errors.UnknownModel: 400,
    errors.UnknownVersion: 400,
    errors.NotReady: 429,
    **dict.fromkeys(
        (
            *(errors.CallerError, errors.UnsupportedMedia, errors.NotAcceptable),
            *(errors.ModelError, errors.DeadlineError),
        ),
        424,
    ),
}
"""InvokeEndpoint, "Errors": what a container would have answered is a ModelError, with its status inside."""
_TYPES: Mapping[int, str] = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "UnknownOperationException",
    405: "UnknownOperationException",
    424: "ModelError",
    429: "ThrottlingException",
    500: "InternalFailure",
    501: "UnknownOperationException",
    503: "ServiceUnavailable",
}


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as JSON, with its type as a header."""
    status = status_of(error, STATUSES)
    name = _TYPES.get(status, "ValidationError")
    if isinstance(error, errors.NotReady):
        name = "ModelNotReadyException"
    message = public_message(error)
    told: dict[str, Any] = {"Message": message}
    if status == 424:
        told = {
            "Message": f"Received {status_of(error)} from the model: {message}",
            "OriginalStatusCode": status_of(error),
            "OriginalMessage": message,
            "LogStreamArn": "",
        }
    headers = (*headers_of(error), *_known(ask), ("x-amzn-errortype", name))
    return Reply(status, _encode(told), JSON, headers)


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered by the gateway: no route is local."""
    raise UnknownPath()


# The other way round


WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write items as an array."""
    op = "stream" if model.is_stream else "invoke"
    return Ask(op, model.name, "", _encode(list(items)), {"content-type": JSON})


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    try:
        if model.is_stream:
            return [[_streamed(*frame) for frame in read_frames(reply.body)]]
        return msgspec.json.decode(reply.body, type=list[Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise BadOutput(expected="JSON of the answers", found=repr(reply.body[:80])) from e


def _streamed(headers: Mapping[str, str], payload: bytes) -> Any:
    """An item of a stream, unless it is the error that ends it."""
    value = msgspec.json.decode(payload)
    if headers.get(":message-type") == "exception":
        raise BadOutput(f"the stream ended with an error: {value['Message']}")
    return value
