"""A GraphQL document: read, held to its limits, validated and executed. No protocol by itself; only workers import it.

Specification: GraphQL, September 2025, sections 5 ("Validation") and 6 ("Execution").

Theory of operation. A document is executed twice. The first time each field that asks the model only notes its
arguments: they become the rows of one call, whatever the number of aliases. The second time each gets its row's
answer, or raises its row's error, so that one alias fails without the others. The limits come before validation,
some of whose rules take time that grows with the square of a document; each fragment is counted once, and then as
often as it is spread.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLList,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    execute_sync,
    get_named_type,
    is_scalar_type,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution import Executor

from headway.errors import BadInput, HeadwayError
from headway.model.call import Description
from headway.protocols import public_message
from headway.protocols._graphql_document import MAX_TOKENS, refused, tokens_of
from headway.protocols._graphql_schema import BIG_INT, ModelSchema, schema_of, written_integer

MAX_DEPTH = 10
"""Fields within each other; those of introspection have a limit of their own."""
MAX_ALIASES = 15
MAX_FIELDS = 100
"""Of a definition, its fragments spread out; those of introspection have a limit of their own."""
MAX_DIRECTIVES = 50
_MAX_INTROSPECTION_DEPTH = 20
_MAX_INTROSPECTION_FIELDS = 250
_CACHED_BYTES = 4096
"""A document of this size at most is kept, read and validated, for the next request that has it."""


@dataclass(frozen=True)
class Document:
    """A document that may be executed against a schema."""

    schema: ModelSchema
    node: DocumentNode


def read_document(model: Description, text: str, *, is_hidden: bool) -> Document:
    """Read and validate a document.

    Args:
        model: that is asked.
        text: the document.
        is_hidden: the schema may not be asked for.

    Raises:
        BadInput: it is malformed, over a limit, or not valid, with the place (`locations`).
    """
    read = _read_kept if len(text) <= _CACHED_BYTES else _read
    return read(schema_of(model), text, is_hidden)


def _read(schema: ModelSchema, text: str, is_hidden: bool) -> Document:
    tokens_of(text)
    try:
        node = parse(text, max_tokens=MAX_TOKENS, allow_empty_selection_sets=False)
    except GraphQLError as e:
        raise bad(e) from None
    _check_limits(node)
    rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if is_hidden else [])]
    errors = validate(schema.schema, node, rules, max_errors=1, hide_suggestions=is_hidden)
    if errors:
        raise bad(errors[0])
    return Document(schema, node)


_read_kept = functools.lru_cache(maxsize=32)(_read)


def bad(error: GraphQLError) -> BadInput:
    """An error of graphql-core's: what is wrong with the document, or with its variables."""
    places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
    return BadInput(error.message, locations=places, is_of_document=True)


# Limits


class _Count(NamedTuple):
    """What stands in a selection, its fragments spread out."""

    fields: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    told_fields: int = 0
    told_depth: int = 0
    """These two of what is below `__schema` and `__type`."""

    def and_then(self, other: "_Count") -> "_Count":
        return _Count(
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
            max(self.depth, other.depth),
            self.told_fields + other.told_fields,
            max(self.told_depth, other.told_depth),
        )


def _check_limits(node: DocumentNode) -> None:
    """Hold every definition to the limits. Raises BadInput."""
    visit(node, _Numbers())
    fragments = {d.name.value: d for d in node.definitions if isinstance(d, FragmentDefinitionNode)}
    counted: dict[str, _Count | None] = {}
    for definition in node.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            count = _of_fragment(definition.name.value, fragments, counted)
        elif isinstance(definition, OperationDefinitionNode):
            count = _of(definition.selection_set, fragments, counted, is_told=False)
            of_variables = (
                d for v in definition.variable_definitions or () for d in v.directives or ()
            )
            own = [*(definition.directives or ()), *of_variables]
            count = count.and_then(_Count(directives=len(own)))
        else:
            raise refused("document", "operations and fragments", definition.kind)
        _check_count(count)


def _check_count(count: _Count) -> None:
    for found, most, what in (
        (count.depth, MAX_DEPTH, "fields in each other"),
        (count.told_depth, _MAX_INTROSPECTION_DEPTH, "fields of introspection in each other"),
        (count.told_fields, _MAX_INTROSPECTION_FIELDS, "fields of introspection"),
        (count.aliases, MAX_ALIASES, "aliases"),
        (count.fields, MAX_FIELDS, "fields, with its fragments spread out"),
        (count.directives, MAX_DIRECTIVES, "directives, with its fragments spread out"),
    ):
        if found > most:
            raise refused("document", f"at most {most} {what}", "more")


