"""The GraphQL schema of a model, made of its description. No protocol by itself; only workers import it.

Specification: GraphQL, September 2025, section 3 ("Type System"). What JSON Schema says and GraphQL can't
(`dict[str, float]`, unions of others than null) is a scalar `JSON`; integers that may have more than 32 bits are
`BigInt`, bytes `Base64`. A number in an answer may always be null, since JSON has no NaN. Names that GraphQL does not
allow are written with underscores. Not here: what a value must be beyond its type (ranges, lengths), which the wire
checks.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDefaultInput,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    get_named_type,
    is_leaf_type,
    specified_scalar_types,
    value_to_literal,
)

from headway.model.call import Description
from headway.model.drift import resolved
from headway.protocols._graphql_document import name_of

Json = Mapping[str, Any]

SAFE = 2**53 - 1
"""The largest integer that every reader of JSON holds (RFC 8259 section 6)."""
ABOUT = "_model"
_LEFT_OUT = "null is left out"
_LEAST, _MOST = -(2**31), 2**31 - 1
_DIGITS = re.compile(r"-?[0-9]{1,20}")
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")


def _read_integer(value: Any) -> int:
    """An integer, or its digits as text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**64:
        raise GraphQLError(f"BigInt: expected an integer of 64 bits, found {str(value)[:40]!r}")
    return value


def written_integer(value: Any) -> Any:
    """An integer as it is where every reader of JSON holds it, else its digits as text."""
    return value if type(value) is int and -SAFE <= value <= SAFE else str(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError(f"Base64: expected text, found {str(value)[:40]!r}")
    return value


BIG_INT = GraphQLScalarType(
    "BigInt",
    coerce_output_value=written_integer,
    coerce_input_value=_read_integer,
    description="An integer of 64 bits: a number, or as text where it is beyond 2^53 - 1; either is read.",
)
BASE64 = GraphQLScalarType(
    "Base64", coerce_input_value=_read_text, description="Bytes in base64 (RFC 4648 section 4)."
)
JSON_VALUE = GraphQLScalarType("JSON", description="Any JSON value.")


@dataclass(frozen=True)
class ModelSchema:
    """The schema of one model."""

    schema: GraphQLSchema
    field: str
    """The root field that asks it."""
    kind: str
    """The operation whose root has it: "query", "mutation" or "subscription"."""


def schema_of(model: Description) -> ModelSchema:
    """The schema of a model; made once."""
    return _schema(_Identical(model))


@dataclass(frozen=True, eq=False)
class _Identical:
    """A description that is equal to itself only, since it can't be hashed."""

    model: Description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identical) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@functools.lru_cache(maxsize=16)
def _schema(key: _Identical) -> ModelSchema:
    model = key.model
    names = _Names()
    kind = "subscription" if model.is_stream else "query" if model.is_idempotent else "mutation"
    field = name_of(model.name)
    about = _about(model, names)
    inputs = _Types(model.input_schema, names, is_input=True)
    outputs = _Types(model.output_schema, names, is_input=False)
    answer = outputs.of(model.output_schema, f"{_pascal(model.name)}Answer")
    asking = GraphQLField(
        answer.of_type
        if isinstance(answer, GraphQLNonNull)
        else answer,  # of one that fails there is none
        inputs.arguments(model.input_schema, _pascal(model.name)),
        resolve=_ask,
        description=model.doc or None,
    )
    asked = {field: asking}
    return ModelSchema(
        GraphQLSchema(
            GraphQLObjectType("Query", {**(asked if kind == "query" else {}), ABOUT: about}),
            GraphQLObjectType("Mutation", asked) if kind == "mutation" else None,
            GraphQLObjectType("Subscription", asked) if kind == "subscription" else None,
        ),
        field,
        kind,
    )


def _ask(root: Any, info: Any, **arguments: Any) -> Any:
    """What stands in the answer under one alias: the execution tells (`_graphql_execution`)."""
    given = _given(arguments, info.parent_type.fields[info.field_name].args)
    return info.context(info.path.key, given)


