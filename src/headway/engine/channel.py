"""The control channel between the supervisor and its children: messages with file descriptors, over a socketpair.

    u32 length | u32 number of descriptors | msgpack

Thin I/O over a stream socket, so that it works wherever Unix sockets do. What is said on it is `messages`.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from struct import Struct as Layout

import msgspec

from headway.engine.messages import Message

_PREFIX = Layout("<II")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
_MAX_FDS = 250
_READ_BYTES = 1 << 18


class Channel:
    """One end of a control socketpair."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._pending = b""
        self._fds: list[int] = []

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.sock.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Say something; False if the other end is gone. Blocks no longer than the socket's time-out."""
        try:
            for data, riding in pieces(message, fds):
                sent = socket.send_fds(self.sock, [data], riding) if riding else 0
                self.sock.sendall(data[sent:])
        except OSError:
            return False
        return True

    def send_now(self, message: Message) -> bool:
        """Say something small that may be lost: on a non-blocking socket, and False if there is no room.

        The kernel takes so few bytes whole or not at all, so that the stream stays readable.
        """
        body = _encoder.encode(message)
        try:
            self.sock.send(_PREFIX.pack(len(body), 0) + body)
        except OSError:
            return False
        return True

    def read(self) -> list[tuple[Message, list[int]]] | None:
        """Read what has come, with its descriptors; None when the other end is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, _READ_BYTES, _MAX_FDS)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        self._fds += fds
        if not data:
            return None
        self._pending += data
        return self._cut()

    def read_now(self) -> list[tuple[Message, list[int]]] | None:
        """Read what has come, without waiting; None when there is nothing more."""
        self.sock.setblocking(False)
        return self.read() or None

    def close(self) -> None:
        """Close this end and what was received but not taken."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds = []
        self.sock.close()

    def _cut(self) -> list[tuple[Message, list[int]]]:
        messages = []
        while len(self._pending) >= _PREFIX.size:
            size, fds = _PREFIX.unpack_from(self._pending)
            end = _PREFIX.size + size
            if len(self._pending) < end or len(self._fds) < fds:
                break
            message = _decoder.decode(self._pending[_PREFIX.size : end])
            messages.append((message, self._fds[:fds]))
            self._fds = self._fds[fds:]
            self._pending = self._pending[end:]
        return messages


def pieces(message: Message, fds: Sequence[int] = ()) -> Iterator[tuple[bytes, list[int]]]:
    """A message as it is sent: bytes, and the descriptors that ride on the first of them."""
    body = _encoder.encode(message)
    data = _PREFIX.pack(len(body), len(fds)) + body
    at = 0
    # A lot of descriptors needs a byte to ride on: all but the last have one each of the prefix.
    while len(fds) > _MAX_FDS:
        yield data[at : at + 1], list(fds[:_MAX_FDS])
        at, fds = at + 1, fds[_MAX_FDS:]
    yield data[at:], list(fds)


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair for control messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
