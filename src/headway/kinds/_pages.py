"""What a Parquet file holds once it is inflated, told by the headers of its pages before any is.

A footer may say anything; what is allocated follows from the pages. So each page's header is read
(Thrift's compact protocol, apache/parquet-format, parquet.thrift, "PageHeader" and "FileMetaData"), and what
its values take at least is counted. Nothing else is read here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_MOST_DEPTH = 8
VALUE_BYTES = 8
"""Counted for each value, since runs and dictionaries hold a billion in a few bytes."""


class DamagedError(Exception):
    """These bytes are no header of a page."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one page says of itself."""

    stored_bytes: int
    inflated_bytes: int
    values: int


def chunks(body: memoryview) -> Iterator[tuple[int, int, int]]:
    """The column chunks that a footer names: rows, where the pages begin, and where they end.

    pyarrow would end the process over some damaged footers, so that it is not asked. Raises DamagedError.
    """
    size = int.from_bytes(body[-8:-4], "little")
    start = len(body) - 8 - size
    if len(body) < 12 or start < 4 or bytes(body[:4]) != b"PAR1":
        raise DamagedError
    footer = _Reader(body, start, len(body) - 8).struct(0)
    for group in _listed(footer, 4):
        rows = _number(group, 3)
        for column in _listed(group, 1):
            told = column.get(3)
            if not isinstance(told, dict):
                raise DamagedError
            data, dictionary = _number(told, 9), told.get(11)
            if isinstance(dictionary, int) and dictionary > 0:
                # Without rows there may be a dictionary, which is empty, and no page of data: it is said to be at 0.
                data = min(data, dictionary) if data or rows else dictionary
            yield rows, data, data + _number(told, 7)


def _listed(struct: Mapping[int, Any], field: int) -> list[dict[int, Any]]:
    found = struct.get(field)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DamagedError
    return found


def _number(struct: Mapping[int, Any], field: int) -> int:
    found = struct.get(field)
    if not isinstance(found, int) or found < 0:
        raise DamagedError
    return found


def pages(body: memoryview, start: int, stop: int) -> Iterator[Page]:
    """The pages of a column chunk. Raises DamagedError."""
    if not 0 <= start <= stop <= len(body):
        raise DamagedError
    while start < stop:
        reader = _Reader(body, start, stop)
        page = reader.page()
        start = reader.at + page.stored_bytes
        if start > stop:
            raise DamagedError
        yield page


class _Reader:
    """Reads one header from the front."""

    def __init__(self, body: memoryview, at: int, stop: int) -> None:
        self._body = body
        self.at = at
        self._stop = stop

    def page(self) -> Page:
        """2 uncompressed_page_size, 3 compressed_page_size; 5, 7 or 8 a header with 1 num_values."""
        told = self.struct(0)
        header = next(
            (told[field] for field in (5, 7, 8) if isinstance(told.get(field), dict)), {1: 0}
        )
        return Page(_number(told, 3), _number(told, 2), _number(header, 1))

    def struct(self, depth: int) -> dict[int, Any]:
        """The fields of a struct by their numbers; texts and doubles are left out."""
        if depth > _MOST_DEPTH:
            raise DamagedError
        return {field: self._value(kind, depth) for field, kind in self._fields()}

    def _fields(self) -> Iterator[tuple[int, int]]:
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._integer()
            yield field, head & 15

    def _byte(self) -> int:
        if self.at >= self._stop:
            raise DamagedError
        self.at += 1
        return self._body[self.at - 1]

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise DamagedError

    def _integer(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._items(depth)
        if kind in (_BYTE, _DOUBLE, _BINARY):
            size = self._unsigned() if kind == _BINARY else 1 if kind == _BYTE else 8
            self.at += size
        elif kind not in (_TRUE, _FALSE):  # a map, which no struct of these has
            raise DamagedError
        return None

    def _items(self, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if count > self._stop - self.at:
            raise DamagedError
        if kind in (_TRUE, _FALSE):  # a byte each in a list
            kind = _BYTE
        return [self._value(kind, depth) for _ in range(count)]
