"""What a protocol is: a pure codec between a dialect's bytes and calls, replies and errors.

A protocol is a module of this folder that satisfies `Codec`. It knows nothing of sockets, imports
neither numpy nor protobuf at its top, and runs in two places: `decode`, `encode` and `chunk` where
the model runs, `answer` and `render` in the gateway too. Its routes and the headers it needs are
literals.
"""

import logging
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from headway import errors
from headway.errors import HeadwayError
from headway.model.call import Call, Description, Order, Result
from headway.model.media import Part
from headway.protocols._errors import (
    headers_of,
    public_message,
    row_error,
    status_of,
)
from headway.protocols._facts import (
    UNLOADED,
    Facts,
    Plan,
    Stats,
    Tuning,
)
from headway.protocols._messages import (
    EVENTS,
    FORM,
    JSON,
    Ask,
    Job,
    Reply,
    Route,
    Terms,
    check_media,
    is_json,
    media_of,
    rfc3339,
)

__all__ = [
    "EVENTS",
    "FORM",
    "JSON",
    "UNLOADED",
    "Ask",
    "Asking",
    "Choosing",
    "Codec",
    "Deviating",
    "Ending",
    "Facts",
    "Heading",
    "Job",
    "Ordering",
    "Plan",
    "Queueing",
    "Reply",
    "Route",
    "Selecting",
    "Stats",
    "Targeting",
    "Terms",
    "Tuning",
    "Wire",
    "check_media",
    "chunk_last",
    "ending",
    "headers_of",
    "is_json",
    "media_of",
    "path_of",
    "public_message",
    "rendered",
    "rfc3339",
    "row_error",
    "serves",
    "status_of",
    "stream_headers",
]

log = logging.getLogger(__name__)
_HOLE = re.compile(r"\{(\w+)\}")


class Wire(Protocol):
    """The design's one wire table for one model, as codecs see it (`headway.model.wire`)."""

    description: Description
    max_rows: int
    """Most rows of one request: held by the wire; a codec asks to refuse one before it is read."""
    notes: dict[Hashable, Any]
    """What codecs have made of the description and want to find again, by keys of their own; few."""

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

    def write_values(self, result: Result) -> list[Any]:
        """What JSON is written of, one a row; NaN and infinities are still there."""
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

    def write_texts(self, result: Result) -> tuple[bytes, ...] | None:
        """The elements of each output, in order, as JSON without brackets, where a whole batch's are written at once.

        None elsewhere.
        """
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


class Targeting(Protocol):
    """What a protocol module has besides, if a route of it `names_in_body`.

    Here, `Ask.headers` has the names of all models under ":models", with a space between them.
    """

    def target(self, ask: Ask) -> tuple[str, str]:
        """The model and the version that a body names; "" for what it leaves open. Called in the gateway.

        Raises:
            CallerError: nobody can tell.
        """
        ...


class Queueing(Protocol):
    """What a protocol module has besides, if a route of it has to do with jobs. All is called in the gateway."""

    def terms(self, ask: Ask) -> Terms:
        """What a request says of its job, its body being as it was sent. Raises CallerError."""
        ...

    def state(self, ask: Ask, job: Job) -> Reply:
        """What is answered to `ask` of a job that was taken, looked at or cancelled, and told to a webhook.

        The machinery gives the status 202 to a job that was just taken. Raises CallerError.
        """
        ...

    def conclude(self, ask: Ask, job: Job) -> Reply:
        """The answer of a job that has ended, from the worker's own (`job.reply`): given to who waits, and kept."""
        ...

    def mark(self, ask: Ask, job: Job) -> bytes:
        """What a streamed answer says of its job when it begins, and when it has ended."""
        ...


class Ending(Protocol):
    """What a protocol module has besides, if its streams say that they have ended."""

    def chunk_last(self, ask: Ask, call: Call, wire: Wire) -> bytes:
        """Write what follows the last item of a stream that has ended well; nothing, if empty."""
        ...


class Heading(Protocol):
    """What a protocol module has besides, if its streams have headers."""

    def stream_headers(self, ask: Ask, wire: Wire) -> Sequence[tuple[str, str]]:
        """The headers of a stream, but for its content type."""
        ...


class Ordering(Protocol):
    """What a protocol module has besides, if a route of it is an operator's order."""

    def order(self, ask: Ask, facts: Facts) -> Order:
        """What the operator wants. Raises CallerError."""
        ...

    def obeyed(self, ask: Ask, facts: Facts) -> Reply:
        """Say that it has been done; the facts are those of afterwards."""
        ...


class Choosing(Protocol):
    """What a protocol module has besides, if an operator may choose how it speaks (the setting `dialect`)."""

    CHOICES: Mapping[str, Sequence[str]]
    """By name what can be chosen, the default first."""


class Deviating(Protocol):
    """What a protocol module has besides, if its specification gives an error another status than the one table."""

    STATUSES: Mapping[type[HeadwayError], int]


class Selecting(Protocol):
    """What a protocol module has besides, if it has no words for most models."""

    def serves(self, model: Description) -> bool:
        """Whether it answers for a model."""
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
    """The path on which a question is asked: that of its op which names a version, if the question does.

    In a dialect whose paths name no version, the one without. What else a path names is "any".

    Raises:
        UnknownPath: there is none.
    """
    paths = [route.path for route in routes if route.op == ask.op]
    versioned = [path for path in paths if "{version}" in path]
    others = [path for path in paths if path not in versioned]
    wanted: list[str] = [*(versioned if ask.version else ()), *others]
    if not wanted:
        raise errors.UnknownPath
    held = {"model": quote(ask.model, safe=""), "version": quote(ask.version, safe="")}
    return _HOLE.sub(lambda hole: held.get(hole[1], "any"), wanted[0])


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


def chunk_last(codec: Codec, ask: Ask, call: Call, wire: Wire) -> bytes:
    """What follows the last item of a stream; nothing, where the codec is no `Ending`."""
    write = getattr(codec, "chunk_last", None)
    return bytes(write(ask, call, wire)) if write is not None else b""


def stream_headers(codec: Codec, ask: Ask, wire: Wire) -> Sequence[tuple[str, str]]:
    """The headers of a stream; none, where the codec is no `Heading`."""
    write = getattr(codec, "stream_headers", None)
    return tuple(write(ask, wire)) if write is not None else ()


def serves(codec: Codec, model: Description) -> bool:
    """Whether a codec has words for a model; all are served by one that is not `Selecting`."""
    says: Callable[[Description], bool] = getattr(codec, "serves", lambda model: True)
    return says(model)
