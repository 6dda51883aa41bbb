"""A real listener on a free port with an application that echoes, and a client of raw bytes."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from headway.config import ServerSettings
from headway.protocols import Reply
from headway.server.exchange import Exchange
from headway.server.http1 import FramingError, Head
from headway.server.listener import Listener

MAX_BODY_BYTES = 2**20


@dataclass
class Echo:
    """Answers a body with itself; the path says when."""

    asked: list[tuple[Head, bytes]] = field(default_factory=list)
    held: list[tuple[Exchange, int]] = field(default_factory=list)
    departed: list[int] = field(default_factory=list)
    choking: list[bool] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_bytes: int = 0

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        self.asked.append((head, body))
        self.news.set()
        loop = asyncio.get_running_loop()
        if head.path == "/hold":
            self.held.append((exchange, serial))
        elif head.path == "/later":
            loop.call_soon(exchange.finish, serial, Reply(200, body), f"id-{len(self.asked)}")
        elif head.path == "/big":
            exchange.finish(serial, Reply(200, b"x" * int(head.query)))
        elif head.path == "/twice":
            exchange.finish(serial, Reply(200, b"first"))
            exchange.finish(serial, Reply(200, b"second"))
        elif head.path == "/split":
            headers = (("x-evil", "a\r\nx-injected: 1"),)
            exchange.finish(serial, Reply(200, b"", "text/plain\r\nx-injected: 2", headers), "a\nb")
        elif head.path == "/stream":
            exchange.start_stream(serial, Reply(200, b"one ", "text/plain"), "id-s")
            exchange.send_chunk(serial, b"two ")
            loop.call_soon(exchange.send_chunk, serial, b"three")
            loop.call_soon(exchange.end_stream, serial)
        else:
            exchange.finish(serial, Reply(200, body), f"id-{len(self.asked)}")

    def needs_body(self, head: Head) -> bool:
        return head.headers.get("x-body") != "unwanted"

    def left(self, exchange: Exchange, serial: int) -> None:
        self.departed.append(serial)
        self.news.set()

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        raise NotImplementedError

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        self.choking.append(is_choked)
        self.news.set()

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        return Reply(error.status, f'{{"code":"{error.code}"}}'.encode()), "id-refused"

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds that `ask` or `left` brings about."""
        while not is_so():
            self.news.clear()
            await self.news.wait()


@dataclass
class Answer:
    """One answer as it was read."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """A client of raw bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer by its framing."""
        start = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = start.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines[1:])
        body = b""
        if headers.get("transfer-encoding") == "chunked" and has_body:
            body = await self._chunks()
        elif "content-length" in headers and has_body:
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as the end."""
        got = b""
        try:
            while part := await self.reader.read(2**16):
                got += part
        except ConnectionError:
            pass
        return got

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@dataclass
class House:
    """A listener and what a test needs of it."""

    app: Echo
    listener: Listener
    port: int
    clients: list[Client] = field(default_factory=list)

    async def connect(self, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client


Scene = Callable[[House], Coroutine[Any, Any, None]]


@contextmanager
def _runner(loop: str) -> Iterator[asyncio.Runner]:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


async def _stage(scene: Scene, settings: ServerSettings, context: ssl.SSLContext | None) -> None:
    app = Echo()
    listener = Listener(app, settings, asyncio.get_running_loop())
    listening = socket.create_server(("127.0.0.1", 0))
    await listener.listen(listening, context)
    house = House(app, listener, listening.getsockname()[1])
    try:
        async with asyncio.timeout(30):
            await scene(house)
    finally:
        for client in house.clients:
            await client.close()
        listener.close()
        listening.close()
        await asyncio.sleep(0)


@pytest.fixture(params=["uvloop", "asyncio"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Play a scene against a listener, on each of the two loops."""

    def run(scene: Scene, *, context: ssl.SSLContext | None = None, **settings: Any) -> None:
        chosen = ServerSettings(**{"max_body_bytes": MAX_BODY_BYTES, **settings})
        with _runner(request.param) as runner:
            runner.run(_stage(scene, chosen, context))

    return run
