"""V2's generate extension over REST: text in, text out, whole or as server-sent events.

Specification: triton-inference-server/server, docs/protocol/extension_generate.md ("Generate"), and
kserve/open-inference-protocol (2025-05), specification/protocol/generate_rest.yaml, below "OIP". Not here: tensors,
which are `v2`'s.

`text_input` feeds the input of that name, or else the model's first one that takes text; parameters and other members
feed inputs by their names. Chosen where the texts differ or are silent: errors have V2's usual statuses (OIP: 422 and
424); what the model has no input for is refused, but for `stream` where it says what the path does; a stream's model is
asked on `generate_stream` alone; OIP's `details` are not given.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from headway.errors import BadInput, UnknownPath
from headway.model.call import Call, Description, Result
from headway.model.wording import told
from headway.protocols import Ask, Facts, Reply, Route, Wire, row_error
from headway.protocols._v2 import STATUSES, chunk_error, render, stream_type

__all__ = ["STATUSES", "chunk_error", "render", "stream_type"]

_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
ROUTES: Sequence[Route] = (
    Route("POST", _MODEL + "/generate", "generate"),
    Route("POST", _VERSION + "/generate", "generate"),
    Route("POST", _MODEL + "/generate_stream", "generate_stream"),
    Route("POST", _VERSION + "/generate_stream", "generate_stream"),
)
HEADERS: Sequence[str] = ()

_TEXT = "text_input"
_MOST = 256
"""Members of a request and of its parameters; no model has as many inputs."""


class _Answer(Struct, omit_defaults=True):
    model_name: str
    model_version: str
    text_output: Raw
    id: str | UnsetType = UNSET


_members = msgspec.json.Decoder(dict[str, Raw])
_ids = msgspec.json.Decoder(Annotated[str, Meta(max_length=256)])
_parameters = msgspec.json.Decoder(dict[str, str | int | float | bool | None])
_encode = msgspec.json.Encoder().encode


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a text and what goes with it as the inputs of one item. Raises BadInput."""
    model = wire.description
    if model.is_stream and ask.op == "generate":
        expected = "the path to end in generate_stream"
        raise BadInput(where=ask.op, expected=expected, found="a model that answers in a stream")
    try:
        members = _members.decode(ask.body)
        id_ = _ids.decode(members.pop("id")) if "id" in members else UNSET
        parameters = _parameters.decode(members.pop("parameters", b"{}"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"{ask.op} request: {told(e, ask.body)}") from e
    if len(members) + len(parameters) > _MOST:
        raise BadInput(where=ask.op, expected=f"at most {_MOST} members", found="more")
    item = _item(members, parameters, model)
    _check_stream(ask, item, model)
    call = wire.read_json(_encode(item))
    call.memo = id_
    return call


def _item(
    members: dict[str, Raw], parameters: Mapping[str, Any], model: Description
) -> dict[str, Any]:
    """The item that a request means, by the inputs' names. Raises BadInput."""
    if _TEXT not in members:
        raise BadInput(where=_TEXT, expected="a text", found="none")
    item: dict[str, Any] = {_text_name(model): members.pop(_TEXT)}
    for name, value in (*parameters.items(), *members.items()):
        if name in item:
            raise BadInput(
                where="request", expected="each input once", found=f"{name[:80]!r} again"
            )
        item[name] = value
    return item


def _text_name(model: Description) -> str:
    """Generate: "text_input"; the input that is its own, or the first that takes text. Raises BadInput."""
    if model.output_schema.get("type") == "string":
        names = model.input_schema.get("properties", {})
        if _TEXT in names:
            return _TEXT
        for name, schema in names.items():
            if schema.get("type") == "string" and "contentEncoding" not in schema:
                return str(name)
    raise BadInput(where="generate", expected="a model from text to text", found=repr(model.name))


def _check_stream(ask: Ask, item: dict[str, Any], model: Description) -> None:
    """Take a parameter `stream` that says what the path does. Raises BadInput."""
    if "stream" in item and "stream" not in model.input_schema.get("properties", {}):
        is_streaming = ask.op == "generate_stream"
        if _encode(item.pop("stream")) != _encode(is_streaming):
            expected = f"{str(is_streaming).lower()} on a path that ends in {ask.op}"
            raise BadInput(where="parameter 'stream'", expected=expected, found="another value")


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the text; on `generate_stream`, as its only event. Raises a row's error."""
    if result.errors:
        raise row_error(call, result)
    body = _answer(call, wire.write_json(result, is_single=True), wire)
    if ask.op == "generate_stream":
        return Reply(200, _event(body), stream_type(ask))
    return Reply(200, body)


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one piece of text as an event."""
    return _event(_answer(call, wire.write_item(value), wire))


def _answer(call: Call, text: bytes, wire: Wire) -> bytes:
    model = wire.description
    return _encode(_Answer(model.name, model.version, Raw(text), call.memo or UNSET))


def _event(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered by the gateway: no route is local."""
    raise UnknownPath
