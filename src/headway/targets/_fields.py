"""What a form asks and what an answer is, read from the schemas of a model: for targets that have widgets. No plugin.

References are followed and null is taken away; what no widget is for is JSON, as text.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from headway.model.call import Description
from headway.model.drift import resolved
from headway.targets import Shown

Kind = Literal[
    "text", "integer", "number", "switch", "choice", "image", "audio", "file", "table", "json"
]
View = Literal["stream", "shares", "text", "number", "image", "audio", "file", "table", "json"]
Schema = Mapping[str, Any]

_MOST: Final = 2**53 - 1
"""The largest whole number that a browser's slider or number can be limited by."""
_SCALARS: Final[Mapping[str, Kind]] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "switch",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One input, and the widget for it."""

    name: str
    kind: Kind
    is_required: bool
    is_nullable: bool = False
    default: Any = None
    help: str = ""
    choices: Sequence[Any] = ()
    least: float | None = None
    most: float | None = None
    media: str = ""
    """Content type of a file."""
    columns: Sequence[tuple[str, Kind]] = ()
    """Of a table: names, and what their cells are."""

    @property
    def label(self) -> str:
        """What stands above the widget."""
        is_needed = self.is_required and not self.is_nullable
        return self.name if is_needed else f"{self.name} (optional)"

    @property
    def must_say(self) -> bool:
        """Whether nothing is said as null, rather than left out."""
        return self.is_required and self.is_nullable

    @property
    def is_file(self) -> bool:
        """Whether what is given is a file."""
        return self.kind in ("image", "audio", "file")

    def start(self, example: Mapping[str, Any]) -> Any:
        """What the widget holds for an example, or at first: of JSON its text, of a number one of its type."""
        value = example.get(self.name, self.default)
        if self.kind == "json":
            return "" if value is None else json.dumps(value, ensure_ascii=False)
        if self.kind == "table":
            return value or [dict.fromkeys(name for name, _ in self.columns)]
        if self.kind == "number" and value is not None:
            return float(value)
        return ("" if self.kind == "text" else None) if value is None else value


def fields_of(model: Description) -> list[Field]:
    """The fields of a model's form, in its order."""
    root = model.input_schema
    required = set(root.get("required", ()))
    return [
        _field(name, schema, root, is_required=name in required)
        for name, schema in root.get("properties", {}).items()
    ]


def view_of(model: Description) -> tuple[View, str]:
    """How a model's answer looks best, and the content type of one that is a file."""
    if model.is_stream:
        return "stream", ""
    schema = _plain(model.output_schema, model.output_schema)
    if _has_shares(schema):
        return "shares", ""
    kind = _kind(schema, model.output_schema)
    if kind in ("text", "number", "image", "audio", "file", "table"):
        return kind, str(schema.get("contentMediaType", ""))
    return ("number" if kind == "integer" else "json"), ""


def starts_of(model: Description, fields: Sequence[Field]) -> list[dict[str, Any]]:
    """What the widgets hold for each example; for none, at first. Files are left out."""
    return [
        {field.name: field.start(example) for field in fields if not field.is_file}
        for example in model.examples or ({},)
    ]


def functions_of(models: Sequence[Shown], verb: str) -> dict[str, str]:
    """A name of Python's for each model's function, none twice."""
    found: dict[str, str] = {}
    for shown in models:
        name = f"{verb}_{re.sub('[^A-Za-z0-9]', '_', shown.description.name)}"
        while name in found.values():
            name += "_"
        found[shown.description.name] = name
    return found


def _field(name: str, schema: Schema, root: Schema, *, is_required: bool) -> Field:
    found = _plain(schema, root)
    kind = _kind(found, root)
    choices = tuple(found.get("enum", [found["const"]] if "const" in found else ()))
    is_nullable = "anyOf" in schema and {"type": "null"} in schema["anyOf"]
    if kind == "switch" and is_nullable:  # a switch can't be left alone
        kind, choices = "choice", (True, False)
    bounds = [
        found.get(a, found.get(b))
        for a, b in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    ]
    least, most = (n if n is not None and abs(n) <= _MOST else None for n in bounds)
    return Field(
        name,
        kind,
        is_required,
        is_nullable=is_nullable,
        default=schema.get("default"),
        help=str(found.get("description", "")),
        choices=choices,
        least=least,
        most=most,
        media=str(found.get("contentMediaType", "")),
        columns=tuple(_columns(found, root)) if kind == "table" else (),
    )


def _plain(schema: Schema, root: Schema) -> Schema:
    """The one schema of several that is not null's, if it is one."""
    found = resolved(schema, root)
    choices = [resolved(one, root) for one in found.get("anyOf", ())]
    rest = [one for one in choices if one.get("type") != "null"]
    if len(rest) != 1:
        return found
    return {**rest[0], **{key: value for key, value in found.items() if key != "anyOf"}}


def _kind(schema: Schema, root: Schema) -> Kind:
    if "enum" in schema or "const" in schema:
        return "choice"
    if schema.get("contentEncoding") == "base64":
        first = str(schema.get("contentMediaType", "")).partition("/")[0]
        return "image" if first == "image" else "audio" if first == "audio" else "file"
    if kind := _SCALARS.get(str(schema.get("type"))):
        return kind
    return "table" if list(_columns(schema, root)) else "json"


def _columns(schema: Schema, root: Schema) -> Iterator[tuple[str, Kind]]:
    """The columns of a list of flat objects; none of anything else."""
    item = _plain(schema.get("items") or {}, root) if schema.get("type") == "array" else {}
    columns = {
        name: _kind(_plain(one, root), root) for name, one in item.get("properties", {}).items()
    }
    if set(columns.values()) <= {"text", "integer", "number", "switch", "choice"}:
        yield from columns.items()


def _has_shares(schema: Schema) -> bool:
    """Whether it is a number for each of some labels."""
    inner = schema.get("additionalProperties")
    return isinstance(inner, Mapping) and inner.get("type") == "number"
