"""Integers have 64 bits, in every dialect and both ways, as the tensors that hold them have.

JSON and Python know larger ones; arrays, and most that is written for them, do not. Not here: the
integers inside of structs, whose types are their author's, and narrower ones of arrays (`kinds`).
"""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Meta

LEAST, MOST = -(2**63), 2**63 - 1
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
