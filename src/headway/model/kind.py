"""Find the kind that speaks for a type or a mark, by the literals of the `kinds` folder.

A kind, and the library behind it, is imported only when a signature names it.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from headway import plugins
from headway.model.field import Field

_OURS = frozenset({"builtins", "headway", "msgspec"})
"""Packages whose types and marks no other package speaks for, so that none is looked for."""


def field_of_type(kind: Any, marks: Sequence[Any] = ()) -> Field | None:
    """Make the field of a type that a kind speaks for, or for a parent of it; None: no kind does."""
    if not isinstance(kind, type):
        return None
    parents = [f"{p.__module__}.{p.__qualname__}" for p in kind.__mro__]
    name = _speaker("TYPES", parents, is_ours=kind.__module__ in _OURS)
    return _read(name, kind, marks) if name else None


def field_of_mark(annotation: Any, marks: Sequence[Any]) -> Field | None:
    """Make the field of an annotation whose marks a kind speaks for; None where there is none."""
    is_ours = all(type(m).__module__.partition(".")[0] in _OURS for m in marks)
    name = _speaker("MARKS", [type(m).__name__ for m in marks], is_ours=is_ours)
    return _read(name, annotation, marks) if name else None


def _read(name: str, annotation: Any, marks: Sequence[Any]) -> Field:
    field: Field = plugins.load("kinds", name).read_field(annotation, marks)
    return field


def _speaker(constant: str, names: Iterable[str], *, is_ours: bool) -> str:
    """The kind that speaks for the first of these names, or ""; those of packages last."""
    for find in (_speakers,) if is_ours else (_speakers, _others):
        known = find(constant)
        for name in names:
            if name in known:
                return known[name]
    return ""


@functools.cache
def _speakers(constant: str) -> Mapping[str, str]:
    """Which built-in kind speaks for each type, or mark."""
    return _spoken(constant, plugins.names("kinds"))


@functools.cache
def _others(constant: str) -> Mapping[str, str]:
    """Which kind of an installed package does; asked where no built-in one speaks."""
    return _spoken(constant, plugins.added("kinds"))


def _spoken(constant: str, kinds: Iterable[str]) -> Mapping[str, str]:
    return MappingProxyType(
        {spoken: kind for kind in kinds for spoken in plugins.literal("kinds", kind, constant)}
    )
