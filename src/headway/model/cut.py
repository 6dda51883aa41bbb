"""Rows of a batch's answer that belong to one caller: no copy, and one conversion for all callers.

What the rows mean is known to `output` and the fields.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Slab:
    """The whole answer of one model call; its lists are made once, when first wanted."""

    __slots__ = ("array", "made")

    def __init__(self, array: "NDArray[Any]") -> None:
        self.array = array
        self.made: list[Any] | None = None

    @property
    def lists(self) -> list[Any]:
        """The rows as Python values."""
        if self.made is None:
            self.made = self.array.tolist()
        return self.made


class Cut:
    """Rows `start` to `stop` of a slab, for one caller."""

    __slots__ = ("slab", "start", "stop")

    def __init__(self, slab: Slab, start: int, stop: int) -> None:
        self.slab = slab
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, row: int | list[int]) -> Any:
        if isinstance(row, list):
            return [self[i] for i in row]
        if not 0 <= row < self.stop - self.start:
            raise IndexError(row)
        return self.slab.lists[self.start + row]

    def first(self) -> Any:
        """The first row as Python values; there must be one."""
        return (self.slab.made or self.slab.lists)[self.start]

    @property
    def array(self) -> "NDArray[Any]":
        """The rows as an array."""
        return self.slab.array[self.start : self.stop]

    @property
    def lists(self) -> list[Any]:
        """The rows as Python values."""
        return self.slab.lists[self.start : self.stop]

    def cuts(self, sizes: Sequence[int]) -> "list[Cut]":
        """These rows in parts of so many each."""
        stops = accumulate(sizes, initial=self.start)
        return [Cut(self.slab, start, stop) for start, stop in pairwise(stops)]


def whole(array: "NDArray[Any]") -> Cut:
    """All rows of an array."""
    return Cut(Slab(array), 0, len(array))