def _of_fragment(
    name: str, fragments: Mapping[str, FragmentDefinitionNode], counted: dict[str, _Count | None]
) -> _Count:
    if name not in fragments:
        return _Count()  # validation tells
    if name not in counted:
        counted[name] = None
        fragment = fragments[name]
        is_told = fragment.type_condition.name.value.startswith("__")
        count = _of(fragment.selection_set, fragments, counted, is_told=is_told)
        counted[name] = count.and_then(_Count(directives=len(fragment.directives or ())))
    known = counted[name]
    if known is None:
        raise refused("document", "fragments that do not hold themselves", f"{name!r} in itself")
    return known


def _of(
    selections: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    counted: dict[str, _Count | None],
    *,
    is_told: bool,
) -> _Count:
    total = _Count()
    for selection in selections.selections if selections else ():
        count = _Count(directives=len(selection.directives or ()))
        if isinstance(selection, FieldNode):
            is_below = is_told or selection.name.value in ("__schema", "__type")
            below = _of(selection.selection_set, fragments, counted, is_told=is_below)
            count = count.and_then(below)
            count = count._replace(
                fields=count.fields + (not is_below),
                aliases=count.aliases + (selection.alias is not None),
                depth=count.depth + (not is_below),
                told_fields=count.told_fields + is_below,
                told_depth=count.told_depth + is_below,
            )
        elif isinstance(selection, FragmentSpreadNode):
            count = count.and_then(_of_fragment(selection.name.value, fragments, counted))
        elif isinstance(selection, InlineFragmentNode):
            below = _of(selection.selection_set, fragments, counted, is_told=is_told)
            count = count.and_then(below)
        total = total.and_then(count)
    return total


class _Numbers(Visitor):
    """Refuses a number that is infinite once it is read: what is written of it would be null."""

    def enter_float_value(self, node: FloatValueNode, *_: Any) -> None:
        """Look at one. Raises BadInput."""
        if not math.isfinite(float(node.value)):
            raise refused("document", "a number of 64 bits", node.value[:40])


# Execution


class Plan:
    """A request that is ready to be executed."""

    def __init__(
        self, document: Document, operation: str | None, variables: Mapping[str, Any]
    ) -> None:
        self._schema = document.schema
        self._node = document.node
        self._operation = operation
        self._variables = dict(variables)
        self._answered: ExecutionResult | None = None
        """The answer, where no field asks the model."""

    def rows(self) -> dict[str, dict[str, Any]]:
        """The arguments of each field that asks the model, by the name that it has in the answer.

        Raises:
            BadInput: an operation or a variable is missing or wrong; or a mutation asks twice.
        """
        found: dict[str, dict[str, Any]] = {}
        result = self._executed(found.__setitem__)
        if result.errors and (result.data is None or not found):
            raise bad(result.errors[0])
        if len(found) > 1 and self._schema.kind == "mutation":
            # GraphQL, 6.2.2: "This selection set should be executed serially."; rows of one call are not.
            raise refused("document", "one field in a mutation", f"{len(found)}")
        if not found:
            self._answered = result
        return found

    def answer(self, outcomes: Mapping[str, Any]) -> dict[str, Any]:
        """The response, from what was found under each name: an answer in its JSON form, or a HeadwayError."""

        def take(key: str, arguments: Mapping[str, Any]) -> Any:
            outcome = outcomes[key]
            if isinstance(outcome, HeadwayError):
                raise GraphQLError(public_message(outcome), extensions={"code": outcome.code})
            return outcome

        result = self._answered or self._executed(take)
        response: dict[str, Any] = {"data": result.data}
        if result.errors:
            errors = [dict(error.formatted) for error in result.errors]
            for error in errors:
                error.setdefault("extensions", {"code": "bad_output"})
            response["errors"] = errors
        return response

    def _executed(self, take: Any) -> ExecutionResult:
        return execute_sync(
            self._schema.schema,
            self._node,
            context_value=take,
            variable_values=self._variables,
            operation_name=self._operation,
            max_coercion_errors=1,
            executor_class=_Executor,
        )


class _Executor(Executor[Any]):
    """Takes lists of scalars as the wire wrote them, rather than element by element."""

    def complete_list_value(self, return_type: GraphQLList[Any], *others: Any) -> Any:
        """The list, in the form of the answer."""
        named = get_named_type(return_type)
        if not is_scalar_type(named):
            return super().complete_list_value(return_type, *others)
        result = others[3]
        return _with_large_as_text(result) if named is BIG_INT else result


def _with_large_as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_large_as_text(item) for item in value]
    return value if value is None else written_integer(value)
