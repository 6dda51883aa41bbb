"""Rows of a table kept column by column: what CSV, Parquet, Arrow and tensors are read into.

Plain lists, so that nothing is imported for them. What a column may hold is the kinds' business.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any


class Columns:
    """A list for each column, all of one length; a slice of it, or some rows, is one again."""

    __slots__ = ("lists", "rows")

    def __init__(self, lists: Mapping[str, list[Any]], rows: int) -> None:
        self.lists = lists
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice | list[int]) -> "Columns":
        if isinstance(rows, slice):
            count = len(range(*rows.indices(self.rows)))
            return Columns({n: values[rows] for n, values in self.lists.items()}, count)
        return Columns({n: [v[i] for i in rows] for n, v in self.lists.items()}, len(rows))

    def dicts(self) -> list[dict[str, Any]]:
        """A dict for each row."""
        if not self.lists:
            return [{} for _ in range(self.rows)]
        names = tuple(self.lists)
        columns = self.lists.values()
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def joined(parts: Sequence[Columns], names: Sequence[str]) -> Columns:
    """The rows of several, in order."""
    if len(parts) == 1:
        return parts[0]
    lists = {n: list(chain.from_iterable(p.lists[n] for p in parts)) for n in names}
    return Columns(lists, sum(p.rows for p in parts))
