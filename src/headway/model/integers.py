"""Integers have 64 bits, in every dialect and both ways, as the tensors that hold them have.

JSON and Python know larger ones; arrays, and most that is written for them, do not. A type is held to
that where it can be (`held`); the fields of a struct, whose type is its author's, and `Any` can't be, so
there the JSON is looked at: without 19 digits in a row it holds none, and nearly none has as many. Not
here: narrower integers of arrays (`kinds`).
"""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta, inspect

LEAST, MOST = -(2**63), 2**63 - 1
_ZEROS = bytes(0x30 if 0x30 <= letter < 0x3A else 0x20 for letter in range(256))
_LONG = b"0" * 19
_CONTAINERS = (list, tuple, set, frozenset, dict, Sequence, Mapping)


def are_held(values: Sequence[int]) -> bool:
    """Whether all of these have 64 bits."""
    return not values or LEAST <= min(values) <= max(values) <= MOST


def held(annotation: Any) -> Any:
    """A type with every `int` in it held to 64 bits, where its author set no limit."""
    is_marked = get_origin(annotation) is Annotated
    kind, *marks = get_args(annotation) if is_marked else (annotation,)
    if kind is int:
        marks.append(_missing_limits([m for m in marks if isinstance(m, Meta)]))
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        kind = Union[tuple(map(held, parts))]  # noqa: UP007  (a runtime union of a tuple)
    elif origin in _CONTAINERS:
        kind = types.GenericAlias(origin, tuple(p if p is ... else held(p) for p in parts))
    return Annotated[(kind, *marks)] if marks else kind


def _missing_limits(limits: Sequence[Meta]) -> Meta:
    has_least = any(m.ge is not None or m.gt is not None for m in limits)
    has_most = any(m.le is not None or m.lt is not None for m in limits)
    return Meta(ge=None if has_least else LEAST, le=None if has_most else MOST)


def is_open(annotation: Any) -> bool:
    """Whether a type that msgspec knows takes larger integers somewhere: in a struct, or as `Any`."""
    try:
        return _is_open(inspect.type_info(annotation), set())
    except TypeError:  # a kind's own type, which holds its integers itself
        return False


def _is_open(node: Any, seen: set[int]) -> bool:
    if id(node) in seen:
        return False
    seen.add(id(node))
    if isinstance(node, inspect.AnyType):
        return True
    if isinstance(node, inspect.IntType):
        return (node.ge is None and node.gt is None) or (node.le is None and node.lt is None)
    return any(_is_open(part, seen) for part in _parts(node))


def _parts(node: Any) -> list[Any]:
    """The types inside of a type."""
    one = (getattr(node, name, None) for name in ("type", "item_type", "key_type", "value_type"))
    many = (*getattr(node, "types", ()), *getattr(node, "item_types", ()))
    fields = (field.type for field in getattr(node, "fields", ()))
    return [part for part in (*one, *many, *fields) if isinstance(part, inspect.Type)]


def larger(text: bytes | memoryview, value: Any = msgspec.UNSET) -> str:
    """Where a value holds a larger integer, in msgspec's words; "" if it does not.

    Args:
        text: its JSON.
        value: what was read from it: a float may have been written as an integer. Left out, the text is read.
    """
    if _LONG not in bytes(text).translate(_ZEROS):
        return ""
    plain = msgspec.json.decode(text) if value is msgspec.UNSET else value
    return _larger(msgspec.to_builtins(plain, str_keys=True), "$")


def _larger(value: Any, place: str) -> str:
    if type(value) is int and not LEAST <= value <= MOST:
        return f"{place}: expected int " + (f"<= {MOST}" if value > 0 else f">= {LEAST}")
    if isinstance(value, dict):
        parts = [(f"{place}.{name}", part) for name, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{place}[{i}]", part) for i, part in enumerate(value)]
    else:
        return ""
    return next((said for name, part in parts if (said := _larger(part, name))), "")
