"""Answers of one grab are written together, and what a client gets is the same as if each was written at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.config import ServerSettings
from headway.protocols import Reply
from headway.server.connection import Connection
from headway.server.exchange import Exchange
from headway.server.http1 import FramingError, Head
from headway.server.listener import Listener

LARGE = b"x" * 100_000


class Clock:
    """What a listener asks of a loop; no time passes."""

    def time(self) -> float:
        return 0.0


class App:
    """Answers `/now` at once, and everything else when the test says so."""

    waiting_bytes = 0

    def __init__(self) -> None:
        self.waiting: list[tuple[Exchange, int, str]] = []

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        if head.path == "/now":
            exchange.finish(serial, Reply(200, b"now"))
        elif head.path == "/socket":
            exchange.start_stream(serial, Reply(101, b""))
        else:
            self.waiting.append((exchange, serial, head.path))

    def answer(self) -> None:
        """Answer the request that has waited longest."""
        exchange, serial, path = self.waiting.pop(0)
        if path == "/stream":
            exchange.start_stream(serial, Reply(200, b"one "))
            exchange.send_chunk(serial, b"two")
            exchange.end_stream(serial)
        else:
            exchange.finish(serial, Reply(200, LARGE if path == "/large" else path.encode()))

    def needs_body(self, head: Head) -> bool:
        return True

    def left(self, exchange: Exchange, serial: int) -> None:
        self.waiting = [w for w in self.waiting if w[0] is not exchange]

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        raise NotImplementedError

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        pass

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        return Reply(error.status, b"refused"), ""


class Socket(asyncio.Transport):
    """A transport that keeps what is written, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.end = ""
        self.protocol: Any = None
        """Who is told to wait, for the client takes nothing; None: it takes what comes."""

    def write(self, data: Any) -> None:
        assert not self.end
        self.got.append(bytes(data))
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.pause_writing()

    def set_protocol(self, protocol: Any) -> None:
        pass

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.end = self.end or "eof"

    def close(self) -> None:
        self.end = self.end or "close"

    def abort(self) -> None:
        self.end = self.end or "abort"

    def is_closing(self) -> bool:
        return self.end in {"close", "abort"}

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class House:
    """A listener with some connections."""

    def __init__(self, count: int) -> None:
        self.app = App()
        self.listener = Listener(self.app, ServerSettings(), Clock())  # type: ignore[arg-type]  # what it asks
        self.listener.answers.set_date("")  # the same in all houses
        self.connections = [Connection(self.listener) for _ in range(count)]
        self.sockets = [Socket() for _ in range(count)]
        for connection, socket in zip(self.connections, self.sockets, strict=True):
            connection.connection_made(socket)

    def ask(self, place: int, *lines: str) -> None:
        """Ask, in one piece; each by its path, or by its request line and headers."""
        heads = [line if " " in line else f"GET {line} HTTP/1.1\r\nHost: h" for line in lines]
        raw = "".join(f"{head}\r\n\r\n" for head in heads)
        self.connections[place].data_received(raw.encode())

    def answer(self, count: int) -> None:
        """Answer so many as one slot's answers."""
        self.listener.begin()
        for _ in range(count):
            self.app.answer()
        self.listener.end()

    def got(self, place: int) -> bytes:
        return b"".join(self.sockets[place].got)


def test_answers_are_written_when_all_of_them_have_been_made() -> None:
    house = House(2)
    house.ask(0, "/first")
    house.ask(1, "/second")
    house.listener.begin()
    house.app.answer()
    house.app.answer()
    assert (house.got(0), house.got(1)) == (b"", b"")
    house.listener.end()
    assert house.got(0).endswith(b"/first")
    assert house.got(1).endswith(b"/second")
    house.ask(0, "/third")
    house.app.answer()
    assert house.got(0).endswith(b"/third")


@pytest.mark.parametrize("path", ["/now", "/stream", "/large"])
def test_what_follows_on_a_connection_does_not_overtake_a_held_answer(path: str) -> None:
    house = House(1)
    house.ask(0, "/first", path)
    house.listener.begin()
    while house.app.waiting:  # what is asked meanwhile, too
        house.app.answer()
    house.listener.end()
    first, second = house.got(0).split(b"HTTP/1.1 ")[1:]
    assert first.endswith(b"/first")
    assert any(word in second for word in (b"now", b"two", LARGE))


