"""What a gateway answers by itself, with no worker: who may ask what, and what a bug looks like."""

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headway.config import ServerSettings
from headway.engine.gateway import Gateway
from headway.engine.pool import Pool
from headway.model.call import Order
from headway.observe.metrics import Board
from headway.protocols import Reply
from headway.server import tasks
from headway.server.app import App, State
from headway.server.archive import Peers
from headway.server.http1 import Heads, Limits

KEY = "a-key-of-at-least-some-length"


@dataclass
class Listening:
    """An exchange that keeps the answers."""

    replies: list[tuple[Reply, str]] = field(default_factory=list)
    token: int = 0

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        self.replies.append((reply, request_id))

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        raise NotImplementedError

    def send_chunk(self, serial: int, data: bytes) -> None:
        raise NotImplementedError

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        raise NotImplementedError

    def abort(self, serial: int, last: bytes = b"") -> None:
        raise NotImplementedError

    def hold_input(self, *, is_held: bool) -> None:
        raise NotImplementedError


class Broken(Gateway):
    """An engine with a bug."""

    def submit(self, *arguments: Any, is_patient: bool = False) -> int:
        raise ZeroDivisionError("a secret")

    async def is_ready(self, pool: Pool) -> bool:
        raise ZeroDivisionError("a secret")


async def never(order: Order) -> str:
    raise NotImplementedError


def ask(method: str, path: str, *lines: str, key_file: str = "") -> tuple[Reply, str]:
    """Ask an app of one model, whose engine is broken; its one answer, and the answer's request id."""

    async def run() -> Listening:
        board = Board.create(1, 1)
        gateway = Broken(asyncio.get_running_loop(), {"secret": board.tally(0, 0)}, print)
        app = App(
            gateway,
            ServerSettings(key_file=key_file),
            board,
            State(0.0, bid=never),
            Peers(0, 1, Path("/nowhere"), print),
        )
        raw = "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", ""])
        exchange = Listening()
        app.ask(Heads(Limits()).parse(raw.encode()), b"{}", exchange, 1)
        async with asyncio.timeout(10):
            while not exchange.replies:
                await asyncio.sleep(0)
        return exchange

    (answer,) = asyncio.run(run()).replies
    return answer


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "keys.txt"
    path.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/nope/predict"),
        ("GET", "/models/secret/predict"),
        ("POST", "/v2/models/nope/infer"),
        ("POST", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
def test_without_a_key_nothing_is_told_of_what_is_served(
    key_file: str, method: str, path: str
) -> None:
    reply, request_id = ask(method, path, "x-request-id: mine", key_file=key_file)
    assert (reply.status, request_id) == (401, "mine")
    assert b"secret" not in reply.body
    known, _ = ask(method, path, f"x-api-key: {KEY}", key_file=key_file)
    assert known.status in {404, 405}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/secret/predict"),
        ("GET", "/health/ready"),
        ("POST", "/v2/models/secret/infer"),
        ("GET", "/v2/health/ready"),
    ],
)
def test_a_bug_is_told_in_the_dialect_and_logged_once(
    caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    reply, request_id = ask(method, path, "x-request-id: mine")
    told = json.loads(reply.body)
    assert (reply.status, request_id) == (500, "mine")
    assert "secret" not in told["error"]
    assert set(told) == ({"error"} if path.startswith("/v2") else {"error", "code", "request_id"})
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.__dict__["request_id"] == "mine"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_a_task_that_fails_is_logged_and_let_go(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        kept: set[asyncio.Task[None]] = set()
        tasks.start(fail(), kept)
        async with asyncio.timeout(10):
            while kept:
                await asyncio.sleep(0)

    asyncio.run(run())
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError
