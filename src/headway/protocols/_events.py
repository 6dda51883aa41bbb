"""CloudEvents over HTTP around a JSON protocol. Not a protocol by itself.

Specification: cloudevents/spec (1.0.2), cloudevents/bindings/http-protocol-binding.md ("HTTP") and
cloudevents/formats/json-format.md ("JSON"). An event in gets an event out, in the mode that it came in. A codec names
`HEADERS` among its own, opens what it is asked, keeps the event, and closes its good answers; its errors stay as they
are. Not here: batches of events, and extensions, which an answer does not carry over.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from headway.errors import BadInput, UnsupportedMedia
from headway.model.wording import told
from headway.protocols import JSON, Ask, Reply, is_json, media_of

HEADERS: Sequence[str] = ("content-type", "ce-specversion", "ce-id", "ce-source", "ce-type")
STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_VERSION = "1.0"


class Event(Struct, frozen=True):
    """An event that asks."""

    is_structured: bool


class _Envelope(Struct):
    specversion: str
    id: str
    source: str
    type: str
    datacontenttype: str = JSON
    data: Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET


class _Answer(Struct):
    id: str
    source: str
    type: str
    data: Raw
    specversion: str = _VERSION
    datacontenttype: str = JSON


_envelopes = msgspec.json.Decoder(_Envelope)


def opened(ask: Ask) -> tuple[Ask, Event | None]:
    """What an event asks, as if it had been asked without one; None where there is none.

    Raises:
        BadInput: it is no whole event of version 1.0.
        UnsupportedMedia: it is a batch of events.
    """
    media = media_of(ask.headers.get("content-type", ""))
    if media == STRUCTURED:
        return _unpacked(ask), Event(is_structured=True)
    if media == _BATCH:
        raise UnsupportedMedia(what="content type", found=media, expected=f"{STRUCTURED}, {JSON}")
    if "ce-specversion" not in ask.headers:
        return ask, None
    # HTTP, 3.1.3: each attribute but datacontenttype is a header of its own, with `ce-` before its name.
    given = {name: ask.headers.get(f"ce-{name}", "") for name in ("id", "source", "type")}
    _check(ask.headers["ce-specversion"], **given)
    return ask, Event(is_structured=False)


def closed(event: Event | None, reply: Reply, ask: Ask, *, source: str, type_: str) -> Reply:
    """A good answer as an event, if an event asked; its id is the request's."""
    if event is None:
        return reply
    if event.is_structured:
        answer = _Answer(ask.request_id, source, type_, Raw(reply.body))
        return Reply(reply.status, msgspec.json.encode(answer), STRUCTURED, reply.headers)
    # HTTP, 3.1.3.2: a quotation mark and a percent sign are percent-encoded in a header.
    id = ask.request_id.replace("%", "%25").replace('"', "%22")
    attributes = (
        ("ce-specversion", _VERSION),
        ("ce-id", id),
        ("ce-source", source),
        ("ce-type", type_),
    )
    return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, *attributes))


def _unpacked(ask: Ask) -> Ask:
    try:
        envelope = _envelopes.decode(ask.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"event: {told(e, ask.body)}") from e
    _check(envelope.specversion, id=envelope.id, source=envelope.source, type=envelope.type)
    data = envelope.data if envelope.data_base64 is UNSET else envelope.data_base64
    if data is UNSET or UNSET not in (envelope.data, envelope.data_base64):
        raise BadInput(where="event", expected="data, or data_base64", found="none or both")
    body = bytes(data)
    # JSON, 3.1.1: data of another type than JSON is a string that holds it.
    if envelope.data_base64 is UNSET and not is_json(envelope.datacontenttype):
        try:
            body = msgspec.json.decode(body, type=str).encode()
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise BadInput(f"event: data: {told(e, body)}") from e
    headers = {**ask.headers, "content-type": envelope.datacontenttype}
    return msgspec.structs.replace(ask, body=body, headers=headers)


def _check(specversion: str, **attributes: str) -> None:
    if specversion != _VERSION:
        raise BadInput(where="event: specversion", expected=_VERSION, found=specversion[:40])
    for name, value in attributes.items():
        if not value:
            raise BadInput(
                where=f"event: {name}", expected="a text that is not empty", found="none"
            )
