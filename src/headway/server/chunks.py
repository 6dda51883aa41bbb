"""Bodies that arrive in many parts: how chunked ones are read, and how parts are joined.

RFC 9112 section 7.1. Pure, like `http1`. Every line must be exactly as the RFC writes it; sizes,
the number of chunks, extensions and trailers are bounded. Trailers are checked and dropped.
"""

import re

from headway.errors import CallerError

_CODES = {
    400: "bad_request",
    408: "too_slow",
    413: "too_large",
    414: "target_too_long",
    417: "unknown_expectation",
    431: "head_too_large",
    501: "not_implemented",
    503: "busy",
    505: "http_version",
}
_EXTENSION = rb"(?:;[\t\x20-\x7e\x80-\xff]*)?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})" + _EXTENSION)
_SIZE_PART = re.compile(rb"[0-9A-Fa-f]{0,16}" + _EXTENSION + rb"\r?")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*")
_TRAILER_PART = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")
_NEVER_TRAILERS = frozenset(
    {
        *(
            b"content-length",
            b"content_length",
            b"transfer-encoding",
            b"transfer_encoding",
            b"host",
        ),
        *(b"connection", b"te", b"trailer", b"expect", b"upgrade", b"authorization", b"x-api-key"),
        *(b"content-encoding", b"content-type", b"content-range", b"cache-control", b"cookie"),
    }
)
_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
"""What is read next."""
_MAX_CHUNKS = 65_536
_MAX_LINE_BYTES = 1024
_MAX_EXTRA_BYTES = 16 * 2**10
"""Of all extensions and trailers of a body."""
_SMALL_BYTES = 16 * 2**10
_JOINED_BYTES = 64 * 2**10


class FramingError(CallerError):
    """Bytes that are no request, or none that may be served; the connection ends with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = _CODES.get(status, "bad_request")


class Pieces:
    """Parts of a body, joined once; small ones are gathered first, so that many cost no more."""

    __slots__ = ("_parts", "_small", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._small = bytearray()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Take the next part."""
        self.size += len(piece)
        if len(piece) < _SMALL_BYTES:
            self._small += piece
            if len(self._small) >= _JOINED_BYTES:
                self._flush()
        else:
            self._flush()
            self._parts.append(piece)

    def join(self) -> bytes:
        """Give the whole body."""
        self._flush()
        return b"".join(self._parts)

    def _flush(self) -> None:
        if self._small:
            self._parts.append(bytes(self._small))
            self._small.clear()


class Dropped(Pieces):
    """Parts of a body that nobody wants: counted, and not kept."""

    __slots__ = ()

    def add(self, piece: bytes) -> None:
        """Forget the next part."""
        self.size += len(piece)


class Chunks:
    """One chunked body: size line, data, the line end after data, and again; then trailer lines."""

    __slots__ = ("_count", "_extra", "_limit", "_missing", "_step", "is_done", "pieces")

    def __init__(self, limit_bytes: int) -> None:
        self.pieces = Pieces()
        self.is_done = False
        self._limit = limit_bytes
        self._missing = 0
        self._count = 0
        self._extra = 0
        self._step = _SIZE

    @property
    def size(self) -> int:
        """How much of the body has arrived."""
        return self.pieces.size

    def take(self, buffer: bytes, at: int) -> int:
        """Read from `at` as far as possible, and say how far that was.

        Raises:
            FramingError: the body is malformed or too large.
        """
        steps = (self._read_size, self._read_data, self._read_data_end, self._read_trailer)
        while not self.is_done:
            reached = steps[self._step](buffer, at)
            if reached < 0:
                break
            at = reached
        return at

    def _read_size(self, buffer: bytes, at: int) -> int:
        end = _line_end(buffer, at, _SIZE_PART)
        if end < 0:
            return -1
        found = _SIZE_LINE.fullmatch(buffer, at, end)
        if found is None:
            raise FramingError(400, "a chunk's size is malformed")
        size = int(found[1], 16)
        self._spend(end - found.end(1))
        if size == 0:
            self._step = _TRAILERS
            return end + 2
        self._count += 1
        if self._count > _MAX_CHUNKS:
            raise FramingError(400, f"the body has more than {_MAX_CHUNKS} chunks")
        if self.pieces.size + size > self._limit:
            raise FramingError(413, f"the body is larger than the limit of {self._limit} bytes")
        self._missing = size
        self._step = _DATA
        return end + 2

    def _read_data(self, buffer: bytes, at: int) -> int:
        piece = buffer[at : at + self._missing]
        if not piece:
            return -1
        self.pieces.add(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._step = _DATA_END
        return at + len(piece)

    def _read_data_end(self, buffer: bytes, at: int) -> int:
        mark = buffer[at : at + 2]
        if mark == b"\r\n":
            self._step = _SIZE
            return at + 2
        if mark in {b"", b"\r"}:
            return -1
        raise FramingError(400, "a chunk is longer than its size says")

    def _read_trailer(self, buffer: bytes, at: int) -> int:
        end = _line_end(buffer, at, _TRAILER_PART)
        if end < 0:
            return -1
        if end == at:
            self.is_done = True
            return end + 2
        self._spend(end - at)
        found = _TRAILER.fullmatch(buffer, at, end)
        if found is None or found[1].lower() in _NEVER_TRAILERS:
            raise FramingError(400, "a trailer is malformed, or may not be a trailer")
        return end + 2

    def _spend(self, extra_bytes: int) -> None:
        self._extra += extra_bytes
        if self._extra > _MAX_EXTRA_BYTES:
            raise FramingError(400, "the body's chunk extensions and trailers are too long")


def _line_end(buffer: bytes, at: int, part: re.Pattern[bytes]) -> int:
    """Where the line ends, or -1 if that has not arrived; refuses what can't become such a line."""
    end = buffer.find(b"\r\n", at, at + _MAX_LINE_BYTES + 2)
    if end < 0:
        if len(buffer) - at > _MAX_LINE_BYTES:
            raise FramingError(400, "a line of the chunked body is too long")
        if part.fullmatch(buffer, at) is None:
            raise FramingError(400, "a line of the chunked body is malformed")
    return end
