"""HTTP/2 as no client should speak it: each mistake has the answer of RFC 9113, and harms nobody else.

After each, another connection gets an exact answer.
"""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2_client import (
    ACK,
    CONTINUATION,
    DATA,
    EMPTY,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    LIVE,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    block,
    call,
    fields,
    frame,
)
from serving import SUBJECTS, Server, serving, wait_until

pytestmark = pytest.mark.timeout(120)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0x1, 0x3, 0x5, 0x6
REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0x7, 0x9, 0xB
INFER = "/inference.GRPCInferenceService/ModelInfer"
FLAT_BYTES = 32 * 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bad")
    shutil.copy(SUBJECTS, folder / "subjects.py")
    flags = ["--head-timeout-s", "0.5", "--body-timeout-s", "1", "--write-timeout-s", "1"]
    with serving(folder, "subjects.py:Double", *flags) as server:
        yield server


@pytest.fixture(autouse=True)
def others_are_served(server: Server) -> Iterator[None]:
    """An exact answer on another connection, after each."""
    yield
    with Peer(server.port) as peer:
        peer.send(call(1))
        assert peer.until(DATA, 1).payload == b"\0\0\0\0\2\x08\x01"
    wait_until(lambda: server.metric("connections") <= 1, "connections are closed")


def memory(server: Server) -> int:
    return int(Path(f"/proc/{server.gateways()[0]}/statm").read_text().split()[1]) * 4096


def headers(stream: int = 1, *more: tuple[str, str], flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, block(fields(LIVE, *more)))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, payload=struct.pack(">HI", name, value))


