"""The types of a server's models, from their JSON Schemas: what the writers of typed clients write down. Pure.

A shape is one of: a name of a scalar, choices, a list, a map, a reference to a named record, or any of several.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headway.client.arguments import resolved

TAKEN: Final = frozenset({"close", "constructor", "model", "models", "ready", "schema", "stream"})
"""Names that a client's own methods have."""
TYPES: Final = frozenset({"AsyncClient", "FileInput", "HeadwayError"})
"""Names of types that stand in every client already, and that a model's might have."""
SCALARS: Final = frozenset({"string", "number", "integer", "boolean", "null", "any", "file"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """One plain value: a name of `SCALARS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list."""

    of: "Shape"
    is_array: bool = False
    """Of numbers, at the end: an array may be passed in its place."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """An object of any names."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Reference:
    """A record, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of any of these shapes."""

    shapes: tuple["Shape", ...]


Shape = Scalar | Choice | Listed | Mapped | Reference | OneOf


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a record, or an input of a model."""

    name: str
    shape: Shape
    is_required: bool
    doc: str = ""
    default: Any = None
    """What it is where it is left out, if that is known."""
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """An object with known names."""

    name: str
    parts: Sequence[Part]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """One model."""

    name: str
    method: str
    """Its name as an identifier."""
    doc: str
    inputs: Record
    answer: Shape
    is_stream: bool
    records: Sequence[Record]
    """All that its inputs and its answer refer to, in the order of their names."""


def read_models(described: Sequence[Mapping[str, Any]]) -> list[ModelShape]:
    """The shapes of some models, in the order of their names.

    Args:
        described: of each, what `GET /models/NAME` answers.
    """
    models = []
    taken = set(TAKEN)
    types = set(TYPES)
    for details in sorted(described, key=lambda d: str(d["name"])):
        method = identifier(str(details["name"]))
        while method in taken or f"{method}_batch" in taken:
            method += "_"
        taken |= {method, f"{method}_batch"}
        models.append(_read_model(details, method, types))
    return models


def _read_model(details: Mapping[str, Any], method: str, taken: set[str]) -> ModelShape:
    """One model's shapes; where another's types have their names, these get a number."""
    for turn in itertools.count(1):
        model = _Reader(details, method, method if turn == 1 else f"{method} {turn}").read()
        names = {model.inputs.name, *(record.name for record in model.records)}
        if not names & taken:
            break
    taken |= names
    return model


def identifier(name: str) -> str:
    """A name as an identifier: what is neither letter, digit nor underscore becomes an underscore."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return text if text[:1].isalpha() else f"model_{text}"


def type_name(*names: str) -> str:
    """A name of a type: `sentiment`, `input` become SentimentInput."""
    words = re.findall(r"[A-Za-z0-9]+", " ".join(names))
    text = "".join(word[0].upper() + word[1:] for word in words)
    return text if text[:1].isalpha() else f"Model{text}"


@dataclass
class _Reader:
    """Reads one model's shapes; records get names that begin with the model's."""

    details: Mapping[str, Any]
    method: str
    prefix: str
    """What the names of its types begin with."""
    records: dict[str, Record] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _schemas: dict[str, tuple[Mapping[str, Any], bool]] = field(default_factory=dict)
    _is_answer: bool = False

    def read(self) -> ModelShape:
        name = str(self.details["name"])
        schema = self.details["input_schema"]
        inputs = self._record(type_name(self.prefix, "input"), resolved(schema, schema), schema)
        self._names.clear()
        self._is_answer = True
        answer = self._answer(self.details["output_schema"])
        return ModelShape(
            name=name,
            method=self.method,
            doc=str(self.details.get("doc", "")),
            inputs=inputs,
            answer=answer,
            is_stream=bool(self.details.get("stream")),
            records=[self.records[key] for key in sorted(self.records)],
        )

    def _answer(self, schema: Mapping[str, Any]) -> Shape:
        if "properties" in schema:  # the outputs of a model file, which have no name of their own
            name = type_name(self.prefix, "output")
            self.records[name] = self._record(name, schema, schema)
            return Reference(name)
        return self._shape(schema, schema)

    def _record(self, name: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Record:
        required = schema.get("required", ())
        parts = [
            Part(
                name=key,
                shape=self._shape(part, root),
                is_required=self._is_answer or key in required,
                doc=str(part.get("description", "")),
                default=part.get("default"),
                has_default="default" in part,
            )
            for key, part in schema.get("properties", {}).items()
        ]
        return Record(name, parts, str(schema.get("description", "")))

    def _shape(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Shape:
        ref = schema.get("$ref", "")
        target = resolved(schema, root)
        if ref and "properties" in target:
            return Reference(self._named(ref, target, root))
        schema = target
        if "anyOf" in schema:
            found = [self._shape(part, root) for part in schema["anyOf"]]
            return OneOf(tuple(dict.fromkeys(found))) if len(set(found)) > 1 else found[0]
        choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if choices and all(isinstance(c, str | int | bool) for c in choices):
            return Choice(tuple(choices))
        return self._typed(schema, root)

    def _typed(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Shape:
        kind = schema.get("type")
        if kind == "array":
            of = self._shape(schema.get("items") or {}, root)
            numbers = of in (Scalar("number"), Scalar("integer"), Scalar("boolean"))
            return Listed(of, numbers or (isinstance(of, Listed) and of.is_array))
        if kind == "object":
            more = schema.get("additionalProperties")
            return Mapped(self._shape(more if isinstance(more, Mapping) else {}, root))
        if kind == "string" and schema.get("contentEncoding") == "base64":
            return Scalar("file")
        return Scalar(kind if kind in SCALARS else "any")

    def _named(self, ref: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        if ref in self._names:
            return self._names[ref]
        title = str(schema.get("title") or ref.rpartition("/")[2])
        name = type_name(self.prefix, title)
        # What may be left out when it is asked is there in an answer: then they are two records.
        known = (
            schema,
            self._is_answer and bool(schema.get("required") != list(schema["properties"])),
        )
        while self._schemas.get(name, known) != known or name == type_name(self.prefix, "input"):
            name += "Answer" if self._is_answer else "Part"
        self._names[ref] = name
        if name not in self.records:
            self._schemas[name] = known
            self.records[name] = Record(name, ())  # until it is read: a record may hold itself
            self.records[name] = self._record(name, schema, root)
        return name
