"""HTTP/1.1 as a client speaks it: requests to bytes, bytes to answers (RFC 9112). No socket, no clock.

llhttp (httptools) parses; here is what is done with what it finds, and the limits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import httptools

from headway.client.address import Address
from headway.errors import BadAnswer, ConfigError, Unreachable

MAX_HEAD_BYTES: Final = 256 * 2**10
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "te"})


@dataclass(slots=True)
class Answer:
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names; repeated ones joined by a comma (RFC 9110 section 5.3)."""
    body: bytes = b""

    @property
    def media(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def write_head(
    address: Address,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    body_bytes: int,
) -> bytes:
    """The head of a request whose body follows.

    Args:
        address: of the server.
        method: GET or POST.
        path: below the address's prefix, percent-encoded.
        headers: names and values, already checked (`check_headers`).
        body_bytes: length of the body.
    """
    lines = [f"{method} {address.prefix}{path} HTTP/1.1\r\nhost: {address.name}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    if body_bytes or method == "POST":
        lines.append(f"content-length: {body_bytes}\r\n")
    return ("".join(lines) + "\r\n").encode("latin-1")


def check_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers that a caller wants to send, if they can't become anything else.

    Raises:
        ConfigError: a name or value holds what no header may, or is one that the client writes.
    """
    for name, value in headers.items():
        if name.lower() in _OURS:
            raise ConfigError(where=f"header {name!r}", problem="the client writes it itself")
        is_name = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not is_name or not isinstance(value, str) or not value.isprintable():
            raise ConfigError(where=f"header {name[:80]!r}", problem="it holds what no header may")
        if not _is_latin(value):
            raise ConfigError(where=f"header {name!r}", problem="its value is not Latin-1")
    return tuple((name.lower(), value) for name, value in headers.items())


def _is_latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)


def path_of(model: str, version: str, op: str = "") -> str:
    """The path of a model in the native dialect."""
    at = f"/models/{quote(model, safe='')}"
    at += f"/versions/{quote(version, safe='')}" if version else ""
    return f"{at}/{op}" if op else at


@dataclass(slots=True)
class Reader:
    """Reads one answer from pieces of any size.

    Args:
        url: of the server, for errors.
    """

    url: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    has_head: bool = False
    is_done: bool = False
    is_reusable: bool = False
    """The connection can take another request: the answer has ended as its head said, and nothing follows."""
    seen: int = 0
    _pieces: list[bytes] = field(default_factory=list)
    _head_bytes: int = 0
    _parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    # What connections call

    def feed(self, data: bytes) -> None:
        """Take the next piece; b"" is the end of the connection.

        Raises:
            BadAnswer: it is no HTTP.
            Unreachable: the connection ended before the answer did.
        """
        if not data:
            self._end()
            return
        self.seen += len(data)
        if self.is_done:
            self.is_reusable = False
            return
        if not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + len(data):
                raise self._bad("a head that does not end")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as e:
            raise self._bad("another protocol") from e
        except httptools.HttpParserError as e:
            if self.is_done:
                self.is_reusable = False
                return
            raise self._bad(f"no HTTP ({e})") from e

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        return body

    def put_back(self, body: bytes) -> None:
        """Give back what was taken."""
        self._pieces.insert(0, body)

    def _end(self) -> None:
        is_framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self.is_done:
            self.is_reusable = False
        elif self.has_head and not is_framed:
            self.is_done = True  # RFC 9112 section 6.3: the body ends with the connection
        else:
            where = "in the middle of its answer" if self.seen else "before it answered"
            reason = f"the connection ended {where}"
            raise Unreachable(url=self.url, reason=reason, is_sent=True, seen=self.seen)

    def _bad(self, found: str) -> BadAnswer:
        return BadAnswer(url=self.url, found=found)

    # What the parser calls

    def on_message_begin(self) -> None:
        """A head begins: the answer's, or one of those before it (1xx)."""
        if self.is_done:  # a second answer, which nobody asked for
            self.is_reusable = False
            return
        self.status, self.headers = 0, {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        if self.is_done:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """The head has ended."""
        if self.is_done:
            return
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= 200

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.is_done:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer has ended, unless it was only a 1xx before it."""
        if self.has_head and not self.is_done:
            self.is_done = True
            self.is_reusable = bool(self._parser.should_keep_alive())
