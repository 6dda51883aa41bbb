"""What a protocol is: a pure codec between a dialect's bytes and calls, replies and errors.

A protocol is a module of this folder that satisfies `Codec`. It knows nothing of sockets, imports
neither numpy nor protobuf at its top, and runs in two places: `decode`, `encode` and `chunk` where
the model runs, `answer` and `render` in the gateway too. Its routes and the headers it needs are
literals.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import Struct

from headway import errors
from headway.errors import HeadwayError
from headway.model.call import Call, Description, Result
from headway.model.media import Part, takes

log = logging.getLogger(__name__)

JSON = "application/json"
FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a protocol's route table.

    `path` is a template: a segment `{model}` or `{version}` takes one path segment, percent-decoded
    once and checked by us; where a literal segment and a template fit, the literal wins. `op` names
    what is asked; `is_local` ops are answered in the gateway by `Codec.answer`, all others travel
    to a worker. `needs_probe` asks for a real round trip to the workers first (readiness). `has_media`
    says that a body is JSON or of one of the model's media types, so that others are refused by their head.
    """

    method: str
    path: str
    op: str
    is_local: bool = False
    needs_probe: bool = False
    has_media: bool = False
    is_socket: bool = False
    """A WebSocket: the model takes a stream of items, and the query holds its other inputs."""


class Ask(Struct):
    """One request as a codec sees it."""

    op: str
    model: str
    version: str
    """As asked for in the path; "" where the path names none."""
    body: bytes | memoryview
    headers: Mapping[str, str]
    """Lower-case names; only those that the codec, or the predictor's Context, declares."""
    query: str = ""
    request_id: str = ""


class Reply(Struct):
    """One answer as bytes."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """What one model has done since the server started; times in seconds."""

    inferences: int = 0
    """Rows answered."""
    executions: int = 0
    """Model calls."""
    successes: int = 0
    failures: int = 0
    success_s: float = 0.0
    fail_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    last_inference_ms: int = 0
    """Milliseconds since the epoch."""
    cache_hits: int = 0
    """Requests that another one's answer answered: a kept one, or that of an equal one under way."""
    cache_misses: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gateway knows when it answers by itself."""

    descriptions: Mapping[str, Mapping[str, Description]]
    """By model name, then version; the last version is the one that is asked by default."""
    ready: Mapping[str, bool]
    """By model name; a real round trip for routes that need a probe."""
    is_server_ready: bool
    stats: Mapping[str, Stats]
    server_version: str
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a model has been given up, by name."""

    def description(self, model: str, version: str) -> Description:
        """What is known of a version of a model; of the default one for "".

        Raises:
            UnknownModel: there is no such model.
            UnknownVersion: the model has no such version.
            NotReady: no worker has told yet what the model looks like.
            GivenUp: and none ever will.
        """
        versions = self.descriptions.get(model)
        if versions is None:
            known = ", ".join(sorted(self.descriptions)) or "none"
            raise errors.UnknownModel(model=model, known=known)
        if version and version not in versions:
            known = ", ".join(versions) or "none"
            raise errors.UnknownVersion(model=model, version=version, known=known)
        if not versions and model in self.failures:
            raise errors.GivenUp(model=model, reason=self.failures[model])
        if not versions:
            raise errors.NotReady(model=model, reason="it is being loaded")
        return versions[version or list(versions)[-1]]

    def check_ready(self, model: str, version: str) -> None:
        """Raise NotReady (or GivenUp, UnknownModel, UnknownVersion) unless a model can answer now."""
        self.description(model, version)
        if model in self.failures:
            raise errors.GivenUp(model=model, reason=self.failures[model])
        if not self.ready.get(model, False):
            raise errors.NotReady(model=model, reason="no worker answers")


