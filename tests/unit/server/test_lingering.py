"""How long a connection lives after its last answer, by a clock that the test turns."""

import asyncio
from typing import Any

import pytest

from headway.config import ServerSettings
from headway.protocols import Reply
from headway.server.connection import Connection
from headway.server.exchange import Exchange
from headway.server.http1 import FramingError, Head
from headway.server.listener import Listener

ENDED = b"nonsense\r\n\r\n"
BYTES = b"x" * 1000


class Clock:
    """What a listener asks of a loop."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Refusing:
    """An application that is never asked."""

    waiting_bytes = 0

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        raise NotImplementedError

    def needs_body(self, head: Head) -> bool:
        raise NotImplementedError

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        raise NotImplementedError

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        raise NotImplementedError

    def left(self, exchange: Exchange, serial: int) -> None:
        raise NotImplementedError

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        return Reply(error.status, b"no"), ""


class Socket(asyncio.Transport):
    """A transport that writes down what it is told."""

    def __init__(self, *, is_tls: bool) -> None:
        super().__init__()
        self.told: list[str] = []
        self._is_tls = is_tls

    def write(self, data: Any) -> None:
        self.told.append("write")

    def can_write_eof(self) -> bool:
        return not self._is_tls

    def write_eof(self) -> None:
        self.told.append("write_eof")

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.told or "abort" in self.told

    def resume_reading(self) -> None:
        pass


def ended(*, is_tls: bool = False) -> tuple[Connection, Socket, Clock]:
    """A connection that has had its last answer at 0 s."""
    clock = Clock()
    listener = Listener(Refusing(), ServerSettings(), clock)  # type: ignore[arg-type]  # what it asks here
    connection, socket = Connection(listener), Socket(is_tls=is_tls)
    connection.connection_made(socket)
    connection.data_received(ENDED)
    return connection, socket, clock


@pytest.mark.parametrize("is_tls", [False, True])
def test_silent_client_is_closed_soon_and_cut_off_if_that_does_not_end(is_tls: bool) -> None:
    connection, socket, clock = ended(is_tls=is_tls)
    before = ["write"] if is_tls else ["write", "write_eof"]
    assert (socket.told, connection.deadline) == (before, 2.0)
    clock.now = connection.deadline
    connection.expire()
    assert (socket.told, connection.deadline) == ([*before, "close"], 4.0)
    connection.expire()
    assert socket.told == [*before, "close", "abort"]


def test_client_that_still_sends_is_heard_out_but_not_for_ever() -> None:
    connection, _, clock = ended()
    for second in range(1, 40):
        clock.now = float(second)
        connection.data_received(BYTES)
        assert connection.deadline == min(second + 2.0, 30.0)


def test_client_that_does_not_take_its_answer_earns_no_time_by_sending() -> None:
    connection, _, clock = ended()
    connection.pause_writing()
    deadline = connection.deadline
    clock.now = 1.0
    connection.data_received(BYTES)
    assert connection.deadline == deadline
