"""Who waits in a listening socket is taken, whatever one of them does."""

import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from headway.engine.listening import accepted

CLIENTS = 3


@contextmanager
def waiting(listener: socket.socket) -> Iterator[None]:
    """Clients that have connected, and that nobody has accepted."""
    with listener, ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        yield


def count(listener: socket.socket) -> int:
    """How many are accepted; they are closed."""
    socks = list(accepted(listener))
    for sock in socks:
        assert not sock.getblocking()
        sock.close()
    return len(socks)


def test_all_who_wait_are_accepted(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, waiting(listener):
        assert count(listener) == CLIENTS
        assert count(listener) == 0
    assert not caplog.records, "that nobody waits any more is no failure"


class Restless(socket.socket):
    """A listening socket whose first client has left; Linux says so on the next send only, other systems here."""

    has_told = False

    def accept(self) -> tuple[socket.socket, Any]:
        sock, address = super().accept()
        if not self.has_told:
            self.has_told = True
            sock.close()
            raise ConnectionAbortedError
        return sock, address


def test_one_who_has_left_is_passed_over() -> None:
    listener = Restless()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with waiting(listener):
        assert count(listener) == CLIENTS - 1


def test_a_lack_of_descriptors_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, waiting(listener):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            taken = count(listener)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert taken == 0
        (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert record.message == "accept_failed"
        assert "Too many open files" in record.__dict__["reason"]
        assert count(listener) == CLIENTS, "they wait there still"
