"""Asynchronous connections for `AsyncClient`, on asyncio. Nothing here decides anything."""

import asyncio
import ssl
from contextlib import suppress

from headway.client.address import Address
from headway.client.pool import Pool

_MUCH_BYTES = 2**20
"""Unread bytes at which reading pauses."""


class LoopConnection(asyncio.Protocol):
    """One connection of an event loop."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._has_ended = False
        self._error: Exception | None = None
        self._is_paused = False

    # What the client calls

    async def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it: until the kernel or the transport's buffer has it."""
        transport = self._open_transport()
        transport.write(data)
        if not self._writable.is_set():
            async with asyncio.timeout(timeout_s):
                await self._writable.wait()
            self._open_transport()

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; none at the end."""
        if not self._unread and not self._has_ended:
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(timeout_s):
                await self._waiter
        if not self._unread and self._error is not None:
            raise self._error
        data = bytes(self._unread)
        self._unread.clear()
        if self._is_paused and self._transport is not None and not self._has_ended:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            with suppress(RuntimeError):  # its loop is closed, and so is the connection
                self._transport.abort()

    def is_stale(self) -> bool:
        """The other end has closed it, or has said something unasked."""
        return self._has_ended or bool(self._unread)

    def _open_transport(self) -> asyncio.Transport:
        if self._error is not None:
            raise self._error
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        return self._transport

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._unread += data
        if len(self._unread) >= _MUCH_BYTES and not self._is_paused and self._transport:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The other end sends no more."""
        self._has_ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._has_ended = True
        self._error = exc
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """The other end does not keep up."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Loops:
    """The connections of one asynchronous client: of one event loop at a time.

    Args:
        address: of the server.
        most: connections at a time.
        tls: how TLS is spoken.
    """

    def __init__(self, address: Address, most: int, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._most = most
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(most)
        self.pool: Pool[LoopConnection] = Pool()

    async def enter(self, timeout_s: float) -> None:
        """Wait for a place among the connections. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections of a loop that has ended, or of a fork's parent, can't be waited for in this one.
            self.pool.drop()
            self._loop, self._places, self.pool = loop, asyncio.Semaphore(self._most), Pool()
        if self._places.locked():
            async with asyncio.timeout(timeout_s):
                await self._places.acquire()
        else:
            await self._places.acquire()

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    async def open(self, timeout_s: float) -> LoopConnection:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            if self._address.unix:
                _, made = await loop.create_unix_connection(LoopConnection, self._address.unix)
            else:
                _, made = await loop.create_connection(
                    LoopConnection, self._address.host, self._address.port, ssl=self._tls
                )
        return made

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close what is idle, and what is in use as soon as it is not."""
        self.pool.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next step
