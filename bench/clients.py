"""Clients that give up, leave and are refused: asyncio, raw HTTP/1.1, one connection each.

The generators of `drive.py` call a run void at the first error; the questions under fault are about
errors, so here every request ends as an `Outcome`.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bench.load import content_length

OK = "200"
BROKEN = "broken"
"""Reset, closed or not accepted before a whole answer."""
GAVE_UP = "no answer"
"""None within the client's patience."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended: a status, BROKEN or GAVE_UP; moments of time.monotonic()."""

    kind: str
    due: float
    ended: float

    @property
    def seconds(self) -> float:
        """From the moment it was due."""
        return self.ended - self.due


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str] | None = None
        self.is_open = False

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect, or raise OSError."""
        _, made = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits has no answer."""
        self.is_open = False
        self._settle(BROKEN)

    def data_received(self, data: bytes) -> None:
        """Settle the request once its answer is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        if b"\ntransfer-encoding: chunked" in head:
            is_whole = self._buffer.endswith(b"\r\n0\r\n\r\n")
        else:
            is_whole = len(self._buffer) >= end + 4 + content_length(head)
        if is_whole:
            if b"\nconnection: close" in head:
                self.close()
            self._settle(head[9:12].decode())

    async def ask(self, request: bytes) -> str:
        """Send, and answer the status or BROKEN."""
        assert self._transport is not None
        self._buffer.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Leave, whatever is under way."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, kind: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(kind)


class Crowd:
    """Many clients of one server, and how all of their requests ended."""

    def __init__(self, port: int, requests: Sequence[bytes], patience_s: float) -> None:
        self.outcomes: list[Outcome] = []
        self._port = port
        self._requests = requests
        self._patience_s = patience_s
        self._turn = 0
        self._idle: list[Connection] = []

    async def ask(self, due: float | None = None) -> Outcome:
        """One request over an idle connection or a new one."""
        due = time.monotonic() if due is None else due
        self._turn += 1
        request = self._requests[self._turn % len(self._requests)]
        kind = GAVE_UP
        with suppress(TimeoutError):
            async with asyncio.timeout(due + self._patience_s - time.monotonic()):
                kind = await self._over_one(request)
        outcome = Outcome(kind, due, time.monotonic())
        if outcome.seconds > self._patience_s:  # it came while this process was busy elsewhere
            outcome = replace(outcome, kind=GAVE_UP)
        self.outcomes.append(outcome)
        return outcome

    async def _over_one(self, request: bytes) -> str:
        """Ask over one connection, and keep it if it can be used again; as many as it takes."""
        while self._idle and not self._idle[-1].is_open:
            self._idle.pop()
        try:
            connection = self._idle.pop() if self._idle else await Connection.open(self._port)
        except OSError:
            return BROKEN
        try:
            kind = await connection.ask(request)
        except BaseException:  # given up: the answer may still come, so nobody asks here again
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return kind

    async def closed_loop(self, clients: int, until: float) -> None:
        """Each client asks again when its request has ended, and after 10 ms if that was bad."""

        async def client() -> None:
            while time.monotonic() < until:
                if (await self.ask()).kind != OK:
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def open_loop(self, rate_per_s: float, until: float) -> None:
        """Ask at an even rate, however the server is; return when all requests have ended."""
        start, sent = time.monotonic(), 0
        under_way: set[asyncio.Task[Outcome]] = set()
        while (now := time.monotonic()) < until:
            while sent < (now - start) * rate_per_s:
                task = asyncio.create_task(self.ask(start + sent / rate_per_s))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            await asyncio.sleep(0.002)
        if under_way:
            await asyncio.wait(under_way)

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()
