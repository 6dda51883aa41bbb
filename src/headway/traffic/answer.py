"""The answer to one request, as its bytes arrive: RFC 9112, one answer at a time. Pure: no sockets.

Theory of operation. Most answers come in one piece, with status 200 and a content-length: `feed` sees that at a
glance. All others go to llhttp: pieces, chunks, other statuses, an end by closing.
"""

from typing import Any

import httptools

HEAD_BYTES = 256 * 1024
"""No answer's head is longer."""
BODY_BYTES = 64 * 2**20
"""No body that is kept is longer."""
_NAMES = (b"\r\ncontent-length: ", b"\r\nContent-Length: ")


class BadAnswer(Exception):
    """What came is no answer to one HTTP/1.1 request, or longer than is taken."""


class Answer:
    """One answer; `feed` it until it is whole.

    Args:
        keeps_body: whether anybody will look at the body.
    """

    __slots__ = (
        "_has_end",
        "_head_bytes",
        "_is_whole",
        "_parser",
        "_pieces",
        "_size",
        "body",
        "is_last",
        "keeps_body",
        "retry_after_s",
        "status",
    )

    def __init__(self, *, keeps_body: bool) -> None:
        self.keeps_body = keeps_body
        self.status = 0
        self.body = b""
        self.is_last = False
        """The server closes the connection after this answer."""
        self.retry_after_s = 0.0
        self._parser: Any = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._head_bytes = 0
        self._is_whole = False
        self._has_end = False

    def feed(self, data: bytes) -> bool:
        """Take bytes; True once the answer is whole. Raises BadAnswer."""
        if self._parser is None:
            if data.startswith(b"HTTP/1.1 200 ") and self._is_plain(data):
                return True
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as e:
            raise BadAnswer("it speaks another protocol now") from e
        except httptools.HttpParserError as e:
            own = e.__context__  # raised by one of the methods that llhttp calls
            if isinstance(own, BadAnswer):
                raise own from None
            raise BadAnswer(str(e) or type(e).__name__) from e
        if not self.status:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                raise BadAnswer(f"its head is longer than {HEAD_BYTES} bytes")
        return self._is_whole

    def _is_plain(self, data: bytes) -> bool:
        """Whether this is a whole answer that states its length and nothing unusual."""
        end = data.find(b"\r\n\r\n")
        at = data.find(_NAMES[0], 0, end)
        if at < 0:
            at = data.find(_NAMES[1], 0, end)
        if at < 0 or data.find(b"lose", 0, end) >= 0 or data.find(b"ransfer-", 0, end) >= 0:
            return False
        digits = data[at + 18 : data.find(b"\r", at + 18)]
        if not digits.isdigit() or len(data) != end + 4 + int(digits):
            return False
        self.status = 200
        if self.keeps_body:
            self.body = data[end + 4 :]
        return True

    def ends(self) -> bool:
        """The server has closed: whether that ends the answer, rather than cuts it off."""
        is_whole = bool(self.status) and not self._has_end and not self._is_whole
        if is_whole:
            self.body = b"".join(self._pieces)
        return is_whole

    # What llhttp calls

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._is_whole:
            raise BadAnswer("there are more bytes than one answer has")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note what says where the answer ends, and when to ask again."""
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._has_end = True
        elif lower == b"retry-after" and value.isdigit():
            self.retry_after_s = float(value[:9])

    def on_headers_complete(self) -> None:
        """Take the status; an interim one is passed over."""
        status = self._parser.get_status_code()
        self.status = 0 if 100 <= status < 200 else status
        self.is_last = not self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """Keep a piece, where that is wanted."""
        if self.keeps_body:
            self._size += len(piece)
            if self._size > BODY_BYTES:
                raise BadAnswer(f"its body is longer than {BODY_BYTES} bytes")
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self.status:
            self._is_whole = True
            self.body = b"".join(self._pieces)
