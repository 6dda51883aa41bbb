"""Bodies that nobody wants are not kept, and those that arrive are bounded together."""

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from headway.protocols import Reply

HOST = b"Host: headway.test\r\n"
UNWANTED = b"X-Body: unwanted\r\n"
SMALL, LARGE = 40_000, 1_000_000
NEXT = b"POST /next HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"


def start(path: str, size: int, *headers: bytes) -> bytes:
    """A head with an announced body."""
    length = b"Content-Length: %d\r\n" % size
    return b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + length + b"".join(headers) + b"\r\n"


@pytest.mark.parametrize("path", ["/echo", "/later", "/stream"])
def test_unwanted_small_body_is_answered_at_once_and_the_connection_kept(
    play: Any, path: str
) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(start(path, SMALL, UNWANTED) + b"x" * 100)
        answer = await client.answer()
        assert "connection" not in answer.headers
        assert b"x" not in answer.body
        for _ in range(SMALL // 100 - 1):
            await client.send(b"x" * 100)
        await client.send(NEXT)
        assert (await client.answer()).body == b"hello"
        assert [(head.path, body) for head, body in house.app.asked] == [
            (path, b""),
            ("/next", b"hello"),
        ]

    play(scene)


def test_unwanted_bodies_are_read_past_wherever_the_bytes_are_cut(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = (start("/later", 30, UNWANTED) + b"POST /evil HTTP/1.1\r\n\r\n1234567" + NEXT) * 2
        for byte in raw:
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        for wanted in (b"", b"hello") * 2:
            assert (await client.answer()).body == wanted
        assert not any(head.path == "/evil" for head, _ in house.app.asked)

    play(scene)


@pytest.mark.parametrize(
    "raw",
    [
        start("/echo", LARGE, UNWANTED),
        start("/later", LARGE, UNWANTED),
        start("/echo", SMALL, UNWANTED, b"Expect: 100-continue\r\n"),
        b"POST /echo HTTP/1.1\r\n" + HOST + UNWANTED + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["large", "later", "expected", "chunked"],
)
def test_unwanted_large_body_is_answered_at_once_and_read_to_its_end(play: Any, raw: bytes) -> None:
    """All of the body can be sent, and the answer is there: no reset takes it away."""

    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(raw)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await client.send(b"x" * LARGE)
        assert await client.reader.read() == b""
        assert [body for _, body in house.app.asked] == [b""]

    play(scene)


def test_nothing_is_kept_of_a_body_that_follows_the_last_answer(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(start("/echo", LARGE, UNWANTED))
        await client.answer()
        (connection,) = house.listener._connections
        await client.send(b"x" * LARGE + NEXT)
        assert connection._reader.pending_bytes == 0
        assert len(house.app.asked) == 1

    play(scene)


def test_client_that_never_ends_an_unwanted_body_gets_no_second_answer(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(start("/echo", SMALL, UNWANTED))
        await client.answer()
        assert await client.rest() == b""

    play(scene, body_timeout_s=0.3)


def test_server_that_stops_while_it_reads_past_a_body_says_no_second_word(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(start("/echo", SMALL, UNWANTED))
        await client.answer()
        house.listener.give_up()
        assert await client.rest() == b""

    play(scene)


def test_answer_that_is_streamed_while_its_body_still_comes_ends_whole(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(start("/hold", LARGE, UNWANTED) + b"x" * 1000)
        await house.app.until(lambda: len(house.app.held) == 1)
        exchange, serial = house.app.held.pop()
        sending = asyncio.create_task(client.send(b"x" * (LARGE - 1000)))
        exchange.start_stream(serial, Reply(200, b"one "))
        exchange.send_chunk(serial, b"two")
        exchange.end_stream(serial)
        assert (await client.answer()).body == b"one two"
        await sending

    play(scene)


# The bound


def test_body_over_the_bound_of_all_is_refused_at_once_and_those_inside_are_served(
    play: Any,
) -> None:
    async def scene(house: Any) -> None:
        first, second = await house.connect(), await house.connect()
        await first.send(start("/echo", 600_000) + b"x" * 500_000)
        await until_arriving(house, 500_000)
        await second.send(start("/echo", 600_000, b"Expect: 100-continue\r\n"))
        refused = await second.answer()
        assert (refused.status, refused.headers["connection"]) == (503, "close")
        await first.send(b"x" * 100_000)
        assert len((await first.answer()).body) == 600_000
        third = await house.connect()
        await third.send(start("/echo", 600_000) + b"x" * 600_000)
        assert (await third.answer()).status == 200
        assert house.listener.room.arriving == 0

    play(scene, max_pending_bytes=LARGE)


def test_body_of_unknown_length_is_refused_where_it_passes_the_bound(play: Any) -> None:
    async def scene(house: Any) -> None:
        first, second = await house.connect(), await house.connect()
        await first.send(start("/echo", 600_000) + b"x" * 500_000)
        await until_arriving(house, 500_000)
        head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        sending = asyncio.create_task(second.send(head + b"ea60\r\n" + b"x" * 0xEA60))
        await until_arriving(house, 500_000 + 0xEA60)
        await sending
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                await second.send(b"\r\nea60\r\n" + b"x" * 0xEA60)
        assert (await second.answer()).status == 503
        await first.send(b"x" * 100_000)
        assert len((await first.answer()).body) == 600_000

    play(scene, max_pending_bytes=LARGE)


def test_what_waits_for_the_model_counts_too(play: Any) -> None:
    async def scene(house: Any) -> None:
        house.app.waiting_bytes = LARGE - 50_000
        client = await house.connect()
        await client.send(start("/echo", SMALL) + b"x" * SMALL)
        assert (await client.answer()).status == 200
        await client.send(start("/echo", 100_000))
        assert (await client.answer()).status == 503

    play(scene, max_pending_bytes=LARGE)


@pytest.mark.parametrize("how", ["leaves", "is slow", "is malformed"])
def test_bytes_of_a_body_that_never_ends_are_given_back(play: Any, how: str) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"ea60\r\n" + b"x" * 0xEA60)
        await until_arriving(house, 0xEA60)
        if how == "leaves":
            await client.close()
        elif how == "is malformed":
            await client.send(b"no line end")
        await until_arriving(house, 0)

    play(scene, body_timeout_s=0.3, min_body_rate=10**6)


async def until_arriving(house: Any, size: int) -> None:
    """The playing test has a time-out."""
    while house.listener.room.arriving != size:
        await asyncio.sleep(0.005)
