"""Read large JSON whose inputs are all arrays of numbers, without a Python object a number.

simdjson's buffers flatten any nesting, so the nesting is proven here: every array down to the
innermost is seen and has its neighbours' length, and the body holds no other bracket. Whatever
can't be proven, or is wrong, is left to the ordinary reader, which knows how to say what is wrong.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simdjson

from headway.errors import BadInput
from headway.model.call import Block, Call, Shape
from headway.model.field import Field

MAX_ARRAYS = 20_000
"""Above so many inner arrays, looking at each costs more than it saves."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An array of numbers with proven shape."""

    shape: Shape
    numbers: Any
    brackets: int


class BulkReader:
    """Reads bodies of one signature, all of whose inputs are arrays of numbers."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields
        self._types = {n: _buffer_type(f.dtype) for n, f in fields.items()}

    def read(self, body: bytes | memoryview) -> Call | None:
        """Read an object or an array of objects; None where the ordinary reader shall decide."""
        try:
            document: Any = simdjson.Parser().parse(bytes(body))
            items = [document] if isinstance(document, simdjson.Object) else list(document)
            rows = [self._item(item) for item in items]
        except (ValueError, TypeError, RuntimeError, UnicodeDecodeError):
            return None
        seen = sum(f.brackets for row in rows for f in row.values())
        is_single = isinstance(document, simdjson.Object)
        if not rows or seen + (not is_single) != _count(body, b"["):
            return None
        columns = {}
        for name, field in self._fields.items():
            column = _column(field, [row[name] for row in rows])
            if column is None:
                return None
            columns[name] = column
        return Call(len(rows), columns, is_single=is_single)

    def _item(self, item: Any) -> dict[str, _Found]:
        if not isinstance(item, simdjson.Object):
            raise TypeError("no object")
        names = list(item.keys())
        if len(names) != len(self._fields) or set(names) != set(self._fields):
            raise ValueError("another name, or one twice")
        return {n: _array(item[n], self._types[n], len(f.shape)) for n, f in self._fields.items()}


def can_read(fields: Mapping[str, Field]) -> bool:
    """Whether all inputs are arrays of numbers with at least one axis."""
    return all(f.shape and _buffer_type(f.dtype) for f in fields.values())


def _buffer_type(dtype: str) -> str:
    if dtype.startswith("float"):
        return "d"
    if dtype == "uint64":
        return "u"
    return "i" if "int" in dtype else ""


def _array(value: Any, buffer_type: str, rank: int) -> _Found:
    shape, brackets = _nesting(value, rank, MAX_ARRAYS)
    numbers = np.frombuffer(
        value.as_buffer(of_type=buffer_type), {"d": "<f8", "i": "<i8", "u": "<u8"}[buffer_type]
    )
    if numbers.size != math.prod(shape):
        raise ValueError("the leaves are not as many as the shape holds")
    return _Found(shape, numbers, brackets)


def _nesting(value: Any, rank: int, budget: int) -> tuple[Shape, int]:
    """Lengths along each axis and the number of arrays in all; ValueError where ragged."""
    if not isinstance(value, simdjson.Array):
        raise TypeError("a number where an array belongs")
    if rank == 1:
        return (len(value),), 1
    if len(value) > budget:
        raise ValueError("too many arrays")
    inner: set[Shape] = set()
    brackets = 1
    for part in value:
        shape, count = _nesting(part, rank - 1, budget - brackets)
        inner.add(shape)
        brackets += count
    if len(inner) != 1:
        raise ValueError("ragged or empty")
    return (len(value), *inner.pop()), brackets


def _column(field: Field, found: Sequence[_Found]) -> Block | None:
    if len({f.shape for f in found}) != 1:
        return None
    data = found[0].numbers if len(found) == 1 else np.concatenate([f.numbers for f in found])
    try:
        block = Block(field.dtype, (len(found), *found[0].shape), data, is_json=True)
        checked: Block = field.from_block(block)
    except BadInput:
        return None
    return checked


def _count(body: bytes | memoryview, letter: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == letter[0]))
