"""Rows of a batch's answer that belong to one caller: no copy, and one conversion for all callers.

What the rows mean is known to `output` and the fields.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Slab:
    """The whole answer of one model call; its lists are made once, when first wanted."""

    __slots__ = ("_lists", "array")

    def __init__(self, array: "NDArray[Any]") -> None:
        self.array = array
        self._lists: list[Any] | None = None

    @property
    def lists(self) -> list[Any]:
        """The rows as Python values."""
        if self._lists is None:
            self._lists = self.array.tolist()
        return self._lists


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

    @property
    def array(self) -> "NDArray[Any]":
        """The rows as an array."""
        return self.slab.array[self.start : self.stop]

    @property
    def lists(self) -> list[Any]:
        """The rows as Python values."""
        return self.slab.lists[self.start : self.stop]

    def cut(self, start: int, stop: int) -> "Cut":
        """Some of these rows."""
        return Cut(self.slab, self.start + start, self.start + stop)


def whole(array: "NDArray[Any]") -> Cut:
    """All rows of an array."""
    return Cut(Slab(array), 0, len(array))