class Wire(Protocol):
    """The design's one wire table for one model, as codecs see it (`headway.model.wire`)."""

    description: Description
    max_rows: int
    """Most rows of one request: held by the wire; a codec asks to refuse one before it is read."""

    def read_json(self, body: bytes | memoryview) -> Call:
        """One JSON object is one item, an array is many. Raises BadInput with the row's index."""
        ...

    def read_media(self, content_type: str, body: bytes | memoryview) -> Call:
        """A bare image, sound, text or table feeds the only input. Raises UnsupportedMedia."""
        ...

    def read_form(self, parts: Sequence[tuple[str, Part]]) -> Call:
        """The parts of a form by the inputs' names are one item. Raises BadInput."""
        ...

    def read_query(self, query: str) -> Call:
        """The inputs beside a stream of items. Raises BadInput."""
        ...

    def read_blocks(self, blocks: Mapping[str, Any]) -> Call:
        """Named tensors (`Block`), rows in front. Raises BadInput: name, dtype, shape, range."""
        ...

    def split(self, result: Result, sizes: Sequence[int]) -> Sequence[Result]:
        """Cut an answer into parts of so many rows each, in order."""
        ...

    def write_json(self, result: Result, *, is_single: bool) -> bytes:
        """The answer as JSON: the value itself, or a list of them."""
        ...

    def write_media(self, accept: str, result: Result) -> tuple[str, bytes] | None:
        """Content type and body where the caller prefers one to JSON; None where JSON is right."""
        ...

    def write_item(self, value: Any) -> bytes:
        """One answer, or one item of a stream, as JSON."""
        ...

    def write_blocks(self, result: Result) -> list[tuple[str, Any]]:
        """The answer as named tensors (`Block`), rows in front."""
        ...


