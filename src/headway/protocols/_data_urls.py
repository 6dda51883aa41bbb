"""Files in an answer as data URLs (RFC 2397), where its schema says that there are any. Not a protocol by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_DEFS = "#/$defs/"


def as_urls(schema: Mapping[str, Any], body: bytes) -> bytes:
    """Write the encoded files of an answer as data URLs.

    Args:
        schema: of the answer (JSON Schema); `contentMediaType` marks a file.
        body: the answer as JSON.
    """
    if not _has_files(schema):
        return body
    defs = schema.get("$defs", {})
    return msgspec.json.encode(_changed(schema, defs, msgspec.json.decode(body), _as_url))


def from_urls(schema: Mapping[str, Any], value: Any) -> Any:
    """The other way round: a decoded answer whose files are base64 again."""
    if not _has_files(schema):
        return value
    return _changed(schema, schema.get("$defs", {}), value, _from_url)


def _as_url(media: str, text: str) -> str:
    if text.startswith("data:"):  # with a name of its own, as `hw.File` is written
        return text
    return f"data:{media};base64,{text}"


def _from_url(media: str, text: str) -> str:
    return text.removeprefix(f"data:{media};base64,")


def _has_files(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return "contentMediaType" in schema or any(_has_files(value) for value in schema.values())
    return isinstance(schema, list | tuple) and any(_has_files(value) for value in schema)


def _changed(
    schema: Any, defs: Mapping[str, Any], value: Any, change: Callable[[str, str], str]
) -> Any:
    """A value of which this is the schema, with each file changed, of which the media type and the text are given."""
    schema = _resolved(schema, defs)
    media = schema.get("contentMediaType")
    if isinstance(value, str):
        texts = [_resolved(option, defs) for option in schema.get("anyOf", ())]
        texts = [option for option in texts if option.get("type") == "string"]
        if len(texts) == 1:  # of several nobody can tell which one it is
            media = texts[0].get("contentMediaType")
        return change(media, value) if media else value
    for option in schema.get("anyOf", ()):
        value = _changed(option, defs, value, change)
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        rest = schema.get("items") or {}
        return [
            _changed(first[i] if i < len(first) else rest, defs, v, change)
            for i, v in enumerate(value)
        ]
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties") or {}
        return {name: _changed(known.get(name, rest), defs, v, change) for name, v in value.items()}
    return value


def _resolved(schema: Any, defs: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(schema, Mapping) and str(schema.get("$ref", "")).startswith(_DEFS):
        name = schema["$ref"].removeprefix(_DEFS).replace("~1", "/").replace("~0", "~")
        schema = defs.get(name, {})
    return schema if isinstance(schema, Mapping) else {}