HEAD = headers()
CONNECTION_ERRORS: dict[str, tuple[bytes, int]] = {
    "data of stream 0": (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "data of an idle stream": (frame(DATA, 0, 5, b"x"), PROTOCOL_ERROR),
    "data of an even stream": (call(1) + frame(DATA, 0, 2, b"x"), PROTOCOL_ERROR),
    "headers of stream 0": (frame(HEADERS, END_HEADERS, 0, block()), PROTOCOL_ERROR),
    "headers of an even stream": (headers(2), PROTOCOL_ERROR),
    "headers of a lower stream": (headers(5, flags=5) + headers(3), STREAM_CLOSED),
    "padding as long as its frame": (HEAD + frame(DATA, PADDED, 1, b"\6abcde"), PROTOCOL_ERROR),
    "padding of nothing": (HEAD + frame(DATA, PADDED, 1), PROTOCOL_ERROR),
    "padding of headers": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff"), PROTOCOL_ERROR),
    "a block that is interrupted": (headers(flags=0) + frame(PING, 0, 0, b"8" * 8), PROTOCOL_ERROR),
    "a block of two streams": (headers(flags=0) + frame(CONTINUATION, 4, 3), PROTOCOL_ERROR),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
    "a block that does not end": (
        headers(flags=0) + frame(CONTINUATION, 0, 1, b"") * 100,
        ENHANCE_YOUR_CALM,
    ),
    "a block without a bound": (
        headers(flags=0) + frame(CONTINUATION, 0, 1, b"\x00\1a\x7f" + b"x" * 16000) * 20,
        ENHANCE_YOUR_CALM,
    ),
    "an index of nothing": (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f"), COMPRESSION_ERROR),
    "index 0": (frame(HEADERS, END_HEADERS, 1, b"\x80"), COMPRESSION_ERROR),
    "a number without an end": (frame(HEADERS, 4, 1, b"\xff" + b"\x80" * 40), COMPRESSION_ERROR),
    "a number padded with zeros": (
        frame(HEADERS, 4, 1, b"\xff" + b"\x80" * 9 + b"\0"),
        COMPRESSION_ERROR,
    ),
    "a text of 4 GiB": (frame(HEADERS, 4, 1, b"\x00\x7f\x81\xff\xff\xff\x0f"), COMPRESSION_ERROR),
    "a text that is cut off": (frame(HEADERS, 4, 1, b"\x00\x05ab"), COMPRESSION_ERROR),
    "a table that is too large": (frame(HEADERS, 4, 1, b"\x3f\xe2\xff\x7f"), COMPRESSION_ERROR),
    "EOS": (frame(HEADERS, 4, 1, b"\x00\x84\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "wrong padding of a text": (frame(HEADERS, 4, 1, b"\x00\x81\x00\0"), COMPRESSION_ERROR),
    "priority of stream 0": (frame(PRIORITY, 0, 0, b"\0" * 5), PROTOCOL_ERROR),
    "a reset of stream 0": (frame(RST_STREAM, 0, 0, number(8)), PROTOCOL_ERROR),
    "a reset of an idle stream": (frame(RST_STREAM, 0, 7, number(8)), PROTOCOL_ERROR),
    "a reset of a wrong size": (HEAD + frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE_ERROR),
    "settings of a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "settings of a wrong size": (frame(SETTINGS, 0, 0, b"\0" * 5), FRAME_SIZE_ERROR),
    "an ACK that says something": (frame(SETTINGS, ACK, 0, b"\0" * 6), FRAME_SIZE_ERROR),
    "push that is neither on nor off": (setting(2, 2), PROTOCOL_ERROR),
    "a window that is too large": (setting(4, 2**31), FLOW_CONTROL_ERROR),
    "frames that are too small": (setting(5, 16383), PROTOCOL_ERROR),
    "frames that are too large": (setting(5, 2**24), PROTOCOL_ERROR),
    "a push": (frame(PUSH_PROMISE, END_HEADERS, 1, number(2)), PROTOCOL_ERROR),
    "a ping of a stream": (frame(PING, 0, 1, b"8" * 8), PROTOCOL_ERROR),
    "a ping of a wrong size": (frame(PING, 0, 0, b"7" * 7), FRAME_SIZE_ERROR),
    "a goodbye of a stream": (frame(GOAWAY, 0, 1, b"8" * 8), PROTOCOL_ERROR),
    "a goodbye of a wrong size": (frame(GOAWAY, 0, 0, b"7" * 7), FRAME_SIZE_ERROR),
    "a window by nothing": (frame(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL_ERROR),
    "a window of a wrong size": (frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR),
    "a window of an idle stream": (frame(WINDOW_UPDATE, 0, 9, number(1)), PROTOCOL_ERROR),
    "a window beyond 2^31": (frame(WINDOW_UPDATE, 0, 0, number(2**31 - 1)), FLOW_CONTROL_ERROR),
    "a frame that is too large": (frame(PING, 0, 0, b"x" * 200_000), FRAME_SIZE_ERROR),
    "a flood of pings": (frame(PING, 0, 0, b"8" * 8) * 5000, ENHANCE_YOUR_CALM),
    "a flood of settings": (frame(SETTINGS) * 5000, ENHANCE_YOUR_CALM),
    "a flood of large settings": (
        frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff" * 2000) * 100,
        ENHANCE_YOUR_CALM,
    ),
    "a flood of empty data": (HEAD + frame(DATA, 0, 1) * 5000, ENHANCE_YOUR_CALM),
    "a flood of priorities": (frame(PRIORITY, 0, 3, b"\0" * 5) * 5000, ENHANCE_YOUR_CALM),
    "a flood of unknown frames": (frame(77, 0, 0, b"x") * 5000, ENHANCE_YOUR_CALM),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_a_mistake_of_the_connection_ends_it_with_its_code(server: Server, name: str) -> None:
    data, code = CONNECTION_ERRORS[name]
    with Peer(server.port) as peer:
        peer.send(data)
        assert peer.end() == code


def changed(**changes: str | None) -> bytes:
    """The block of a call with other pseudo-header fields; None leaves one out."""
    names = {f":{name}": value for name, value in changes.items()}
    pairs = [(n, names.get(n, v)) for n, v in fields()]
    return block([(n, v) for n, v in pairs if v is not None])


STREAM_ERRORS: dict[str, tuple[bytes, int]] = {
    "data behind the end": (call(1, INFER) + frame(DATA, 0, 1, b"x"), STREAM_CLOSED),
    "trailers that are no end": (HEAD + headers(), PROTOCOL_ERROR),
    "trailers with a path": (HEAD + headers(flags=5), PROTOCOL_ERROR),
    "priority of a wrong size": (HEAD + frame(PRIORITY, 0, 1, b"\0" * 4), FRAME_SIZE_ERROR),
    "a stream's window by nothing": (HEAD + frame(WINDOW_UPDATE, 0, 1, number(0)), PROTOCOL_ERROR),
    "a stream's window beyond 2^31": (
        HEAD + frame(WINDOW_UPDATE, 0, 1, number(2**31 - 1)),
        FLOW_CONTROL_ERROR,
    ),
    "no path": (frame(HEADERS, 4, 1, changed(path=None)), PROTOCOL_ERROR),
    "an empty path": (frame(HEADERS, 4, 1, changed(path="")), PROTOCOL_ERROR),
    "a relative path": (frame(HEADERS, 4, 1, changed(path="x/y")), PROTOCOL_ERROR),
    "a path with a space": (frame(HEADERS, 4, 1, changed(path="/a b")), PROTOCOL_ERROR),
    "a path of two lines": (frame(HEADERS, 4, 1, changed(path="/a\r\nb: c")), PROTOCOL_ERROR),
    "no scheme": (frame(HEADERS, 4, 1, changed(scheme=None)), PROTOCOL_ERROR),
    "another scheme": (frame(HEADERS, 4, 1, changed(scheme="ftp")), PROTOCOL_ERROR),
    "no method": (frame(HEADERS, 4, 1, changed(method=None)), PROTOCOL_ERROR),
    "a wrong authority": (frame(HEADERS, 4, 1, changed(authority="a b")), PROTOCOL_ERROR),
    "another host": (headers(1, ("host", "elsewhere")), PROTOCOL_ERROR),
    "an unknown pseudo-header": (
        frame(HEADERS, 4, 1, block([(":x", "y"), *fields()])),
        PROTOCOL_ERROR,
    ),
    "a late pseudo-header": (headers(1, (":path", "/")), PROTOCOL_ERROR),
    "a name in capitals": (headers(1, ("X-Large", "1")), PROTOCOL_ERROR),
    "a name with a space": (headers(1, ("a b", "1")), PROTOCOL_ERROR),
    "an empty name": (headers(1, ("", "1")), PROTOCOL_ERROR),
    "a value of two lines": (headers(1, ("a", "b\r\nc: d")), PROTOCOL_ERROR),
    "a value with a NUL": (headers(1, ("a", "b\0")), PROTOCOL_ERROR),
    "a connection header": (headers(1, ("connection", "close")), PROTOCOL_ERROR),
    "transfer-encoding": (headers(1, ("transfer-encoding", "chunked")), PROTOCOL_ERROR),
    "another te": (headers(1, ("te", "gzip")), PROTOCOL_ERROR),
    "another te behind 9 KiB": (headers(1, ("a", "x" * 9216), ("te", "gzip")), PROTOCOL_ERROR),
    "another scheme behind 9 KiB": (
        frame(HEADERS, 4, 1, block([*fields(), ("a", "x" * 9216), (":scheme", "ftp")])),
        PROTOCOL_ERROR,
    ),
    "content-length that is no number": (headers(1, ("content-length", "+5")), PROTOCOL_ERROR),
    "content-length unlike the data": (
        headers(1, ("content-length", "9")) + frame(DATA, END_STREAM, 1, EMPTY),
        PROTOCOL_ERROR,
    ),
    "content-length below the data": (
        headers(1, ("content-length", "2")) + frame(DATA, 0, 1, EMPTY),
        PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_a_mistake_of_a_stream_ends_it_alone(server: Server, name: str) -> None:
    data, code = STREAM_ERRORS[name]
    with Peer(server.port) as peer:
        peer.send(data)
        if name != "data behind the end":  # which may have had its answer before
            assert peer.until(RST_STREAM, 1).code == code
        peer.send(call(3))
        assert peer.answer(3)["grpc-status"] == "0"


STATUSES: dict[str, tuple[bytes, dict[str, str]]] = {
    "no message": (headers(flags=5), {"grpc-status": "3"}),
    "half a prefix": (HEAD + frame(DATA, END_STREAM, 1, b"\0\0"), {"grpc-status": "3"}),
    "half a message": (HEAD + frame(DATA, END_STREAM, 1, b"\0\0\0\0\5ab"), {"grpc-status": "3"}),
    "two messages": (HEAD + frame(DATA, END_STREAM, 1, EMPTY * 2), {"grpc-status": "3"}),
    "a flag of 2": (HEAD + frame(DATA, END_STREAM, 1, b"\2\0\0\0\0"), {"grpc-status": "3"}),
    "compressed in nothing": (
        HEAD + frame(DATA, END_STREAM, 1, b"\1\0\0\0\0"),
        {"grpc-status": "3"},
    ),
    "4 GiB": (HEAD + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"), {"grpc-status": "8"}),
    "an unknown coding": (headers(1, ("grpc-encoding", "snappy")), {"grpc-status": "12"}),
    "a time-out that is none": (headers(1, ("grpc-timeout", "soon")), {"grpc-status": "3"}),
    "a time-out of nine digits": (headers(1, ("grpc-timeout", "123456789m")), {"grpc-status": "3"}),
    "a time-out that is over": (
        frame(HEADERS, 4, 1, block(fields(INFER, ("grpc-timeout", "0m"))))
        + frame(DATA, END_STREAM, 1, b"\0\0\0\0\x0a\x0a\x08subjects"),
        {"grpc-status": "4"},
    ),
    "metadata that is not base64": (headers(1, ("x-bin", "?")), {"grpc-status": "3"}),
    "64 KiB of metadata": (headers(1, ("a", "x" * 65536)), {"grpc-status": "8"}),
    "1,000 keys": (headers(1, *((f"k{n}", "v") for n in range(1000))), {"grpc-status": "8"}),
    "another content type": (
        frame(HEADERS, 5, 1, block([*fields()[:5], ("content-type", "application/json")])),
        {":status": "415"},
    ),
    "GET": (frame(HEADERS, 5, 1, changed(method="GET")), {":status": "415"}),
    "a web page's Host": (
        frame(HEADERS, 5, 1, changed(authority="evil.example")),
        {"grpc-status": "7"},
    ),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_call_that_can_not_be_served_has_a_status(server: Server, name: str) -> None:
    data, expected = STATUSES[name]
    with Peer(server.port) as peer:
        blocks = [data[at : at + 10**9] for at in (0,)]
        peer.send(*(split(piece) for piece in blocks))
        told = peer.answer(1)
        assert expected.items() <= told.items(), told
        peer.send(call(3))
        assert peer.answer(3)["grpc-status"] == "0"


def split(data: bytes) -> bytes:
    """Cut a header block that is larger than a frame into continuations."""
    size = int.from_bytes(data[:3], "big")
    if data[3] != HEADERS or size <= 16384:
        return data
    payload, rest = data[9 : 9 + size], data[9 + size :]
    pieces = [payload[at : at + 16384] for at in range(0, size, 16384)]
    out = frame(HEADERS, data[4] & ~END_HEADERS, 1, pieces[0])
    for n, piece in enumerate(pieces[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if n == len(pieces) else 0, 1, piece)
    return out + rest


def test_streams_above_the_limit_are_refused_and_the_others_answered(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send(*(headers(2 * n + 1) for n in range(101)))
        assert peer.until(RST_STREAM).code == REFUSED_STREAM
        peer.send(frame(DATA, END_STREAM, 1, EMPTY))
        assert peer.answer(1)["grpc-status"] == "0"


def test_rapid_reset_ends_the_connection_long_before_ten_thousand(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send(
            *(headers(2 * n + 1) + frame(RST_STREAM, 0, 2 * n + 1, number(8)) for n in range(500))
        )
        assert peer.end() == ENHANCE_YOUR_CALM


def test_streams_that_are_made_to_be_reset_end_the_connection_too(server: Server) -> None:
    broken = (
        headers(2 * n + 1) + frame(WINDOW_UPDATE, 0, 2 * n + 1, number(0)) for n in range(500)
    )
    with Peer(server.port) as peer:
        peer.send(*broken)
        assert peer.end() == ENHANCE_YOUR_CALM


def test_thousands_of_answered_calls_are_no_flood(server: Server) -> None:
    with Peer(server.port) as peer:
        for n in range(3000):
            peer.send(call(2 * n + 1), frame(PING, 0, 0, b"12345678"), frame(SETTINGS))
            assert peer.until(DATA, 2 * n + 1).payload == b"\0\0\0\0\2\x08\x01"


def test_what_comes_byte_by_byte_is_the_same(server: Server) -> None:
    with Peer(server.port, is_greeted=False) as peer:
        for byte in PREFACE + frame(SETTINGS) + call(1):
            peer.send(bytes((byte,)))
        assert peer.answer(1)["grpc-status"] == "0"


def test_a_message_in_padded_pieces_is_the_same(server: Server) -> None:
    message = b"\0\0\0\0\x02\x0a\x00"
    pieces = b"".join(
        frame(DATA, PADDED, 1, b"\3" + message[n : n + 1] + b"\0" * 3) for n in range(7)
    )
    with Peer(server.port) as peer:
        peer.send(HEAD, pieces, frame(DATA, END_STREAM, 1))
        assert peer.answer(1)["grpc-status"] == "0"


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 9,
        PREFACE + frame(PING, 0, 0, b"8" * 8),
        PREFACE + HEAD,
    ],
)
def test_a_greeting_that_is_none_ends_the_connection(server: Server, data: bytes) -> None:
    with Peer(server.port, is_greeted=False) as peer:
        peer.send(data)
        assert peer.end() == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "data", [b"PRI * HT", PREFACE[:20], PREFACE, PREFACE + frame(SETTINGS)[:5]]
)
def test_who_does_not_go_on_greeting_is_not_waited_for(server: Server, data: bytes) -> None:
    with Peer(server.port, is_greeted=False) as peer:
        peer.send(data)
        assert peer.end() in (None, 0)


def test_a_message_that_does_not_come_is_not_waited_for(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send(headers(), headers(3), frame(DATA, 0, 3, b"\0\0\0\1\0abc"))
        assert peer.answer(1)["grpc-status"] == "4"
        peer.send(headers(5))
        assert peer.answer(5)["grpc-status"] == "4"


def large(server: Server, rows: int) -> bytes:
    """A question whose answer has 16 bytes a row."""
    data = bytes(16 * rows)
    size = number(len(data))
    shape = b"\x1a" + bytes((len(varint(rows)) + 1,)) + varint(rows) + b"\4"
    tensor = b"\x0a\7numbers\x12\4FP32" + shape
    message = (
        b"\x0a\x08subjects\x2a" + varint(len(tensor)) + tensor + b"\x3a" + varint(len(data)) + data
    )
    assert size
    return b"\0" + number(len(message)) + message


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def test_a_window_of_one_byte_is_obeyed(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send(setting(4, 1), call(1))
        got = peer.until(DATA, 1).payload
        while len(got) < 7:
            peer.send(frame(WINDOW_UPDATE, 0, 1, number(1)))
            got += peer.until(DATA, 1).payload
        assert got == b"\0\0\0\0\2\x08\x01"
        assert peer.answer(1)["grpc-status"] == "0"


def test_who_opens_no_window_is_dropped_and_memory_is_flat(server: Server) -> None:
    before = memory(server)
    with Peer(server.port) as peer:
        peer.send(setting(4, 0))
        message = large(server, 1000)
        for n in range(50):
            id_ = 2 * n + 1
            peer.send(
                frame(HEADERS, END_HEADERS, id_, block(fields(INFER))),
                frame(DATA, END_STREAM, id_, message),
            )
        assert peer.until(RST_STREAM).code == 8
    assert memory(server) - before < FLAT_BYTES


def test_who_reads_nothing_is_cut_off(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send(setting(4, 2**31 - 1), frame(WINDOW_UPDATE, 0, 0, number(2**30)))
        peer.until(SETTINGS)
        message = large(server, 4000)
        for n in range(200):
            id_ = 2 * n + 1
            head = frame(HEADERS, END_HEADERS, id_, block(fields(INFER)))
            pieces = [message[at : at + 16384] for at in range(0, len(message), 16384)]
            data = b"".join(frame(DATA, 0, id_, p) for p in pieces[:-1])
            peer.send(head, data, frame(DATA, END_STREAM, id_, pieces[-1]))
        wait_until(lambda: server.metric("connections") <= 1, "it is cut off")


def test_many_connections_that_are_cut_off_in_every_state_leave_nothing(server: Server) -> None:
    before = memory(server)
    whole = PREFACE + frame(SETTINGS) + call(1, INFER, large(server, 10))
    for n in range(300):
        with Peer(server.port, is_greeted=False) as peer:
            peer.send(whole[: n * len(whole) // 300])
    wait_until(lambda: server.metric("connections") <= 1, "they are closed")
    assert memory(server) - before < FLAT_BYTES
