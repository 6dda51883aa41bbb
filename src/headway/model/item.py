"""How one item of a signature looks as JSON: the type it is read into, and its schema.

How bodies of items become calls is `wire`'s business.
"""

import copy
import functools
import math
import re
from collections.abc import Callable
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec

from headway.errors import SignatureError
from headway.model.signature import Signature

_ODD = re.compile(r'["\\\x00-\x1f]')
_FROZEN = (bool, int, float, str, bytes, NoneType)


def item_type(signature: Signature) -> Any:
    """The Struct that an item's JSON is read into; it refuses unknown names.

    Raises:
        SignatureError: an input has a name that JSON would write with a backslash.
    """
    if signature.is_flat:
        return signature.parameters[0].field.json_type
    fields: list[Any] = []
    for i, p in enumerate(signature.parameters):
        if p.is_optional:
            fields.append((f"f{i}", p.field.json_type, _default(p.default)))
        else:
            fields.append((f"f{i}", p.field.json_type))
    rename = {f"f{i}": p.name for i, p in enumerate(signature.parameters)}
    for name in filter(_ODD.search, rename.values()):  # a model file's names are any text
        advice = "a name may hold no quotes, backslashes and control characters"
        raise SignatureError(where="inputs", found=f"one called {name!r}", advice=advice)
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


def _is_finite(value: Any) -> bool:
    """Whether JSON can hold it: NaN and infinity would be null there, which an input may not be."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def input_schema(signature: Signature) -> dict[str, Any]:
    """JSON Schema of one item; `$defs` of all fields are merged."""
    if signature.is_flat:
        return signature.parameters[0].field.schema()
    defs: dict[str, Any] = {}
    properties = {}
    for p in signature.parameters:
        schema = dict(p.field.schema())
        defs.update(schema.pop("$defs", {}))
        default = msgspec.to_builtins(p.default) if p.is_optional else None
        if p.is_optional and _is_finite(default):
            schema["default"] = default
        properties[p.name] = schema
    required = [p.name for p in signature.parameters if not p.is_optional]
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {**whole, "$defs": defs} if defs else whole
