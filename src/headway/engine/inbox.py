"""What a caller sends on while its request is answered, as the predictor takes it: item by item, from the socket.

A stream has its slot, and so the slot's socket, to itself until it ends: whoever wants the next item reads the socket,
and what is not wanted yet stays in it, which holds the sender back. No thread but the predictor's own.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from headway.engine import frames
from headway.engine.frames import BINARY, GONE, LAST, TEXT, Feed, Framer
from headway.errors import Cancelled

_RECEIVE_BYTES = 1 << 16

Item = tuple[bytes, bool]
"""Its bytes, and whether they are text."""


class Line(Protocol):
    """The slot's end of its socket to the gateway."""

    @property
    def sock(self) -> socket.socket:
        """The socket."""
        ...

    @property
    def framer(self) -> Framer:
        """What cuts its bytes."""
        ...

    @property
    def waiting(self) -> list[tuple[frames.Message, memoryview]]:
        """Where what is for the slot itself is kept."""
        ...


class Inbox:
    """The items of one request.

    Args:
        line: the slot's socket.
        id: of the request.
        left: told when the caller has left, before the predictor sees it.
    """

    def __init__(self, line: Line, id: int, left: Callable[[], object]) -> None:
        self._left = left
        self._line = line
        self._id = id
        self._items: deque[Item] = deque()
        self._end = 0

    def take(self) -> Item | None:
        """Wait for the next item; None after the last one.

        Raises:
            Cancelled: the caller has left.
        """
        while not (self._items or self._end):
            self._receive()
        return self._next()

    async def take_async(self) -> Item | None:
        """The same on the worker's loop, which goes on meanwhile."""
        loop = asyncio.get_running_loop()
        while not (self._items or self._end):
            ready: asyncio.Future[None] = loop.create_future()
            fd = self._line.sock.fileno()
            loop.add_reader(fd, _tell, loop, fd, ready)
            try:
                await ready
            finally:
                loop.remove_reader(fd)
            if not self._end:
                self._receive()
        return self._next()

    def close(self) -> None:
        """Take nothing more: the stream has ended, and the socket is the slot's again."""
        self._end = GONE

    async def aclose(self) -> None:
        """The same on the loop, beside whatever the predictor left running there."""
        self.close()

    def _next(self) -> Item | None:
        if self._end == GONE:
            raise Cancelled()
        return self._items.popleft() if self._items else None

    def _receive(self) -> None:
        try:
            data = self._line.sock.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self._add(GONE, b"")
        for frame in self._line.framer.feed(data) if data else ():
            message, buffers = frames.decode(frame)
            if not isinstance(message, Feed):
                self._line.waiting.append((message, buffers))
            elif message.id == self._id:
                self._add(message.kind, bytes(buffers))

    def _add(self, kind: int, data: bytes) -> None:
        if kind in (TEXT, BINARY):
            self._items.append((data, kind == TEXT))
        elif kind == LAST:
            self._end = max(self._end, LAST)
        else:
            self._left()
            self._end = GONE


def _tell(loop: asyncio.AbstractEventLoop, fd: int, ready: "asyncio.Future[Any]") -> None:
    loop.remove_reader(fd)
    if not ready.done():
        ready.set_result(None)
