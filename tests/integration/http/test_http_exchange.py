"""Requests and answers over a real socket: whole, byte by byte, pipelined, streamed, refused."""

import asyncio
import runpy
import socket
from pathlib import Path
from typing import Any

import pytest

from headway.protocols import Reply

_UNIT = Path(__file__).parents[2] / "unit" / "server" / "framing_table.py"
ROWS: dict[str, tuple[bytes, set[int]]] = runpy.run_path(str(_UNIT))["ROWS"]
HOST = b"Host: headway.test\r\n"


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    """A request with a body."""
    lines = b"".join(h + b"\r\n" for h in (*headers, b"Content-Length: %d" % len(body)))
    return b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body


def get(path: str, *headers: bytes, version: bytes = b"1.1") -> bytes:
    """A request without a body."""
    lines = b"".join(h + b"\r\n" for h in headers)
    return b"GET " + path.encode() + b" HTTP/" + version + b"\r\n" + HOST + lines + b"\r\n"


def test_body_is_answered_and_the_connection_kept(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        for path in ("/echo", "/later", "/echo"):
            await client.send(post(path, b"hello"))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"hello")
            assert "connection" not in answer.headers

    play(scene)


def test_answer_has_id_date_and_nosniff_and_nothing_of_the_server(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/", b"Origin: http://evil.test"))
        headers = (await client.answer()).headers
        assert headers.keys() == {
            *("date", "x-content-type-options", "content-type", "content-length", "x-request-id")
        }
        assert headers["date"].endswith(" GMT")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"] == "id-1"

    play(scene)


def test_request_byte_by_byte_is_answered(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post("/echo", b"hello"):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"hello"

    play(scene)


@pytest.mark.parametrize("path", ["/echo", "/later"])
def test_thousand_pipelined_requests_are_answered_in_order(play: Any, path: str) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        sending = asyncio.create_task(
            client.send(b"".join(post(path, b"%d" % i) for i in range(1000)))
        )
        assert [(await client.answer()).body for _ in range(1000)] == [
            b"%d" % i for i in range(1000)
        ]
        await sending

    play(scene)


def test_what_waits_behind_a_slow_request_is_bounded(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        flood = post("/echo", b"x" * 1000)
        await client.send(get("/hold"))
        await house.app.until(lambda: len(house.app.held) == 1)
        sending = asyncio.create_task(client.send(flood * 40_000))
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        exchange, serial = house.app.held.pop()
        exchange.finish(serial, Reply(200, b"held"))
        assert (await client.answer()).body == b"held"
        for _ in range(40_000):
            assert len((await client.answer()).body) == 1000
        await sending

    play(scene)


def test_large_body_arrives_and_returns_whole(play: Any) -> None:
    async def scene(house: Any) -> None:
        body = bytes(range(256)) * 4096
        client = await house.connect()
        sending = asyncio.create_task(client.send(post("/echo", body)))
        assert (await client.answer()).body == body
        await sending

    play(scene)


def test_head_request_gets_the_head_alone(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(b"HEAD /big?10 HTTP/1.1\r\n" + HOST + b"\r\n" + get("/"))
        answer = await client.answer(has_body=False)
        assert answer.headers["content-length"] == "10"
        assert (await client.answer()).headers["content-length"] == "0"

    play(scene)


REFUSED_HEADS: dict[str, tuple[bytes, int]] = {
    "a star": (b"HEAD * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "after an empty line": (b"\r\nHEAD * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another version": (b"HEAD / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "a length": (b"HEAD / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n", 413),
    "a bad chunk": (
        b"HEAD / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        400,
    ),
}


@pytest.mark.parametrize("name", REFUSED_HEADS)
def test_head_request_is_refused_without_a_body(play: Any, name: str) -> None:
    raw, status = REFUSED_HEADS[name]

    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/") + raw)
        assert (await client.answer()).status == 200
        refused = await client.answer(has_body=False)
        assert refused.status == status
        assert int(refused.headers["content-length"]) > 0
        assert await client.rest() == b""

    play(scene)


def test_one_empty_line_before_each_request_is_ignored_and_a_second_refused(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send((b"\r\n" + post("/echo", b"hello")) * 3)
        assert [(await client.answer()).body for _ in range(3)] == [b"hello"] * 3
        await client.send(b"\r\n" * 2 + post("/echo", b"hello"))
        assert (await client.answer()).status == 400
        assert await client.rest() == b""

    play(scene)


def test_stream_comes_in_chunks_and_keeps_the_connection(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/stream") + get("/"))
        answer = await client.answer()
        assert answer.body == b"one two three"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.headers["x-request-id"] == "id-s"
        assert (await client.answer()).status == 200

    play(scene)


def test_stream_to_http10_ends_with_the_connection(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/stream", b"Connection: keep-alive", version=b"1.0"))
        answer = await client.answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b"one two three"

    play(scene)


def test_aborted_stream_is_seen_to_be_cut(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/hold"))
        await house.app.until(lambda: len(house.app.held) == 1)
        exchange, serial = house.app.held.pop()
        exchange.start_stream(serial, Reply(200, b"one"))
        await client.reader.readuntil(b"one\r\n")
        exchange.abort(serial)
        assert b"0\r\n\r\n" not in await client.rest()

    play(scene)


def test_late_and_double_answers_never_reach_the_next_request(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/twice") + get("/hold"))
        assert (await client.answer()).body == b"first"
        await house.app.until(lambda: len(house.app.held) == 1)
        exchange, serial = house.app.held.pop()
        exchange.finish(serial - 1, Reply(200, b"wrong"))
        exchange.send_chunk(serial - 1, b"wrong")
        exchange.end_stream(serial - 1)
        exchange.abort(serial - 1)
        exchange.finish(serial, Reply(200, b"right"))
        assert (await client.answer()).body == b"right"

    play(scene)


def test_header_values_of_an_answer_can_begin_no_other_header(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(get("/split"))
        assert "x-injected" not in (await client.answer()).headers

    play(scene)


def test_continue_is_sent_before_the_body(play: Any) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        raw = post("/echo", b"hello", b"Expect: 100-continue")
        await client.send(raw[:-5])
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(raw[-5:])
        assert (await client.answer()).body == b"hello"

    play(scene)


@pytest.mark.parametrize(
    ("request_", "connection", "is_kept"),
    [
        (get("/"), None, True),
        (get("/", b"Connection: close"), "close", False),
        (get("/", version=b"1.0"), "close", False),
        (get("/", b"Connection: keep-alive", version=b"1.0"), "keep-alive", True),
    ],
)
def test_connection_is_kept_or_closed_as_asked(
    play: Any,
    request_: bytes,
    connection: str | None,
    is_kept: bool,
) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        await client.send(request_)
        assert (await client.answer()).headers.get("connection") == connection
        if is_kept:
            await client.send(request_)
            assert (await client.answer()).status == 200
        else:
            assert await client.rest() == b""

    play(scene)


@pytest.mark.parametrize("name", ROWS)
def test_bad_bytes_get_one_refusal_and_the_connection_ends(play: Any, name: str) -> None:
    raw, statuses = ROWS[name]

    async def scene(house: Any) -> None:
        client = await house.connect()
        sending = asyncio.create_task(client.send(raw))
        answer = await client.answer()
        assert answer.status in statuses
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-request-id"] == "id-refused"
        assert await client.rest() == b""
        assert not any(head.path == "/second" for head, _ in house.app.asked)
        await asyncio.wait({sending})
        sending.exception()
        fresh = await house.connect()
        await fresh.send(post("/echo", b"next"))
        assert (await fresh.answer()).body == b"next"

    play(scene)
