"""The bytes of answers: status line, headers, chunks. Pure, but for the date that it is told.

Heads repeat themselves, so their beginnings are remembered until the date changes.
"""

import re
from http import HTTPStatus

from headway.protocols import Reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BODILESS = frozenset({204, 304})


class Answers:
    """Writes the heads of a gateway's answers."""

    def __init__(self, date: str = "") -> None:
        self._date = date
        self._starts: dict[tuple[int, str], str] = {}

    def set_date(self, date: str) -> None:
        """Take the value that `date` has from now on (RFC 9110 section 6.6.1)."""
        if date != self._date:
            self._date = date
            self._starts.clear()

    def whole(self, reply: Reply, request_id: str, connection: str = "") -> bytes:
        """The head of an answer whose body follows at once.

        Args:
            reply: what to answer.
            request_id: value of `x-request-id`; none if empty.
            connection: value of the header `connection`; none if empty.
        """
        start = self._starts.get((reply.status, reply.content_type)) or self._start(reply)
        rest = _fields(reply, request_id, connection)
        if reply.status in _BODILESS:
            return f"{start}{rest}\r\n".encode("latin-1", "replace")
        size = len(reply.body)
        return f"{start}content-length: {size}\r\n{rest}\r\n".encode("latin-1", "replace")

    def stream(self, reply: Reply, request_id: str, connection: str, *, is_chunked: bool) -> bytes:
        """The head of an answer in parts; one that is not chunked ends with the connection."""
        start = self._starts.get((reply.status, reply.content_type)) or self._start(reply)
        coding = "transfer-encoding: chunked\r\n" if is_chunked else ""
        rest = _fields(reply, request_id, connection)
        return f"{start}{coding}cache-control: no-cache\r\n{rest}\r\n".encode("latin-1", "replace")

    def _start(self, reply: Reply) -> str:
        start = f"HTTP/1.1 {reply.status} {_phrase(reply.status)}\r\n"
        if self._date:
            start += f"date: {self._date}\r\n"
        start += "x-content-type-options: nosniff\r\n"
        if reply.content_type:
            start += f"content-type: {_clean(reply.content_type)}\r\n"
        self._starts[reply.status, reply.content_type] = start
        return start


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _fields(reply: Reply, request_id: str, connection: str) -> str:
    fields = f"x-request-id: {_clean(request_id)}\r\n" if request_id else ""
    if connection:
        fields += f"connection: {connection}\r\n"
    for name, value in reply.headers:
        fields += f"{_clean(name)}: {_clean(value)}\r\n"
    return fields


def _clean(text: str) -> str:
    """Leave no byte in a header that could begin another one."""
    return text if text.isprintable() else _CONTROL.sub("?", text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
