"""What a caller sends on, as a predictor takes it from its slot: in order, to the end, or until it has left."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from headway.engine import frames
from headway.engine.frames import BINARY, GONE, LAST, TEXT, Feed, Framer, Recall
from headway.engine.inbox import Inbox, Item
from headway.errors import Cancelled

ID = 7


@dataclass
class Line:
    """A slot's end, and the gateway's."""

    sock: socket.socket
    far: socket.socket
    framer: Framer = field(default_factory=Framer)
    waiting: list[tuple[frames.Message, memoryview]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def send(self, kind: int, data: bytes = b"", of: int = ID) -> None:
        self.far.sendall(frames.encode(Feed(of, kind), (data,) if data else ()))

    def inbox(self) -> Inbox:
        return Inbox(self, ID, lambda: self.told.append("left"))


@pytest.fixture
def line() -> Iterator[Line]:
    ours, far = socket.socketpair()
    with ours, far:
        yield Line(ours, far)


def all_of(inbox: Inbox) -> list[Item]:
    return list(iter(inbox.take, None))


def test_items_come_in_order_and_then_the_end_again_and_again(line: Line) -> None:
    for kind, data in ((TEXT, b"1"), (BINARY, b"\x00"), (TEXT, b""), (LAST, b"")):
        line.send(kind, data)
    inbox = line.inbox()
    assert all_of(inbox) == [(b"1", True), (b"\x00", False), (b"", True)]
    assert inbox.take() is None
    assert line.told == []


def test_an_item_that_comes_in_pieces_is_whole(line: Line) -> None:
    frame = frames.encode(Feed(ID, TEXT), (b"x" * 300_000,))
    inbox = line.inbox()
    line.far.sendall(frame[:5])
    line.far.sendall(frame[5:100_000])
    line.sock.settimeout(5)

    async def take() -> Item | None:
        taking = asyncio.ensure_future(asyncio.to_thread(inbox.take))
        await asyncio.to_thread(line.far.sendall, frame[100_000:])
        return await taking

    assert asyncio.run(take()) == (b"x" * 300_000, True)


@pytest.mark.parametrize("how", ["told", "gateway died"])
def test_who_has_left_is_told_before_the_predictor_sees_it(line: Line, how: str) -> None:
    inbox = line.inbox()
    if how == "told":
        line.send(GONE)
    else:
        line.far.close()
    with pytest.raises(Cancelled):
        inbox.take()
    assert line.told[0] == "left"
    with pytest.raises(Cancelled):
        inbox.take()


def test_what_is_for_the_slot_or_of_another_request_is_no_item(line: Line) -> None:
    line.send(TEXT, b"late", of=ID - 1)
    line.far.sendall(frames.encode(Recall()))
    line.send(TEXT, b"mine")
    line.send(LAST)
    assert all_of(line.inbox()) == [(b"mine", True)]
    assert [type(message) for message, _ in line.waiting] == [Recall]


def test_the_loop_goes_on_while_an_item_is_waited_for(line: Line) -> None:
    async def play() -> list[Item | None]:
        inbox = line.inbox()
        taking = asyncio.ensure_future(inbox.take_async())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not taking.done()
        line.send(TEXT, b"1")
        line.send(LAST)
        return [await taking, await inbox.take_async()]

    assert asyncio.run(play()) == [(b"1", True), None]


def test_a_closed_inbox_gives_nothing_more(line: Line) -> None:
    line.send(TEXT, b"1")
    inbox = line.inbox()
    inbox.close()
    with pytest.raises(Cancelled):
        inbox.take()
