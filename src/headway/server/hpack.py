"""Header blocks of HTTP/2 (HPACK, RFC 7541): read with a dynamic table, written without one. Pure.

A block is read to its end even where it holds more than is allowed, because the table must follow it; what exceeds the
limit is not kept. Clients repeat their blocks byte for byte once the table has what they say: those are remembered
until the table changes. Not here: what the fields mean (`calls`).
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from headway.server import huffman

TABLE_BYTES: Final = 4096
"""SETTINGS_HEADER_TABLE_SIZE, which we leave at its default."""
_ENTRY_BYTES: Final = 32
_MAX_INTEGER: Final = 2**28
_MAX_SHIFT: Final = 28
_MAX_KNOWN: Final = 32
"""Blocks that are remembered of one connection."""
_MAX_KNOWN_BYTES: Final = 256
_STATIC_TEXT: Final = (
    ":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|"
    ":status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|"
    "accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|"
    "content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|"
    "cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|"
    "last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|"
    "retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
_STATIC: Final[tuple[tuple[str, str], ...]] = tuple(
    (name, value) for name, _, value in (line.partition(" ") for line in _STATIC_TEXT.split("|"))
)
"""RFC 7541, appendix A."""
_NAMED: Final = {name: place for place, (name, _) in reversed(list(enumerate(_STATIC, 1)))}


class BlockError(Exception):
    """A header block that can't be read: the table is not what its writer thinks any more."""


class Fields:
    """The fields of a block, in order."""

    __slots__ = ("is_too_large", "memo", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...], *, is_too_large: bool) -> None:
        self.pairs = pairs
        self.is_too_large = is_too_large
        """There were more than are allowed; they are left out."""
        self.memo: Any = None
        """Room for what somebody works out from them."""


class Decoder:
    """Reads the header blocks of one connection, in order.

    Args:
        max_bytes: of one block's fields, each counted with 32 bytes more (SETTINGS_MAX_HEADER_LIST_SIZE).
        max_fields: of one block.
    """

    __slots__ = ("_entries", "_known", "_limit", "_max_bytes", "_max_fields", "_size")

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self._entries: deque[tuple[str, str]] = deque()
        self._size = 0
        self._limit = TABLE_BYTES
        self._known: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """Read one block.

        Raises:
            BlockError: it can't be read; so can no other one of the connection.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        self._known, before = {}, self._known
        try:
            pairs, has_changed, is_too_large = self._read(block)
        except IndexError as e:
            raise BlockError("a header block is cut off") from e
        except huffman.Malformed as e:
            raise BlockError(f"a header block holds {e}") from e
        fields = Fields(tuple(pairs), is_too_large=is_too_large)
        if not has_changed:
            self._known = before if len(before) < _MAX_KNOWN else {}
            if len(block) <= _MAX_KNOWN_BYTES:
                self._known[block] = fields
        return fields

    def _read(self, block: bytes) -> tuple[list[tuple[str, str]], bool, bool]:
        pairs: list[tuple[str, str]] = []
        at, end, size = 0, len(block), 0
        has_changed = False
        while at < end:
            byte = block[at]
            if 0x80 < byte < 0x80 + len(_STATIC):  # an indexed field of the static table
                pair = _STATIC[byte - 0x81]
                at += 1
            elif byte & 0x80:
                place, at = _integer(block, at, 7)
                pair = self._entry(place)
            elif byte & 0xE0 == 0x20:  # a new size of the table
                if size:
                    raise BlockError("a header block changes the table's size behind a field")
                limit, at = _integer(block, at, 5)
                has_changed = True
                self._resize(limit)
                continue
            else:
                is_kept = byte & 0xC0 == 0x40
                place, at = _integer(block, at, 6 if is_kept else 4)
                if place:
                    name = self._entry(place)[0]
                else:
                    name, at = _text(block, at)
                value, at = _text(block, at)
                pair = (name, value)
                if is_kept:
                    has_changed = True
                    self._add(pair)
            size += len(pair[0]) + len(pair[1]) + _ENTRY_BYTES
            if size <= self._max_bytes and len(pairs) < self._max_fields:
                pairs.append(pair)
            else:
                size = max(size, self._max_bytes + 1)
        return pairs, has_changed, size > self._max_bytes

    def _entry(self, place: int) -> tuple[str, str]:
        if 0 < place <= len(_STATIC):
            return _STATIC[place - 1]
        place -= len(_STATIC) + 1
        if not 0 <= place < len(self._entries):
            raise BlockError("a header block names an entry that its table has not")
        return self._entries[place]

    def _add(self, pair: tuple[str, str]) -> None:
        """RFC 7541 section 4.4: an entry that is larger than the table empties it, and is no error."""
        self._size += len(pair[0]) + len(pair[1]) + _ENTRY_BYTES
        self._entries.appendleft(pair)
        self._evict()

    def _resize(self, limit: int) -> None:
        if limit > TABLE_BYTES:
            raise BlockError(f"a header block wants a table of more than {TABLE_BYTES} bytes")
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """RFC 7541 section 5.1. Raises IndexError at the end; BlockError: it is too large, or padded without an end."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > _MAX_SHIFT:
            raise BlockError("a header block holds a number of too many bytes")
    if value > _MAX_INTEGER:
        raise BlockError("a header block holds a number that is too large")
    return value, at


def _text(block: bytes, at: int) -> tuple[str, int]:
    is_huffman = block[at] & 0x80
    size, at = _integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise BlockError("a header block holds a text that is longer than the block")
    data = block[at:end]
    return (huffman.decode(data) if is_huffman else data).decode("latin-1"), end


def encode(pairs: Sequence[tuple[str, str]]) -> bytes:
    """Write a block that uses no dynamic table, so that it means the same on every connection."""
    out = bytearray()
    for name, value in pairs:
        if (name, value) in _STATIC:
            out += _prefixed(0x80, 7, _STATIC.index((name, value)) + 1)
            continue
        place = _NAMED.get(name, 0)
        out += _prefixed(0x00, 4, place)
        for text in (value,) if place else (name, value):
            data = text.encode("latin-1", "replace")
            out += _prefixed(0x00, 7, len(data)) + data
    return bytes(out)


def _prefixed(mark: int, bits: int, value: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes((mark | value,))
    out = bytearray((mark | most,))
    value -= most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
