"""Deadlines, departures, limits and drains of connections, over a real socket."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from headway.protocols import Reply

START = b"POST /echo HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"
HOLD = b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n"


async def drip(client: Any, parts: Iterator[bytes]) -> tuple[bytes, float]:
    """Send a byte now and then until the server closes; what it said, and after how long."""
    start = time.monotonic()
    listening = asyncio.create_task(client.rest())
    for part in parts:
        if listening.done():
            break
        try:
            await client.send(part)
        except ConnectionError:
            break
        await asyncio.wait({listening}, timeout=0.05)
    return await listening, time.monotonic() - start


def test_slow_head_is_ended_by_an_absolute_deadline(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        said, after_s = await drip(client, iter([START] + [b"A"] * 200))
        assert b" 408 " in said.split(b"\r\n")[0]
        assert 0.39 < after_s < 8, "all of it would take ten seconds; the loop counts milliseconds"

    play(scene, head_timeout_s=0.4)


def test_slow_body_is_ended_by_a_deadline_that_only_bytes_move(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        start = START + b"Content-Length: 10000\r\n\r\n"
        said, after_s = await drip(client, iter([start] + [b"A"] * 200))
        assert b" 408 " in said.split(b"\r\n")[0]
        assert 0.39 < after_s < 8, "all of it would take ten seconds; the loop counts milliseconds"
        assert not house.app.asked

    play(scene, body_timeout_s=0.4, min_body_rate=1000)


def test_steady_body_gets_the_time_that_its_size_earns(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(START + b"Content-Length: 8000\r\n\r\n")
        for _ in range(8):
            await client.send(b"A" * 1000)
            await asyncio.sleep(0.1)
        assert len((await client.answer()).body) == 8000

    play(scene, body_timeout_s=0.3, min_body_rate=2000)


def test_continue_and_then_silence_is_ended(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(START + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        said = await client.rest()
        assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 ")

    play(scene, body_timeout_s=0.2)


@pytest.mark.parametrize("first", [b"", GET])
def test_idle_connection_is_closed_without_a_word(play: Any, first: bytes) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(first)
        if first:
            await client.answer()
        assert await client.rest() == b""
        assert house.listener.connections == 0

    play(scene, idle_timeout_s=0.2)


def test_request_under_way_is_not_idle(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(HOLD)
        await house.app.until(lambda: bool(house.app.held))
        await asyncio.sleep(0.5)
        exchange, serial = house.app.held.pop()
        exchange.finish(serial, Reply(200, b"late"))
        assert (await client.answer()).body == b"late"

    play(scene, idle_timeout_s=0.1, head_timeout_s=0.1, body_timeout_s=0.1)


def test_client_that_does_not_take_its_answer_is_cut_off(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(limit=1024)
        await client.send(b"GET /big?30000000 HTTP/1.1\r\nHost: h\r\n\r\n" + HOLD)
        await house.app.until(lambda: len(house.app.asked) == 1)
        deadline = time.monotonic() + 5
        while house.listener.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert house.listener.connections == 0
        assert len(house.app.asked) == 1

    play(scene, write_timeout_s=0.3)


def test_client_that_does_not_take_its_stream_is_cut_off_and_has_left(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(limit=1024)
        await client.send(HOLD)
        await house.app.until(lambda: bool(house.app.held))
        exchange, serial = house.app.held.pop()
        exchange.start_stream(serial, Reply(200, b""))
        while not house.app.choking:
            exchange.send_chunk(serial, b"x" * 2**16)
            await asyncio.sleep(0)
        assert house.app.choking == [True]
        await house.app.until(lambda: bool(house.app.departed))
        assert house.app.departed == [serial]
        exchange.send_chunk(serial, b"more")
        exchange.end_stream(serial)
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        assert house.app.departed == [serial]

    play(scene, write_timeout_s=0.3)


def test_who_makes_a_stream_waits_while_it_is_not_taken_and_goes_on_when_it_is(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(limit=1024)
        await client.send(HOLD)
        await house.app.until(lambda: bool(house.app.held))
        exchange, serial = house.app.held.pop()
        exchange.start_stream(serial, Reply(200, b""))
        sent = 0
        while not house.app.choking:
            exchange.send_chunk(serial, b"x" * 2**16)
            sent += 2**16
            await asyncio.sleep(0)
        got = b""
        while house.app.choking != [True, False]:
            got += await client.reader.read(2**16)
        exchange.end_stream(serial)
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += await client.reader.read(2**16)
        assert got.count(b"x" * 2**16) == sent // 2**16
        assert not house.app.departed

    play(scene)


def test_stream_that_is_taken_may_be_of_any_length(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(HOLD)
        await house.app.until(lambda: bool(house.app.held))
        exchange, serial = house.app.held.pop()
        exchange.start_stream(serial, Reply(200, b""))
        for _ in range(20):
            exchange.send_chunk(serial, b"x" * 2**18)
            got = 0
            await client.reader.readuntil(b"40000\r\n")
            while got < 2**18 + 2:
                got += len(await client.reader.readexactly(min(2**16, 2**18 + 2 - got)))
        exchange.end_stream(serial)
        await client.reader.readuntil(b"0\r\n\r\n")
        assert not house.app.departed

    play(scene)


def test_client_that_sends_on_and_does_not_read_is_not_read_without_limit(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(limit=1024)
        await client.send(b"GET /big?30000000 HTTP/1.1\r\nHost: h\r\n\r\n")
        await house.app.until(lambda: len(house.app.asked) == 1)
        client.writer.write(HOLD * 1_000_000)
        size = client.writer.transport.get_write_buffer_size
        left, before = size(), -1
        while left != before:  # until nothing goes any more
            await asyncio.sleep(0.3)
            left, before = size(), left
        assert left > len(HOLD) * 500_000
        answer = await client.answer()
        assert len(answer.body) == 30_000_000
        await house.app.until(lambda: bool(house.app.held))
        client.writer.transport.abort()  # what it has left to send is not taken

    play(scene)


def _reset(client: Any) -> None:
    client.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    client.writer.transport.abort()


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_client_that_leaves_is_told_of_once_and_its_answer_dropped(play: Any, how: str) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(GET + HOLD)
        await house.app.until(lambda: bool(house.app.held))
        exchange, serial = house.app.held.pop()
        if how == "close":
            client.writer.close()
        elif how == "half":
            client.writer.write_eof()
        else:
            _reset(client)
        await house.app.until(lambda: bool(house.app.departed))
        exchange.finish(serial, Reply(200, b"nobody"))
        exchange.start_stream(serial, Reply(200, b"nobody"))
        await asyncio.sleep(0.05)
        assert house.app.departed == [serial]
        exchange.finish(serial, Reply(200, b"nobody"))
        assert b"nobody" not in await client.rest()
        assert house.listener.connections == 0

    play(scene)


def test_connection_over_the_limit_gets_503_and_the_others_are_served(play: Any) -> None:
    async def scene(house: Any) -> None:
        inside = [await house.connect() for _ in range(3)]
        for client in inside:
            await client.send(GET)
            assert (await client.answer()).status == 200
        outside = await house.connect()
        await outside.send(GET)
        assert (await outside.answer()).status == 503
        assert await outside.rest() == b""
        await inside[0].send(GET)
        assert (await inside[0].answer()).status == 200
        await inside[0].close()
        while house.listener.connections == 3:
            await asyncio.sleep(0)
        again = await house.connect()
        await again.send(GET)
        assert (await again.answer()).status == 200

    play(scene, max_connections=3)


def test_drain_answers_what_is_under_way_and_closes_the_rest(play: Any) -> None:
    async def scene(house: Any) -> None:
        idle, busy, late = [await house.connect() for _ in range(3)]
        await idle.send(GET)
        await idle.answer()
        await busy.send(HOLD + GET)
        await house.app.until(lambda: bool(house.app.held))
        house.listener.drain()
        await late.send(GET)
        answer = await late.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        house.listener.stop_listening()
        assert await idle.rest() == b""
        assert house.listener.under_way == 1
        exchange, serial = house.app.held.pop()
        exchange.finish(serial, Reply(200, b"last"))
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"last", "close")
        assert await busy.rest() == b""

    play(scene)


def test_close_tells_of_every_request_under_way(play: Any) -> None:
    async def scene(house: Any) -> None:
        for _ in range(3):
            client = await house.connect()
            await client.send(HOLD)
        await house.app.until(lambda: len(house.app.held) == 3)
        house.listener.close()
        assert house.app.departed == [1, 1, 1]
        assert house.listener.under_way == 0

    play(scene)
