"""Get a file by its URL, for requests that name one instead of sending it: only what the operator allows.

Where a URL may lead, `reach` decides; a redirect is a new URL for all of that. All refusals have one text, so that
nobody can feel their way around a network.
"""

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from urllib.parse import unquote, urljoin

from headway.engine.reach import Place, RefusedError, check_allowed, read_place
from headway.errors import BadInput, ConfigError
from headway.model.media import Part, safe_name
from headway.model.opening import Opened

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
TIMEOUT_S = 10.0
_STEP = 2**16
_MOVED = (301, 302, 303, 307, 308)


def allow(opened: Opened, urls: str, limit_bytes: int) -> None:
    """Let a model's files be got from the places that its settings name, if any. Raises ConfigError."""
    if allowed := [url.strip() for url in urls.split(",") if url.strip()]:
        try:
            fetcher = Fetcher(allowed, limit_bytes)
            for question in opened.questions:
                question.wire.fetch_with(fetcher)
        except (RefusedError, ValueError) as e:
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
        self._allowed = [read_place(url) for url in allowed]
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
                found = self._ask(read_place(url), end_at)
                if isinstance(found, Part):
                    return found
                url = urljoin(url, found)
            raise RefusedError(f"more than {MAX_REDIRECTS} redirects")
        except (RefusedError, OSError, http.client.HTTPException, ValueError) as e:
            log.info("fetch_refused", extra={"reason": f"{type(e).__name__}: {e}"[:200]})
            raise BadInput(
                "file: this URL can't be fetched, or may not be; send the file itself"
            ) from None

    def _ask(self, place: Place, end_at: float) -> Part | str:
        """The file, or where else it is."""
        check_allowed(place, self._allowed)
        connection = http.client.HTTPConnection(place.host, place.port)
        connection.sock = sock = self._connected(place, end_at)
        alarm = threading.Timer(_left(end_at), _cut, (sock,))
        alarm.start()
        try:
            headers = {"Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", place.target, headers=headers)
            with connection.getresponse() as answer:
                if answer.status in _MOVED:
                    return answer.getheader("location") or ""
                if answer.status != 200:
                    raise RefusedError(f"status {answer.status}")
                content = self._read(answer)
                _left(end_at)  # a connection that was cut ends like one that is done
            media = (answer.getheader("content-type") or "").partition(";")[0].strip().lower()
            return Part(content, _name(place), media)
        finally:
            alarm.cancel()
            connection.close()
            sock.close()

    def _connected(self, place: Place, end_at: float) -> socket.socket:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        sock = socket.create_connection((place.checked(found), place.port), _left(end_at))
        if place.scheme == "https":
            return ssl.create_default_context().wrap_socket(sock, server_hostname=place.host)
        return sock

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        pieces, size = [], 0
        while piece := answer.read1(_STEP):
            pieces.append(piece)
            size += len(piece)
            if size > self._limit_bytes:
                raise RefusedError("too large")
        if answer.length:
            raise RefusedError("cut short")
        return b"".join(pieces)


def _cut(sock: socket.socket) -> None:
    """End a connection whose time is over; who reads from it sees its end."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _left(end_at: float) -> float:
    left = end_at - time.monotonic()
    if left <= 0:
        raise RefusedError("too slow")
    return left


def _name(place: Place) -> str:
    try:
        return safe_name(unquote(place.path.rpartition("/")[2]), "file")
    except BadInput:
        return ""
