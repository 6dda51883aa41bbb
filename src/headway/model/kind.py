"""Find the kind that speaks for a type or a mark, by the literals of the `kinds` folder.

A kind, and the library behind it, is imported only when a signature names it.
"""

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from headway import plugins
from headway.model.field import Field


def field_of_type(kind: Any) -> Field | None:
    """Make the field of a type, or of its parent, that a kind speaks for; None: no kind does."""
    if not isinstance(kind, type):
        return None
    known = _speakers("TYPES")
    for parent in kind.__mro__:
        if name := known.get(f"{parent.__module__}.{parent.__qualname__}"):
            return _read(name, parent, ())
    return None


def field_of_mark(annotation: Any, marks: Sequence[Any]) -> Field | None:
    """Make the field of an annotation whose marks a kind speaks for; None where there is none."""
    known = _speakers("MARKS")
    for mark in marks:
        if name := known.get(type(mark).__name__):
            return _read(name, annotation, marks)
    return None


def _read(name: str, annotation: Any, marks: Sequence[Any]) -> Field:
    field: Field = plugins.load("kinds", name).read_field(annotation, marks)
    return field


@functools.cache
def _speakers(constant: str) -> Mapping[str, str]:
    """Which kind speaks for each type, or mark."""
    return MappingProxyType(
        {
            spoken: kind
            for kind in plugins.names("kinds")
            for spoken in plugins.literal("kinds", kind, constant)
        }
    )
