"""GraphQL the other way round: items in their JSON form to a document, a response to answers. Not a protocol by itself.

Each item is an alias of the model's field, its inputs are variables. Items and answers have the names of JSON, the
document those of the schema (`_graphql_schema`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
)

from headway.errors import BadInput, BadOutput
from headway.model.call import Description
from headway.protocols import JSON, Ask, Reply
from headway.protocols._graphql_execution import MAX_ALIASES, MAX_DEPTH
from headway.protocols._graphql_schema import BIG_INT, ModelSchema, schema_of

# Requests


def write_ask(model: Description, items: Sequence[Mapping[str, Any]]) -> Ask:
    """Write a question about items. Raises BadInput: the dialect can't say it."""
    schema = schema_of(model)
    most = 1 if schema.kind != "query" else MAX_ALIASES
    if not 0 < len(items) <= most:
        raise BadInput(f"GraphQL takes 1 to {most} items of this model in a request")
    field = _field(schema)
    selection = _selection(field.type, 1)
    declared: list[str] = []
    asked: list[str] = []
    variables: dict[str, Any] = {}
    for i, item in enumerate(items):
        given = []
        for key, (kind, value) in _arguments(field, item).items():
            place = f"r{i}_{key}"
            declared.append(f"${place}: {kind}")
            given.append(f"{key}: ${place}")
            variables[place] = _renamed(value, kind)
        arguments = f"({', '.join(given)})" if given else ""
        asked.append(f"r{i}: {schema.field}{arguments}{selection}")
    head = f"{schema.kind}({', '.join(declared)})" if declared else schema.kind
    request = {"query": f"{head} {{ {' '.join(asked)} }}", "variables": variables}
    accept = "text/event-stream" if model.is_stream else "application/graphql-response+json"
    headers = {"content-type": JSON, "accept": accept}
    return Ask("graphql", model.name, "", msgspec.json.encode(request), headers)


def _field(schema: ModelSchema) -> GraphQLField:
    """The field that asks the model."""
    kinds = schema.schema
    roots = (kinds.query_type, kinds.mutation_type, kinds.subscription_type)
    field: GraphQLField = next(
        r.fields[schema.field] for r in roots if r and schema.field in r.fields
    )
    return field


def _arguments(field: GraphQLField, item: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The types and the values of an item's inputs, by the names of the schema."""
    known = {argument.out_name: (key, argument.type) for key, argument in field.args.items()}
    if unknown := item.keys() - known.keys():
        told = ", ".join(map(str, known))
        raise BadInput(f"there is no input named {min(unknown)!r}; known: {told}")
    return {known[text][0]: (known[text][1], value) for text, value in item.items()}


def _renamed(value: Any, kind: Any) -> Any:
    """A value with the names of the schema in its objects."""
    kind = get_nullable_type(kind)
    if isinstance(kind, GraphQLList) and isinstance(value, list):
        is_object = isinstance(get_named_type(kind), GraphQLInputObjectType)
        return [_renamed(item, kind.of_type) for item in value] if is_object else value
    if not isinstance(kind, GraphQLInputObjectType) or not isinstance(value, Mapping):
        return value
    known = {field.out_name: (key, field.type) for key, field in kind.fields.items()}
    return {
        known[text][0] if text in known else text: _renamed(part, known[text][1])
        if text in known
        else part
        for text, part in value.items()
    }


def _selection(kind: Any, depth: int) -> str:
    """All fields of a type, and of those in it."""
    named = get_named_type(kind)
    if not isinstance(named, GraphQLObjectType):
        return ""
    if depth >= MAX_DEPTH:
        raise BadInput(
            f"an answer with more than {MAX_DEPTH} objects in each other can't be asked for whole"
        )
    inner = " ".join(
        f"{key}{_selection(field.type, depth + 1)}" for key, field in named.fields.items()
    )
    return f" {{ {inner} }}"


# Responses


def read_reply(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers of a response. Raises BadOutput."""
    field = _field(schema_of(model))
    try:
        if model.is_stream:
            events = [
                e.partition(b"data: ")[2] for e in reply.body.split(b"\n\n") if b"data: " in e
            ]
            return [[_answers(field, event, 1)[0] for event in events]]
        return _answers(field, reply.body, count)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError) as e:
        found = f"{type(e).__name__}: {e} in {reply.body[:80]!r}"
        raise BadOutput(expected="a response of GraphQL", found=found) from e


def _answers(field: GraphQLField, body: bytes, count: int) -> list[Any]:
    response = msgspec.json.decode(body, type=dict[str, Any])
    if response.get("errors"):
        said = response["errors"][0]["message"]
        raise BadOutput(
            f"the stream ended with an error: {said}" if "data" not in response else said
        )
    return [_read(response["data"][f"r{i}"], field.type) for i in range(count)]


def _read(value: Any, kind: Any) -> Any:
    """An answer with the names of JSON, and its large integers as numbers."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if value is None:
        return None
    if isinstance(kind, GraphQLList):
        return [_read(item, kind.of_type) for item in value]
    if isinstance(kind, GraphQLObjectType):
        found = {}
        for key, field in kind.fields.items():
            found[field.extensions.get("name", key)] = _read(value[key], field.type)
        return found
    return int(value) if kind is BIG_INT else value
