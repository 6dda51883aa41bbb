"""Rows of a batch's answer that belong to one caller: no copy, and one conversion for all callers.

What the rows mean is known to `output` and the fields.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Slab:
    """The whole answer of one model call; its lists and texts are made once, when first wanted."""

    __slots__ = ("array", "made", "written")

    def __init__(self, array: "NDArray[Any]") -> None:
        self.array = array
        self.made: list[Any] | None = None
        self.written: list[bytes] | None = None

    @property
    def lists(self) -> list[Any]:
        """The rows as Python values."""
        if self.made is None:
            self.made = self.array.tolist()
        return self.made

    @property
    def texts(self) -> list[bytes]:
        """The elements of each row as JSON, without brackets; for numbers with one axis besides the rows', or none."""
        if self.written is None:
            text = msgspec.json.encode(self.lists)
            is_flat = self.array.ndim == 1
            self.written = text[1:-1].split(b",") if is_flat else text[2:-2].split(b"],[")
        return self.written


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

    @property
    def text(self) -> bytes:
        """The elements of the rows as JSON, without brackets; as `Slab.texts`."""
        slab, start, stop = self.slab, self.start, self.stop
        texts = slab.written or slab.texts
        return texts[start] if stop - start == 1 else b",".join(texts[start:stop])

    def cuts(self, sizes: Sequence[int]) -> "list[Cut]":
        """These rows in parts of so many each."""
        stops = accumulate(sizes, initial=self.start)
        return [Cut(self.slab, start, stop) for start, stop in pairwise(stops)]


def whole(array: "NDArray[Any]") -> Cut:
    """All rows of an array."""
    return Cut(Slab(array), 0, len(array))