def _given(values: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are meant: null is left out where it stands for the wire's own default."""
    nulls = {place.out_name for place in places.values() if place.extensions.get(_LEFT_OUT)}
    return {name: value for name, value in values.items() if value is not None or name not in nulls}


def _about(model: Description, names: "_Names") -> GraphQLField:
    """The field that each schema has at the root of its queries, since some would have none."""
    told = {"name": model.name, "version": model.version, "doc": model.doc}
    text = GraphQLField(GraphQLNonNull(GraphQLString))
    kind = GraphQLObjectType(names.take("_Model"), dict.fromkeys(told, text))
    return GraphQLField(
        GraphQLNonNull(kind), resolve=lambda root, info: told, description="What is asked here."
    )


class _Names:
    """The names of a schema's types, each of one type."""

    def __init__(self) -> None:
        kept = ("Query", "Mutation", "Subscription", "BigInt", "Base64", "JSON")
        self._taken = {*kept, *specified_scalar_types}
        self._enums: dict[tuple[str, ...], GraphQLEnumType] = {}

    def take(self, wanted: str) -> str:
        """A name that no other type has."""
        name = stem = name_of(wanted)
        number = 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    def enum(self, wanted: str, values: Sequence[str], description: str | None) -> GraphQLEnumType:
        """The enum of a name and its values, which arguments and answers share."""
        key = (wanted, *values)
        if key not in self._enums:
            named = {value: value for value in values}
            self._enums[key] = GraphQLEnumType(self.take(wanted), named, description=description)
        return self._enums[key]


def names_of(texts: Iterable[str]) -> dict[str, str]:
    """GraphQL names of the properties of one object, each of one: by property."""
    found: dict[str, str] = {}
    for text in texts:
        name = stem = name_of(text)
        number = 2
        while name in found.values():
            name, number = f"{stem}_{number}", number + 1
        found[text] = name
    return found


def _pascal(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split("[^0-9A-Za-z]+", text))


class _Types:
    """The GraphQL types of one JSON Schema.

    Args:
        root: the schema that `$ref` looks into.
        names: of all types.
        is_input: of arguments; else of answers.
    """

    def __init__(self, root: Json, names: _Names, *, is_input: bool) -> None:
        self._root = root
        self._names = names
        self._is_input = is_input
        self._made: dict[str, Any] = {}

    def arguments(self, schema: Json, hint: str) -> dict[str, GraphQLArgument]:
        """The properties of an item, as arguments."""
        return cast(
            "dict[str, GraphQLArgument]",
            self._inputs(resolved(schema, self._root), hint, GraphQLArgument),
        )

    def of(self, schema: Json, hint: str) -> Any:
        """The type of a schema.

        Args:
            schema: or a part of it.
            hint: what an object without a title is called.
        """
        parts = schema.get("anyOf", [schema])
        others = [part for part in parts if part.get("type") != "null"]
        kind = self._bare(others[0], hint) if len(others) == 1 else JSON_VALUE
        whole = resolved(others[0], self._root) if len(others) == 1 else {}
        is_open = (
            not whole or "anyOf" in whole or (not self._is_input and whole.get("type") == "number")
        )
        return kind if is_open or len(others) < len(parts) else GraphQLNonNull(kind)

    def _bare(self, schema: Json, hint: str) -> Any:
        """The type, without whether it may be null."""
        reference = schema.get("$ref")
        if reference is None:
            return self._made_of(schema, hint)
        if reference not in self._made:
            whole = resolved(schema, self._root)
            title = whole.get("title") or reference.rpartition("/")[2]
            # A type that holds itself finds this while it is made.
            self._made[reference] = self._made_of(whole, title)
        return self._made[reference]

    def _made_of(self, schema: Json, hint: str) -> Any:
        if "enum" in schema:
            return self._enum(schema, hint)
        match schema.get("type"):
            case "boolean":
                return GraphQLBoolean
            case "integer":
                return _integer(schema.get("minimum"), schema.get("maximum"))
            case "number":
                return GraphQLFloat
            case "string":
                return BASE64 if schema.get("contentEncoding") == "base64" else GraphQLString
            case "array" if schema.get("items") and "prefixItems" not in schema:
                return GraphQLList(self.of(schema["items"], hint))
            case "object" if schema.get("properties") and not schema.get("additionalProperties"):
                return self._object(schema, hint)
        return JSON_VALUE

    def _enum(self, schema: Json, hint: str) -> Any:
        values = schema["enum"]
        if all(isinstance(v, str) for v in values):
            if all(_NAME.fullmatch(v) and v not in ("true", "false", "null") for v in values):
                return self._names.enum(hint, values, schema.get("description"))
            return GraphQLString
        if all(type(v) is int for v in values):
            return _integer(min(values), max(values))
        return JSON_VALUE

    def _object(self, schema: Json, hint: str) -> Any:
        said = schema.get("description")
        if self._is_input:
            fields: Callable[[], Any] = functools.partial(
                self._inputs, schema, hint, GraphQLInputField
            )
            kind = GraphQLInputObjectType(
                self._names.take(f"{hint}Input"),
                fields,
                description=said,
                out_type=lambda value: _given(value, kind.fields),
            )
            return kind
        return GraphQLObjectType(
            self._names.take(hint), functools.partial(self._outputs, schema, hint), description=said
        )

    def _inputs(self, schema: Json, hint: str, made: Any) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        found = {}
        for text, name in names_of(properties).items():
            part = properties[text]
            kind = self.of(part, f"{hint}{_pascal(text)}")
            default = _default(kind, part) if "default" in part else None
            is_left_out = (
                text not in required and default is None and isinstance(kind, GraphQLNonNull)
            )
            found[name] = made(
                kind.of_type if is_left_out else kind,
                description=part.get("description"),
                out_name=text,
                default=default,
                extensions={_LEFT_OUT: is_left_out},
            )
        return found

    def _outputs(self, schema: Json, hint: str) -> dict[str, GraphQLField]:
        properties = schema["properties"]
        required = schema.get("required", ())
        found = {}
        for text, name in names_of(properties).items():
            kind = self.of(properties[text], f"{hint}{_pascal(text)}")
            if text not in required and isinstance(kind, GraphQLNonNull):
                kind = kind.of_type
            resolve = None if text == name else functools.partial(_property, text)
            said = properties[text].get("description")
            found[name] = GraphQLField(
                kind, resolve=resolve, description=said, extensions={"name": text}
            )
        return found


def _property(text: str, value: Any, info: Any) -> Any:
    """A property that has another name in GraphQL."""
    return value.get(text)


def _integer(least: Any, most: Any) -> GraphQLScalarType:
    """GraphQL, section 3.5.1: "The Int scalar type represents a signed 32-bit numeric non-fractional value."."""
    is_small = least is not None and most is not None and least >= _LEAST and most <= _MOST
    return GraphQLInt if is_small else BIG_INT


def _default(kind: Any, schema: Json) -> GraphQLDefaultInput | None:
    """The default of an input; None where a schema can't show it, as infinity."""
    value = schema["default"]
    is_shown = is_leaf_type(get_named_type(kind)) and value_to_literal(value, kind) is not None
    return GraphQLDefaultInput(value) if is_shown else None
