"""Get a file by its URL, for requests that name one instead of sending it: only what the operator allows.

Theory of operation. A URL must begin with one of the allowed ones, compared by scheme, host, port and path.
Its host is resolved once, every address is checked, and the connection goes to one that was checked; a
redirect is a new URL for all of this. An address that is not public is reached only where the allowed URL
names that very address. All refusals have one text, so that nobody can feel their way around a network.
"""

import contextlib
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from headway.errors import BadInput, ConfigError
from headway.model.media import Part, safe_name
from headway.model.opening import Opened

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
TIMEOUT_S = 10.0
_STEP = 2**16
_PORTS = {"http": 80, "https": 443}
_MOVED = (301, 302, 303, 307, 308)


class _RefusedError(Exception):
    """Why a URL was not got: for the log, never for the caller."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    query: str


def allow(opened: Opened, urls: str, limit_bytes: int) -> None:
    """Let a model's files be got from the places that its settings name, if any. Raises ConfigError."""
    if allowed := [url.strip() for url in urls.split(",") if url.strip()]:
        try:
            opened.wire.fetch_with(Fetcher(allowed, limit_bytes))
        except (_RefusedError, ValueError) as e:
            raise ConfigError(where="`fetch_urls`", problem=f"it holds {e}") from e


class Fetcher:
    """Gets files from the allowed places.

    Args:
        allowed: beginnings of URLs.
        limit_bytes: of a file.
    """

    def __init__(
        self, allowed: Sequence[str], limit_bytes: int, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._allowed = [_place(url) for url in allowed]
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s

    def __call__(self, url: str) -> Part:
        """Get a file.

        Raises:
            BadInput: with one text, whatever the reason.
        """
        end_at = time.monotonic() + self._timeout_s
        try:
            for _ in range(MAX_REDIRECTS + 1):
                found = self._ask(_place(url), end_at)
                if isinstance(found, Part):
                    return found
                url = urljoin(url, found)
            raise _RefusedError(f"more than {MAX_REDIRECTS} redirects")
        except (_RefusedError, OSError, http.client.HTTPException, ValueError) as e:
            log.info("fetch_refused", extra={"reason": f"{type(e).__name__}: {e}"[:200]})
            raise BadInput(
                "file: this URL can't be fetched, or may not be; send the file itself"
            ) from None

    def _ask(self, place: _Place, end_at: float) -> Part | str:
        """The file, or where else it is."""
        if not any(_is_within(place, a) for a in self._allowed):
            raise _RefusedError("no allowed URL")
        connection = http.client.HTTPConnection(place.host, place.port)
        connection.sock = sock = self._connected(place, end_at)
        alarm = threading.Timer(_left(end_at), _cut, (sock,))
        alarm.start()
        try:
            target = place.path + (f"?{place.query}" if place.query else "")
            headers = {"Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", target, headers=headers)
            with connection.getresponse() as answer:
                if answer.status in _MOVED:
                    return answer.getheader("location") or ""
                if answer.status != 200:
                    raise _RefusedError(f"status {answer.status}")
                content = self._read(answer)
                _left(end_at)  # a connection that was cut ends like one that is done
            media = (answer.getheader("content-type") or "").partition(";")[0].strip().lower()
            return Part(content, _name(place), media)
        finally:
            alarm.cancel()
            connection.close()
            sock.close()

    def _connected(self, place: _Place, end_at: float) -> socket.socket:
        addresses = _addresses(place)
        for address in addresses:
            if not address.is_global and place.host != str(address):
                raise _RefusedError("an address that is not public")
        sock = socket.create_connection((str(addresses[0]), place.port), _left(end_at))
        if place.scheme == "https":
            return ssl.create_default_context().wrap_socket(sock, server_hostname=place.host)
        return sock

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        pieces, size = [], 0
        while piece := answer.read1(_STEP):
            pieces.append(piece)
            size += len(piece)
            if size > self._limit_bytes:
                raise _RefusedError("too large")
        if answer.length:
            raise _RefusedError("cut short")
        return b"".join(pieces)


def _cut(sock: socket.socket) -> None:
    """End a connection whose time is over; who reads from it sees its end."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _left(end_at: float) -> float:
    left = end_at - time.monotonic()
    if left <= 0:
        raise _RefusedError("too slow")
    return left


def _place(url: str) -> _Place:
    """Take a URL apart; what readers of URLs disagree on is refused."""
    if "\\" in url or not url.isascii() or not url.isprintable() or " " in url or len(url) > 2048:
        raise _RefusedError("an odd URL")
    parts: SplitResult = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".").lower()
    if scheme not in _PORTS or not host or "@" in parts.netloc or parts.fragment:
        raise _RefusedError("an odd URL")
    path = parts.path or "/"
    if any(p in ("..", ".") for p in unquote(unquote(path)).replace("\\", "/").split("/")):
        raise _RefusedError("a path with dots")
    return _Place(scheme, host, parts.port or _PORTS[scheme], path, parts.query)


def _is_within(place: _Place, allowed: _Place) -> bool:
    is_there = (place.scheme, place.host, place.port) == (
        allowed.scheme,
        allowed.host,
        allowed.port,
    )
    home = allowed.path if allowed.path.endswith("/") else allowed.path + "/"
    return is_there and (place.path == allowed.path or place.path.startswith(home))


def _addresses(place: _Place) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
    return [getattr(a, "ipv4_mapped", None) or a for a in addresses]


def _name(place: _Place) -> str:
    try:
        return safe_name(unquote(place.path.rpartition("/")[2]), "file")
    except BadInput:
        return ""
