"""The supervisor's word to a child that does not listen: kept, in order, with its descriptors, up to a limit."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headway.engine.channel import Channel, pair
from headway.engine.mailbox import MOST_WAITING_BYTES, Mailbox
from headway.engine.messages import Message, Trouble

LONG = "x" * 100_000


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Mailbox, Channel, list[str]]]:
    """A mailbox, the other end, and what was told of an overflow."""
    ours, theirs = pair()
    theirs.setblocking(False)
    told: list[str] = []
    mailbox = Mailbox(ours, asyncio.get_running_loop(), lambda: told.append("overflow"))
    other = Channel(theirs)
    try:
        yield mailbox, other, told
    finally:
        mailbox.close()
        other.close()


async def take(other: Channel, count: int) -> list[tuple[Message, list[int]]]:
    """Read so many messages, and let the mailbox send meanwhile."""
    taken: list[tuple[Message, list[int]]] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            taken += other.read() or []
            await asyncio.sleep(0)
    return taken


def say(number: int) -> Trouble:
    return Trouble(str(number) + LONG)


def model_of(message: Message) -> str:
    assert isinstance(message, Trouble)
    return message.model.removesuffix(LONG)


async def send_to_a_deaf_child() -> None:
    async with talking() as (mailbox, other, told):
        for number in range(8):  # who waited here would wait for ever: the child listens below
            assert mailbox.send(say(number))
        taken = await take(other, 8)
        assert [model_of(m) for m, _ in taken] == [str(n) for n in range(8)]
        assert not told


def test_what_is_not_taken_is_kept_without_a_wait_and_sent_in_order() -> None:
    asyncio.run(send_to_a_deaf_child())


async def send_descriptors_later() -> None:
    async with talking() as (mailbox, other, _):
        for number in range(5):
            mailbox.send(say(number))
        a, b = socket.socketpair()
        mailbox.send(say(5), [b.fileno()])
        b.close()
        mailbox.send(say(6))
        taken = await take(other, 7)
        assert [len(fds) for _, fds in taken] == [0, 0, 0, 0, 0, 1, 0]
        received = socket.socket(fileno=taken[5][1][0])
        with a, received:
            received.sendall(b"through")
            assert a.recv(10) == b"through"


def test_descriptors_travel_with_their_message_though_the_sender_has_closed_its_own() -> None:
    asyncio.run(send_descriptors_later())


async def overflow() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with talking() as (mailbox, _, told):
        descriptor = os.open("/dev/null", os.O_RDONLY)
        sent = 0
        while mailbox.send(say(sent), [descriptor]):
            sent += 1
            assert sent < 100
        assert MOST_WAITING_BYTES < sent * len(LONG) < 3 * MOST_WAITING_BYTES
        assert not mailbox.send(say(sent))
        assert told == ["overflow"]
        os.close(descriptor)
    assert len(os.listdir("/proc/self/fd")) == before, "what was never taken is closed"


def test_a_child_that_leaves_too_much_is_told_of_once() -> None:
    asyncio.run(overflow())
