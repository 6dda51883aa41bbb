"""One connection of the generator: opened, encrypted, asked, read; it never waits. Sockets live here alone."""

import errno
import os
import selectors
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from headway.traffic.answer import Answer, BadAnswer

_CHUNK_BYTES = 256 * 1024
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_UNDER_WAY = (0, errno.EINPROGRESS)
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Broken(Exception):
    """A connection came to nothing; `code` says how: refused, unreachable, tls, reset, closed, garbage."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service listens."""

    family: int
    address: Any
    tls: ssl.SSLContext | None = None
    tls_name: str = ""


def find_place(host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> Place:
    """The first address of a host that takes a connection. Raises Broken."""
    try:
        with socket.create_connection((host, port), timeout_s) as sock:
            return Place(sock.family, sock.getpeername(), tls, host)
    except OSError as e:
        raise broken(e) from e


def unix_place(path: str) -> Place:
    """A Unix socket."""
    return Place(socket.AF_UNIX, path)


def trust(*, ca_file: str, is_insecure: bool) -> ssl.SSLContext:
    """Whom to believe. Raises OSError: the file can't be read or holds no certificate."""
    context = ssl.create_default_context(cafile=ca_file or None)
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def broken(error: OSError) -> Broken:
    """What an error of a socket means."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Broken("closed", "the server closed the connection")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Broken("tls", f"its certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Broken("tls", f"TLS: {error.reason or error}")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return Broken("refused", "nothing listens there")
    if isinstance(error, ConnectionError):
        return Broken("reset", error.strerror or "the connection was reset")
    return Broken("unreachable", error.strerror or str(error) or type(error).__name__)


class Connection:
    """Asks one request at a time; opens itself for the first, and again after it was closed.

    Args:
        place: where.
        selector: tells when to `turn`.
    """

    __slots__ = (
        *("answer", "due", "index", "is_busy", "sent_at"),
        *("_events", "_is_open", "_is_plain", "_out", "_place", "_selector", "_sock"),
    )

    def __init__(self, place: Place, selector: selectors.BaseSelector) -> None:
        self._place = place
        self._selector = selector
        self._sock: Any = None
        self._is_plain = place.tls is None
        self._is_open = False
        """Connected and, where asked for, encrypted."""
        self._events = 0
        self._out: memoryview | bytes = b""
        """What the socket has not taken yet."""
        self.is_busy = False
        self.index = 0
        """Which request is being answered."""
        self.due = 0.0
        self.sent_at = 0.0
        self.answer = Answer(keeps_body=False)

    def ask(self, request: bytes, answer: Answer) -> None:
        """Send a request, or begin to. Raises Broken."""
        self.answer = answer
        self.is_busy = True
        self._out = request
        try:
            if self._is_open:
                self._write()
            else:
                self._open()
        except OSError as e:
            raise broken(e) from e

    def turn(self, events: int) -> bool:
        """Do what can be done now; True once the answer is whole. Raises Broken."""
        try:
            if not self._is_open and not self._go_on():
                return False
            if self._out:
                self._write()
            return bool(events & _READ) and self._read()
        except OSError as e:
            raise broken(e) from e
        except BadAnswer as e:
            raise Broken("garbage", str(e)) from e

    def close(self) -> None:
        """Forget the socket; the next request opens another."""
        if self._sock is not None:
            if self._events:
                self._selector.unregister(self._sock)
            self._sock.close()
        self._sock = None
        self._is_open = self.is_busy = False
        self._events = 0

    def _open(self) -> None:
        self._sock = socket.socket(self._place.family, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        if self._place.family != socket.AF_UNIX:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._sock.connect_ex(self._place.address)
        if code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
        self._want(_WRITE)

    def _go_on(self) -> bool:
        """Move the opening on; True once it is done."""
        if self._place.tls is not None and not isinstance(self._sock, ssl.SSLSocket):
            self._check()
            self._selector.unregister(self._sock)
            self._events = 0
            self._sock = self._place.tls.wrap_socket(
                self._sock, server_hostname=self._place.tls_name, do_handshake_on_connect=False
            )
        if self._is_plain:
            self._check()
        else:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                self._want(_READ)
                return False
            except ssl.SSLWantWriteError:
                self._want(_WRITE)
                return False
        self._is_open = True
        return True

    def _check(self) -> None:
        """See how the attempt to connect went."""
        if code := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._out)
        except _AGAIN:
            sent = 0
        if sent == len(self._out):
            self._out = b""
            if self._events != _READ:
                self._want(_READ)
        else:
            self._out = memoryview(self._out)[sent:]
            self._want(_READ | _WRITE)

    def _read(self) -> bool:
        try:
            data = self._sock.recv(_CHUNK_BYTES)
            while not self._is_plain and self._sock.pending():
                data += self._sock.recv(_CHUNK_BYTES)
        except _AGAIN:
            return False
        if not self.is_busy:
            raise Broken("closed", "the server closed, or said something, between two requests")
        if data:
            return self.answer.feed(data)
        if self.answer.ends():
            self.answer.is_last = True
            return True
        raise Broken("closed", "the server closed the connection before its answer was whole")

    def _want(self, events: int) -> None:
        """Ask the selector to tell when this can be done."""
        if not self._events:
            self._selector.register(self._sock, events, self)
        elif events != self._events:
            self._selector.modify(self._sock, events, self)
        self._events = events
