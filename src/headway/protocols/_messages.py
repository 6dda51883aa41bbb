"""What goes into a codec and what comes out of it: routes, questions, replies, jobs. Not a protocol by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from headway import errors
from headway.model.call import Description
from headway.model.media import takes

JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = frozenset({"start", "output", "completed"})
"""What may be told of a job: that it runs, that there is more output, that it has ended."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a protocol's route table.

    `path` is a template: a segment `{model}` or `{version}` takes one path segment, percent-decoded
    once and checked by us, `{model}:predict` one that ends so; where a literal segment and a template
    fit, the literal wins. What another hole takes, as `{label}`, stands in `Ask.headers` as ":label".
    A path without `{model}` asks the only model, or the one that the setting `default_model` names.
    gRPC's methods have the method "GRPC", their whole name as the path and no holes; HTTP/1.1 does not find them.
    `op` names what is asked; `is_local` ops are answered in the gateway by `Codec.answer`, all others
    travel to a worker. `needs_probe` asks for a real round trip to the workers first (readiness).
    `has_media` says that a body is JSON or of one of the model's media types, so that others are refused
    by their head.
    """

    method: str
    path: str
    op: str
    is_local: bool = False
    needs_probe: bool = False
    has_media: bool = False
    is_bidi: bool = False
    """gRPC: a call of many messages, each a question of its own, and the answers to them in their order."""
    is_watch: bool = False
    """gRPC: asked again and again, and answered each time that the answer differs. Local."""
    is_socket: bool = False
    """A WebSocket: the model takes a stream of items, and the query holds its other inputs."""
    names_in_body: bool = False
    """The body names the model: `Targeting.target` reads it in the gateway. A local op gets the body, too."""
    model_header: str = ""
    """A request header that may name the model where the path does not."""
    takes_body: bool = False
    """A local op, or an operator's, that reads the body."""
    is_admin: bool = False
    """An operator's: answered by the admin API, and where callers ask only if the setting `public_admin` says so. One
    that is not local is an order: `Ordering` reads it, and answers when it has been carried out."""
    job: Literal["", "asked", "always", "status", "result", "cancel"] = ""
    """What it has to do with jobs (`Queueing`). "asked": its caller may want it done as one (`Prefer: respond-async`);
    "always": it may be one that somebody waits for, too. The others are asked about the job of the hole `{id}`."""


class Ask(Struct):
    """One request as a codec sees it."""

    op: str
    model: str
    version: str
    """As asked for in the path; "" where the path names none."""
    body: bytes | memoryview
    headers: Mapping[str, str]
    """Lower-case names; only those that the codec, or the predictor's Context, declares. A name with a colon in
    front is no header: what a hole of the path holds, or what the setting `dialect` chose of the codec's `CHOICES`."""
    query: str = ""
    request_id: str = ""


class Reply(Struct):
    """One answer as bytes."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


class Terms(Struct):
    """What a request says of the job that it is, or may become."""

    id: str = ""
    """That its caller chose; "" for none. The same one again is the same job."""
    webhook: str = ""
    """The URL that its caller wants told; "" for none."""
    events: frozenset[str] = EVENTS
    """Of what."""
    is_streamed: bool = False
    """Its caller takes the answer piece by piece, as it comes."""


class Job(Struct):
    """A job, as codecs see it. Times are in seconds since the epoch."""

    id: str
    model: str
    created_s: float
    status: Literal["queued", "running", "succeeded", "failed", "canceled"] = "queued"
    started_s: float | None = None
    ended_s: float | None = None
    reply: Reply | None = None
    """Its answer, as `conclude` wrote it once the job has ended; of a stream until then, what has come."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("queued", "running")


def rfc3339(at_s: float) -> str:
    """A time, in seconds since the epoch, as RFC 3339 writes it: in UTC, with microseconds."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds")


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
