"""The messages of a gRPC call: cut from the data of its stream, and written into it. Pure.

gRPC over HTTP2: each message has five bytes in front, whether it is compressed, and its length. What is told behind
the messages, or instead of them, is written here as well.
"""

from collections import deque
from collections.abc import Mapping
from urllib.parse import quote

from headway.errors import BadInput, TooLarge
from headway.protocols import Reply
from headway.server.chunks import Pieces
from headway.server.hpack import encode

PREFIX_BYTES = 5
_MAX_TEXT = 1024
_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MAX_PIECES = 65_536
"""Of one message; as many as a chunked body may have."""


class Messages:
    """The messages of one call, in order.

    Args:
        limit_bytes: of one message, as it comes.
    """

    __slots__ = (
        "_at",
        "_count",
        "_is_compressed",
        "_limit",
        "_pieces",
        "_prefix",
        "_queue",
        "missing",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._queue: deque[bytes] = deque()
        self._at = 0
        self._prefix = b""
        self._pieces: Pieces | None = None
        self._is_compressed = False
        self._count = 0
        self.missing = 0
        """Bytes that the message under way still lacks, as far as is known."""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if data:
            self._queue.append(data)

    @property
    def arrived(self) -> int:
        """Bytes that have come of the message under way."""
        return self._pieces.size if self._pieces is not None else 0

    @property
    def is_empty(self) -> bool:
        """No byte of a next message is here."""
        return not self._queue and not self._prefix and self._pieces is None

    def next(self) -> tuple[bool, bytes] | None:
        """The next whole message, and whether it is compressed; None until more comes.

        Raises:
            TooLarge: it announces more than the limit.
            BadInput: it is none; or comes in pieces that are too small.
        """
        while self._queue:
            data = self._queue[0]
            if self._pieces is None and not self._read_prefix(data):
                continue
            pieces = self._pieces
            assert pieces is not None
            self._count += 1
            if self._count > _MAX_PIECES:
                raise BadInput(
                    where="message", expected="larger pieces", found=f"{_MAX_PIECES} of them"
                )
            piece = data[self._at : self._at + self.missing]
            self._step(data, len(piece))
            pieces.add(piece)
            self.missing -= len(piece)
            if not self.missing:
                self._pieces = None
                return self._is_compressed, pieces.join()
        return None

    def _read_prefix(self, data: bytes) -> bool:
        more = data[self._at : self._at + PREFIX_BYTES - len(self._prefix)]
        self._prefix += more
        if len(self._prefix) < PREFIX_BYTES:
            self._step(data, len(more))
            return False
        flag, size = self._prefix[0], int.from_bytes(self._prefix[1:], "big")
        self._prefix = b""
        self._at += len(more)
        if flag > 1:
            raise BadInput(where="message", expected="a first byte of 0 or 1", found=str(flag))
        if size > self._limit:
            raise TooLarge(what="the message", limit_bytes=self._limit)
        self._pieces, self.missing, self._count = Pieces(), size, 0
        self._is_compressed = bool(flag)
        return True

    def _step(self, data: bytes, size: int) -> None:
        self._at += size
        if self._at >= len(data):
            self._queue.popleft()
            self._at = 0


def framed(message: bytes) -> bytes:
    """A message as it is sent."""
    return b"\0" + len(message).to_bytes(4, "big") + message


HEAD = encode(
    (
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-accept-encoding", "identity,deflate,gzip"),
    )
)
OK = encode((("grpc-status", "0"),))
NOT_GRPC = encode(((":status", "415"), ("content-type", "text/plain; charset=utf-8")))
_FROM_HTTP: Mapping[int, int] = {
    400: 13,
    401: 16,
    403: 7,
    404: 12,
    429: 14,
    502: 14,
    503: 14,
    504: 4,
}
"""doc/http-grpc-status-mapping.md of grpc/grpc, for a codec that says no status."""


def head(request_id: str) -> bytes:
    """What stands in front of the messages."""
    text = request_id.encode("ascii", "replace")
    if not text or len(text) > 126:
        return HEAD
    return b"%b\x00\x0cx-request-id%c%b" % (HEAD, len(text), text)


def status_of(reply: Reply) -> tuple[int, str]:
    """The status that a reply has, and its text."""
    told = dict(reply.headers)
    if "grpc-status" in told:
        return int(told["grpc-status"]), told.get("grpc-message", "")
    if reply.status == 200:
        return 0, ""
    return _FROM_HTTP.get(reply.status, 2), bytes(reply.body[:_MAX_TEXT]).decode(errors="replace")


def trailers(status: int, text: str = "", others: tuple[tuple[str, str], ...] = ()) -> bytes:
    """What ends a call whose head has been sent."""
    told = (("grpc-message", quote(text[:_MAX_TEXT], safe=_SAFE)),) if text else ()
    return encode((("grpc-status", str(status)), *told, *others))


def refusal(reply: Reply, request_id: str) -> bytes:
    """An answer without a message: its head and its end in one."""
    status, text = status_of(reply)
    others = tuple((n, v) for n, v in reply.headers if n not in ("grpc-status", "grpc-message"))
    return head(request_id) + trailers(status, text, others)