class Codec(Protocol):
    """The contract of a protocol module."""

    ROUTES: Sequence[Route]
    HEADERS: Sequence[str]
    """Lower-case names of the request headers that `decode`, `encode` and `answer` read."""

    def decode(self, ask: Ask, wire: Wire) -> Call:
        """Read a request. Raises CallerError and nothing else."""
        ...

    def encode(self, ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
        """Write the answer to a request. Raises a row's error that the dialect has no place for."""
        ...

    def chunk(self, ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
        """Write one item of a stream."""
        ...

    def chunk_error(self, ask: Ask, error: HeadwayError) -> bytes:
        """Write the error that ends a stream whose head has been sent."""
        ...

    def stream_type(self, ask: Ask) -> str:
        """The content type of a stream."""
        ...

    def answer(self, ask: Ask, facts: Facts) -> Reply:
        """Answer a local route. Raises CallerError or BusyError."""
        ...

    def render(self, ask: Ask, error: HeadwayError) -> Reply:
        """Write an error in the dialect's own form."""
        ...


class Asking(Protocol):
    """What a protocol module may have besides: the other way round, for checks, load and clients."""

    ROUTES: Sequence[Route]
    WAYS: Sequence[str]
    """How a question can be written; the first is the dialect's own."""

    def ask(self, model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
        """Write a question about items in their JSON form. Raises BadInput: the dialect can't say it."""
        ...

    def read(self, model: Description, reply: Reply, count: int) -> list[Any]:
        """The answers of a good reply to `count` items, in their JSON form; of a stream, a list of its items.

        Raises BadOutput.
        """
        ...


def path_of(routes: Sequence[Route], ask: Ask) -> str:
    """The path on which a question is asked: that of its op that names a version, where it has one.

    Raises:
        UnknownPath: there is none.
    """
    for route in routes:
        if route.op == ask.op and ("{version}" in route.path) == bool(ask.version):
            model, version = (quote(name, safe="") for name in (ask.model, ask.version))
            return route.path.replace("{model}", model).replace("{version}", version)
    raise errors.UnknownPath


_STATUS: Mapping[type[HeadwayError], int] = {
    errors.Unauthorized: 401,
    errors.UnknownModel: 404,
    errors.UnknownVersion: 404,
    errors.UnknownPath: 404,
    errors.MethodNotAllowed: 405,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.ForeignOrigin: 403,
    errors.Misdirected: 421,
    errors.NoHandshake: 426,
    errors.Cancelled: 499,
    errors.CallerError: 400,
    errors.QueueFull: 429,
    errors.BusyError: 503,
    errors.GivenUp: 503,
    errors.DeadlineError: 504,
    errors.WorkerError: 503,
    errors.HeadwayError: 500,
}


def rendered(codec: Codec, ask: Ask, error: HeadwayError) -> Reply:
    """An error in the dialect's own form; a plain 500, and a line in the log, where that fails."""
    try:
        reply = codec.render(ask, error)
        if isinstance(reply, Reply):
            return reply
        raise TypeError(f"render answered {type(reply).__name__}, not a Reply")
    except Exception:
        log.error("render_failed", exc_info=True, extra={"request_id": ask.request_id})
        return Reply(500, errors.InternalError().message.encode(), "text/plain; charset=utf-8")


def ending(codec: Codec, ask: Ask, error: HeadwayError) -> bytes:
    """The error that ends a stream; nothing, and a line in the log, where the codec fails at it."""
    try:
        return bytes(codec.chunk_error(ask, error))
    except Exception:
        log.error("render_failed", exc_info=True, extra={"request_id": ask.request_id})
        return b""


def is_json(content_type: str) -> bool:
    """Whether a content type names JSON; none at all does."""
    media = media_of(content_type)
    return not content_type or media == JSON or media.endswith("+json")


def media_of(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def check_media(content_type: str, model: Description) -> None:
    """Refuse a body that is neither JSON nor of the model's media types. Raises UnsupportedMedia."""
    media = media_of(content_type)
    if not is_json(content_type) and media != FORM and not takes(media, model.media_types):
        expected = ", ".join((JSON, FORM, *model.media_types))
        raise errors.UnsupportedMedia(what="content type", found=media, expected=expected)


def status_of(error: HeadwayError) -> int:
    """The HTTP status of an error: that of its nearest class in the one table."""
    return next(_STATUS[c] for c in type(error).__mro__ if c in _STATUS)


def headers_of(error: HeadwayError) -> tuple[tuple[str, str], ...]:
    """The headers that an error's status asks for (RFC 9110 sections 10.2.3, 10.2.1, 11.6.1 and 15.5.22)."""
    if isinstance(error, errors.BusyError):
        return (("retry-after", str(max(1, round(error.retry_after_s)))),)
    if isinstance(error, errors.MethodNotAllowed):
        return (("allow", str(error.fields.get("allow", ""))),)
    if isinstance(error, errors.NoHandshake):
        return (("upgrade", "websocket"), ("sec-websocket-version", "13"))
    if isinstance(error, errors.Unauthorized):
        return (("www-authenticate", "Bearer"),)
    return ()


_TOLD = (
    errors.CallerError,
    errors.BusyError,
    errors.DeadlineError,
    errors.OutOfMemory,
    errors.BadOutput,
    errors.ModelCrashed,
    errors.GivenUp,
    errors.WorkerLost,
    errors.ServerStopped,
)
"""Errors whose messages are our words; others may hold a path or the text of an exception."""


def public_message(error: HeadwayError) -> str:
    """What a caller may read of an error: its message, or a set phrase where that could leak."""
    if isinstance(error, _TOLD):
        text = error.message
    elif isinstance(error, errors.ModelError):
        text = errors.ModelFailed().message
    else:
        text = errors.InternalError().message
    return f"row {error.fields['row']}: {text}" if "row" in error.fields else text


def row_error(call: Call, result: Result) -> HeadwayError:
    """The error that stands for a request of which some rows failed: the first row's, naming it."""
    row = min(result.errors)
    error = result.errors[row]
    if call.is_single:
        return error
    told = type(error)(error.message, **{**error.fields, "row": row})
    told.__cause__ = error
    return told
