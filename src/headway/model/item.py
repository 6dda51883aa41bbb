"""How one item of a signature looks as JSON: the type it is read into, and its schema.

How bodies of items become calls is `wire`'s business.
"""

import copy
import functools
from collections.abc import Callable
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec

from headway.model.signature import Signature

_FROZEN = (bool, int, float, str, bytes, NoneType)


def item_type(signature: Signature) -> Any:
    """The Struct that an item's JSON is read into; it refuses unknown names."""
    if signature.is_flat:
        return signature.parameters[0].field.json_type
    fields: list[Any] = []
    for i, p in enumerate(signature.parameters):
        if p.is_optional:
            fields.append((f"f{i}", p.field.json_type, _default(p.default)))
        else:
            fields.append((f"f{i}", p.field.json_type))
    rename = {f"f{i}": p.name for i, p in enumerate(signature.parameters)}
    return msgspec.defstruct(
        "Item", fields, forbid_unknown_fields=True, kw_only=True, rename=rename
    )


def _default(value: Any) -> Any:
    if isinstance(value, _FROZEN):
        return value
    return msgspec.field(default_factory=functools.partial(copy.deepcopy, value))


def getters(signature: Signature) -> list[tuple[str, Callable[[Any], Any]]]:
    """How each parameter's value is had from the Struct that was read."""
    if signature.is_flat:
        return [(signature.parameters[0].name, _itself)]
    return [(p.name, attrgetter(f"f{i}")) for i, p in enumerate(signature.parameters)]


def _itself(value: Any) -> Any:
    return value


def input_schema(signature: Signature) -> dict[str, Any]:
    """JSON Schema of one item; `$defs` of all fields are merged."""
    if signature.is_flat:
        return signature.parameters[0].field.schema()
    defs: dict[str, Any] = {}
    properties = {}
    for p in signature.parameters:
        schema = dict(p.field.schema())
        defs.update(schema.pop("$defs", {}))
        if p.is_optional:
            schema["default"] = msgspec.to_builtins(p.default)
        properties[p.name] = schema
    required = [p.name for p in signature.parameters if not p.is_optional]
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {**whole, "$defs": defs} if defs else whole
