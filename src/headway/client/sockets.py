"""Blocking connections for `Client`: sockets, TLS, and places among them. Nothing here decides anything."""

import os
import select
import socket
import ssl
import threading
import time

from headway.client.address import Address
from headway.client.pool import Pool
from headway.errors import ConfigError

_PIECE_BYTES = 256 * 2**10
Verify = bool | str | ssl.SSLContext


def tls_context(address: Address, verify: Verify) -> ssl.SSLContext | None:
    """How TLS is spoken; None where it is not.

    Args:
        address: of the server.
        verify: True for the system's authorities, a path for those in a file, False for anybody.

    Raises:
        ConfigError: the file can't be read.
    """
    if not address.is_tls:
        return None
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as e:
        raise ConfigError(where=f"`verify` {verify!r}", problem=f"can't be read ({e})") from e
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SocketConnection:
    """One connection that blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        self._sock.settimeout(timeout_s)
        self._sock.sendall(data)

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; none at the end."""
        self._sock.settimeout(timeout_s)
        return self._sock.recv(_PIECE_BYTES)

    def close(self) -> None:
        """Close it at once."""
        self._sock.close()

    def is_stale(self) -> bool:
        """The other end has closed it, or has said something unasked."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))


class Sockets:
    """The connections of one blocking client; any number of threads may use it, and children of a fork.

    Args:
        address: of the server.
        most: connections at a time.
        tls: how TLS is spoken.
    """

    def __init__(self, address: Address, most: int, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._most = most
        self._tls = tls
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._places = threading.Semaphore(self._most)
        self.pool: Pool[SocketConnection] = Pool()

    async def enter(self, timeout_s: float) -> None:
        """Wait for a place among the connections. Raises TimeoutError."""
        if self._pid != os.getpid():
            # A fork's child: the connections are its parent's, whose answers it must not read.
            inherited = self.pool
            self._start()
            inherited.drop()
        if not self._places.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
            raise TimeoutError

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    async def open(self, timeout_s: float) -> SocketConnection:
        """Connect. Raises OSError."""
        if self._address.unix:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.settimeout(timeout_s)
                sock.connect(self._address.unix)
            except BaseException:
                sock.close()
                raise
            return SocketConnection(sock)
        sock = socket.create_connection((self._address.host, self._address.port), timeout_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._address.host)
        except BaseException:
            sock.close()
            raise
        return SocketConnection(sock)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close what is idle, and what is in use as soon as it is not."""
        self.pool.close()