def test_refusal_does_not_overtake_a_held_answer() -> None:
    house = House(1)
    house.ask(0, "/first")
    house.listener.begin()
    house.app.answer()
    house.connections[0].data_received(b"nonsense\r\n\r\n")
    assert house.got(0).index(b"/first") < house.got(0).index(b"refused")
    house.listener.end()
    assert (house.got(0).count(b"HTTP/1.1"), house.sockets[0].end) == (2, "eof")


def test_connection_that_closes_idle_is_given_its_held_answer_first() -> None:
    house = House(1)
    house.ask(0, "/first")
    house.listener.begin()
    house.app.answer()
    house.connections[0].close_idle()
    assert (house.got(0)[-6:], house.sockets[0].end) == (b"/first", "close")
    house.listener.end()


def test_socket_takes_over_after_a_held_answer() -> None:
    house = House(1)
    upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    house.ask(0, "/first", f"GET /socket HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n{key}")
    house.answer(1)
    assert house.got(0).index(b"/first") < house.got(0).index(b"101 Switching Protocols")


def test_held_answer_to_head_has_no_body_and_a_last_one_ends_the_connection() -> None:
    house = House(2)
    house.ask(0, "HEAD /first HTTP/1.1\r\nHost: h")
    house.ask(1, "GET /second HTTP/1.1\r\nHost: h\r\nConnection: close")
    house.answer(2)
    assert b"content-length: 6\r\n" in house.got(0)
    assert house.got(0).endswith(b"\r\n\r\n")
    assert (house.got(1)[-7:], house.sockets[1].end) == (b"/second", "close")


def test_large_answer_is_not_copied_to_be_held() -> None:
    house = House(1)
    house.ask(0, "/large")
    house.listener.begin()
    house.app.answer()
    assert house.got(0).endswith(LARGE)
    house.listener.end()


def test_client_that_takes_nothing_is_waited_for_after_its_held_answer() -> None:
    house = House(1)
    house.sockets[0].protocol = house.connections[0]
    house.ask(0, "/first")
    house.answer(1)
    assert house.connections[0].deadline == ServerSettings().write_timeout_s
    house.ask(0, "/second")
    assert not house.app.waiting
    house.connections[0].resume_writing()
    assert len(house.app.waiting) == 1


def test_client_that_has_left_keeps_no_other_from_its_answer() -> None:
    house = House(2)
    house.ask(0, "/first")
    house.ask(1, "/second")
    house.listener.begin()
    house.app.answer()
    house.app.answer()
    house.connections[0].connection_lost(None)
    house.listener.end()
    assert house.got(0) == b""
    assert house.got(1).endswith(b"/second")


_PATHS = st.sampled_from(
    [
        *("/a", "/b", "/now", "/stream", "/large"),
        "HEAD /a HTTP/1.1\r\nHost: h",
        "GET /a HTTP/1.0",
        "GET /stream HTTP/1.0\r\nConnection: keep-alive",
        "GET /a HTTP/1.0\r\nConnection: keep-alive",
        "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close",
        "nonsense",
    ]
)
_STEPS = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2), st.lists(_PATHS, min_size=1, max_size=3)),
    st.tuples(st.just("answer")),
    st.tuples(st.just("together"), st.integers(2, 4)),
    st.tuples(st.just("close"), st.integers(0, 2)),
    st.tuples(st.just("drain")),
)


def played(steps: Sequence[Any], *, is_together: bool) -> list[tuple[bytes, str]]:
    """What each client has got in the end, where some answers are made together or each by itself."""
    house = House(3)
    for step in steps:
        if step[0] == "ask":
            house.ask(step[1], *step[2])
        elif step[0] == "close":
            house.connections[step[1]].close_idle()
        elif step[0] == "drain":
            house.listener.drain()
        else:
            count = min(step[1] if step[0] == "together" else 1, len(house.app.waiting))
            if is_together:
                house.answer(count)
            else:
                for _ in range(count):
                    house.app.answer()
    return [(house.got(place), house.sockets[place].end) for place in range(3)]


@given(st.lists(_STEPS, max_size=12))
def test_clients_get_the_same_whether_answers_are_held_or_not(steps: Sequence[Any]) -> None:
    assert played(steps, is_together=True) == played(steps, is_together=False)
