"""A worker's process and what it is told: nothing is lost that comes while Python starts."""

import asyncio
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.config import ModelSpec
from headway.engine.child import Child, Program
from headway.engine.messages import Hold, Leave, Loaded, Message, Ping, Pong
from headway.engine.threads import Cores

PREDICTOR = """
from pathlib import Path

def echo(text: str) -> str:
    return text

Path(__file__).with_name("loaded").touch()
"""


@pytest.fixture
def child() -> Iterator[Child]:
    """A process that has just been started, and has read nothing yet."""
    loop = asyncio.new_event_loop()
    reports = os.open(os.devnull, os.O_WRONLY)
    program = Program("headway.engine.worker", "echo-1", ("text", "error"), {}, reports)
    child = Child(program, loop)
    os.close(reports)
    yield child
    child.close()
    loop.close()


@pytest.fixture
def hold(tmp_path: Path) -> Hold:
    """What to load."""
    (tmp_path / "echo.py").write_text(PREDICTOR)
    spec = ModelSpec("echo", str(tmp_path), "echo.py:echo")
    return Hold(spec, Cores(1, "the test"), 1, may_spin=False, max_body_bytes=2**20)


def hear(child: Child) -> list[Message]:
    """Wait for what it says next; nothing once it has hung up."""
    select.select([child.channel], [], [], 30)
    return [message for message, _ in child.channel.read() or ()]


def test_who_is_told_to_leave_before_it_has_begun_loads_nothing(
    child: Child, hold: Hold, tmp_path: Path
) -> None:
    for message in (hold, Leave()):
        child.channel.send(message)
    assert child.process.wait(30) == 0
    assert not (tmp_path / "loaded").exists()


def test_what_comes_together_with_the_model_is_heard_after_it(child: Child, hold: Hold) -> None:
    for message in (hold, Ping()):
        child.channel.send(message)
    heard: list[Message] = []
    while len(heard) < 2 and (said := hear(child)):
        heard += said
    assert [type(message) for message in heard] == [Loaded, Pong]
    child.channel.send(Leave())
    assert child.process.wait(30) == 0
