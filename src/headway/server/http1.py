"""Read HTTP/1.1 requests: bytes in, whole requests or a `FramingError` out. No I/O, no clock.

RFC 9110 and 9112, read strictly: what two parsers could understand in two ways is refused, because
that is how a request is smuggled past a proxy. llhttp checks the syntax of a head; what it leaves
open is checked here. Parsing a head is a pure function of its bytes and clients repeat theirs byte
for byte, so `Heads` remembers the last ones. Bodies are cut from the buffer; `chunks` reads chunked
ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

from headway.server.chunks import Chunks, Dropped, FramingError, Pieces

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"})
_END = b"\r\n\r\n"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])")
_ORIGIN = re.compile(rb"(/[^?#]*)(?:\?([^#]*))?")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(/[^?#]*)?(?:\?([^#]*))?")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_TEXT = bytes({*range(0x20, 0x7F), *range(0x80, 0x100), 0x09, 0x0A, 0x0D})
_ONCE = frozenset({"host", "content-length", "transfer-encoding", "expect", "content-type"})
_TWINS = frozenset(
    name.replace("-", "_")
    for name in (
        *("content-length", "transfer-encoding", "content-type", "content-encoding", "x-api-key"),
        *("x-request-id", "x-forwarded-for", "inference-header-content-length"),
    )
)
_MAX_METHOD = 32
_MAX_DIGITS = 20
_MAX_KNOWN = 4096
_MAX_KNOWN_BYTES = 2048

__all__ = ["METHODS", "FramingError", "Head", "Heads", "Limits", "Reader", "Request"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a request is read before it is refused, and as what its path is read."""

    max_head_bytes: int = 16 * 2**10
    max_headers: int = 100
    max_target_bytes: int = 8 * 2**10
    max_body_bytes: int = 64 * 2**20
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of paths: what is asked at one is as if it were asked at the path that it stands for."""
    root_path: str = ""
    """What is asked below this path is as if it were asked without it."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The head of a request. Requests whose heads are equal byte for byte share one."""

    method: str
    path: str
    """As it was sent, still percent-encoded, or what that is an alias of; `*` only with OPTIONS."""
    query: str
    headers: Mapping[str, str]
    """Lower-case names; a repeated one is joined by ", "."""
    is_keep_alive: bool
    is_http10: bool = False
    content_length: int = 0
    is_chunked: bool = False
    expects_continue: bool = False
    memo: dict[str, Any] = field(default_factory=dict)
    """Room for what the application works out from this head alone, as its route."""


Request = tuple[Head, bytes]


class Reader:
    """The requests of one connection: feed bytes, take requests one after another.

    `head` is the head of the request whose body is still on its way, else None. A `FramingError` is
    the end: nothing that follows can be trusted to begin where a request begins.
    """

    __slots__ = ("_at", "_body", "_buffer", "_heads", "_missing", "_scanned", "head")

    def __init__(self, heads: "Heads") -> None:
        self._heads = heads
        self._buffer = b""
        self._at = 0
        self._scanned = 0
        self._body: Chunks | Pieces | None = None
        self._missing = 0
        self.head: Head | None = None

    def feed(self, data: bytes) -> None:
        """Take what the connection received."""
        if self._at == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._at :] + data
            self._scanned -= self._at
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Nothing of a next request is here."""
        return self._at == len(self._buffer) and self.head is None

    @property
    def is_head_only(self) -> bool:
        """What is being read asks with HEAD, so that not even a refusal has a body (RFC 9110 9.3.2)."""
        if self.head is not None:
            return self.head.method == "HEAD"
        return self._buffer[self._at : self._at + 7].removeprefix(b"\r\n").startswith(b"HEAD ")

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait to be read as requests."""
        return len(self._buffer) - self._at

    @property
    def body_bytes(self) -> int:
        """How much of the present body has arrived."""
        return self._body.size if self._body is not None else 0

    @property
    def is_dropping(self) -> bool:
        """The body on its way is read past."""
        return isinstance(self._body, Dropped)

    def drop_body(self) -> None:
        """Read past the body on its way, and keep nothing of it: its request has been taken."""
        self._body = Dropped()

    def drop(self) -> None:
        """Forget all that has arrived: nothing that follows is read."""
        self._buffer = b""
        self._at = self._scanned = 0
        self.head = self._body = None

    def begins_with(self, data: bytes) -> bool:
        """Whether what has not been read as a request begins so."""
        return self._buffer.startswith(data, self._at)

    def take_rest(self) -> bytes:
        """What has arrived and is no request any more: another protocol is spoken from here on."""
        rest, self._buffer, self._at = self._buffer[self._at :], b"", 0
        return rest

    def next_request(self) -> Request | None:
        """Take the next whole request; None until more bytes come.

        Raises:
            FramingError: the bytes are no request that may be served.
        """
        if self._body is not None:
            return self._read_body()
        buffer, at = self._buffer, self._at
        end = buffer.find(_END, self._scanned if self._scanned > at else at)
        if end < 0:
            if at < len(buffer):
                self._heads.check_part(buffer[at:])
                self._scanned = len(buffer) - 3
            return None
        end += 4
        raw = buffer[at:end]
        head = self._heads.known.get(raw)
        if head is None:
            head = self._heads.parse(raw)
        self._scanned = 0
        if head.is_chunked:
            return self._begin_body(head, end, Chunks(self._heads.limits.max_body_bytes))
        stop = end + head.content_length
        if stop > len(buffer):
            self._missing = head.content_length
            return self._begin_body(head, end, Pieces())
        self._at = stop
        return head, buffer[end:stop]

    def _begin_body(self, head: Head, at: int, body: Chunks | Pieces) -> Request | None:
        self.head, self._body, self._at = head, body, at
        return self._read_body()

    def _read_body(self) -> Request | None:
        body = self._body
        if isinstance(body, Chunks):
            self._at = body.take(self._buffer, self._at)
            if not body.is_done:
                return None
            content = body.pieces.join()
        elif isinstance(body, Pieces):
            piece = self._buffer[self._at : self._at + self._missing]
            self._at += len(piece)
            self._missing -= len(piece)
            body.add(piece)
            if self._missing:
                return None
            content = body.join()
        head, self.head, self._body = self.head, None, None
        if head is None or isinstance(body, Dropped):
            return self.next_request()
        return head, content


class Heads:
    """Parses heads and remembers them, for all connections of a gateway."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.known: dict[bytes, Head] = {}

    def parse(self, raw: bytes) -> Head:
        """Parse one head, up to and with its empty line.

        Raises:
            FramingError: its syntax is wrong, it is too large, or it asks for what is not done.
        """
        # RFC 9112 2.2: "SHOULD ignore at least one empty line (CRLF) received prior to the
        # request-line". One before each request, and no more: what sends two is out of step.
        text = raw.removeprefix(b"\r\n")
        self._check_size(text)
        _check_bytes(text)
        line = text[: text.index(b"\r\n")]
        found = _REQUEST_LINE.fullmatch(line)
        if found is None:
            raise _bad_line(line)
        method, target, is_http10 = _read_line(found)
        pairs = _read_fields(text, self.limits.max_body_bytes)
        path, query, authority = _read_target(method, target)
        root = self.limits.root_path
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        path = self.limits.aliases.get(path, path)
        head = _build(method, path, query, _merge(pairs), is_http10=is_http10)
        _check_host(head, authority)
        if head.content_length > self.limits.max_body_bytes:
            raise too_large(self.limits.max_body_bytes)
        if len(raw) <= _MAX_KNOWN_BYTES:
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()
            self.known[raw] = head
        return head

    def check_part(self, part: bytes) -> None:
        """Refuse a head that can't become right any more, though its end has not arrived.

        Raises:
            FramingError: as `parse` would.
        """
        part = part.removeprefix(b"\r\n")
        if part[:1] == b"\x16":
            raise FramingError(400, "this port speaks plain HTTP, and a TLS handshake arrived")
        whole = part[:-1] if part.endswith(b"\r") else part
        _check_bytes(whole)
        self._check_size(part)

    def _check_size(self, text: bytes) -> None:
        limits = self.limits
        line_end = text.find(b"\r\n")
        line_bytes = len(text) if line_end < 0 else line_end
        if line_bytes > limits.max_target_bytes:
            _check_line_size(text, line_bytes, limits.max_target_bytes)
        if len(text) > limits.max_head_bytes:
            raise FramingError(431, f"the head is larger than {limits.max_head_bytes} bytes")
        if text.count(b"\n") > limits.max_headers + 2:
            raise FramingError(431, f"the request has more than {limits.max_headers} headers")


def _check_line_size(text: bytes, line_bytes: int, limit_bytes: int) -> None:
    start = text.find(b" ", 0, _MAX_METHOD + 1) + 1
    if not start:
        raise FramingError(400, "the request line does not begin with a method")
    stop = text.find(b" ", start, line_bytes)
    if (line_bytes if stop < 0 else stop) - start > limit_bytes:
        raise FramingError(414, f"the request target is longer than {limit_bytes} bytes")


def _check_bytes(text: bytes) -> None:
    """Refuse control bytes, lines that do not end in CRLF, and folded ones (obs-fold)."""
    if text.translate(None, _TEXT):
        raise FramingError(400, "the head holds a control byte")
    ends = text.count(b"\r\n")
    if text.count(b"\n") != ends or text.count(b"\r") != ends:
        raise FramingError(400, "each line of the head must end in CR LF")
    if b"\r\n " in text or b"\r\n\t" in text:
        raise FramingError(400, "a header line may not be folded")


def _bad_line(line: bytes) -> FramingError:
    method, _, rest = line.partition(b" ")
    if len(method) > _MAX_METHOD:
        return FramingError(501, "the method is not known here")
    if rest and re.fullmatch(rb".*HTTP/[0-9]\.[0-9]", rest) is None and b"HTTP/" in rest:
        return FramingError(400, "the HTTP version is malformed")
    return FramingError(400, "the request line must be METHOD TARGET HTTP/1.1")


def _read_line(found: re.Match[bytes]) -> tuple[str, bytes, bool]:
    name, target, major, minor = found.groups()
    if (major, minor) not in {(b"1", b"1"), (b"1", b"0")}:
        raise FramingError(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
    method = name.decode("ascii")
    if method not in METHODS:
        raise FramingError(501, "the method is not known here")
    return method, target, minor == b"0"


def _read_target(method: str, target: bytes) -> tuple[str, str, str]:
    """Split a target into path, query and, where it is absolute, authority."""
    if origin := _ORIGIN.fullmatch(target):
        path, query = origin.groups(b"")
        return path.decode("ascii"), query.decode("ascii"), ""
    if absolute := _ABSOLUTE.fullmatch(target):
        authority, path, query = absolute.groups(b"")
        return (path or b"/").decode("ascii"), query.decode("ascii"), authority.decode("ascii")
    if target == b"*" and method == "OPTIONS":
        return "*", "", ""
    raise FramingError(400, "the request target must be a path that begins with /")


class _Fields:
    """What llhttp calls back."""

    __slots__ = ("is_complete", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _read_fields(text: bytes, max_body_bytes: int) -> list[tuple[bytes, bytes]]:
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(text)
    except httptools.HttpParserUpgrade:
        pass  # RFC 9110 7.8: "A server MAY ignore a received Upgrade header field"
    except httptools.HttpParserError as e:
        if "Content-Length overflow" in str(e):
            raise too_large(max_body_bytes) from e
        raise FramingError(400, f"the head is malformed: {e}") from e
    if not fields.is_complete:
        raise FramingError(400, "the head is malformed")
    return fields.pairs


def _merge(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("ascii").lower()
        value = raw_value.strip(b" \t").decode("latin-1")
        if name in _TWINS:
            continue  # a gateway that turns _ into - would let it take the real one's place
        if name in headers:
            if name in _ONCE:
                raise FramingError(400, f"the header {name} is given twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _build(method: str, path: str, query: str, headers: dict[str, str], *, is_http10: bool) -> Head:
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return Head(
        method=method,
        path=path,
        query=query,
        headers=headers,
        is_keep_alive="close" not in options and (not is_http10 or "keep-alive" in options),
        is_http10=is_http10,
        content_length=_read_length(headers.get("content-length", "0")),
        is_chunked=_read_coding(headers, is_http10=is_http10),
        expects_continue=_read_expect(headers) and not is_http10,
    )


def _read_length(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
        raise FramingError(400, "Content-Length must be a decimal number")
    return int(value)  # llhttp has refused what does not fit in 64 bits


def _read_coding(headers: Mapping[str, str], *, is_http10: bool) -> bool:
    value = headers.get("transfer-encoding")
    if value is None:
        return False
    if "content-length" in headers:
        raise FramingError(400, "Content-Length and Transfer-Encoding are given both")
    if is_http10:
        raise FramingError(400, "HTTP/1.0 knows no Transfer-Encoding")
    if value.lower() != "chunked":
        raise FramingError(501, "the only transfer coding known here is chunked")
    return True


def _read_expect(headers: Mapping[str, str]) -> bool:
    value = headers.get("expect")
    if value is not None and value.lower() != "100-continue":
        raise FramingError(417, "the only expectation met here is 100-continue")
    return value is not None


def _check_host(head: Head, authority: str) -> None:
    """Demand one Host, and the target's own where the target is absolute (RFC 9112 3.2)."""
    host = head.headers.get("host")
    if host is None and not head.is_http10:
        raise FramingError(400, "the header Host is missing")
    if host is not None and _HOST.fullmatch(host) is None:
        raise FramingError(400, "the header Host is malformed")
    if authority and host is not None and authority.lower() != host.lower():
        raise FramingError(400, "the header Host is not the target's")


def too_large(limit_bytes: int) -> FramingError:
    """The refusal of a body over the limit."""
    return FramingError(413, f"the body is larger than the limit of {limit_bytes} bytes")
