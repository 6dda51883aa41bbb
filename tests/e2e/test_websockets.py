"""Streams in both directions over a WebSocket, with a real client, and with one that breaks the rules."""

import json
import os
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_subjects
from serving import WAIT_S, Server, serving, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.timeout(50)

SLOTS = 16
MAX_MESSAGE_BYTES = 100_000
MODELS = f"""
server: {{max_message_bytes: {MAX_MESSAGE_BYTES}}}
models:
  speech: {{predictor: "subjects.py:Speech"}}
  sums: {{predictor: "subjects.py:Sums", max_queue: 1}}
  async-sums: {{predictor: "subjects.py:AsyncSums"}}
  length: {{predictor: "subjects.py:length", workers: 1}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("websockets")
    shutil.copy(stream_subjects.__file__, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def url(server: Server, model: str, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.port}/models/{model}/stream{query}"


def opened(server: Server, model: str, query: str = "", **options: Any) -> ClientConnection:
    client: ClientConnection = connect(url(server, model, query), compression=None, **options)
    return client


def rest(client: ClientConnection) -> list[Any]:
    """What comes until the end."""
    found = []
    try:
        while True:
            found.append(json.loads(client.recv(timeout=WAIT_S)))
    except ConnectionClosed:
        return found


def check_unharmed(server: Server) -> None:
    """Another stream and another model are answered exactly."""
    assert server.ask("length", {"text": "four"}).json == 4
    with opened(server, "sums") as client:
        client.send("20")
        assert client.recv(timeout=WAIT_S) == "20"
        client.send("22")
        assert client.recv(timeout=WAIT_S) == "42"
        client.send("")
        assert rest(client) == []
    assert client.close_code == 1000


def test_sound_is_answered_while_it_comes_and_state_is_the_streams_own(server: Server) -> None:
    quiet, loud = np.zeros(800, np.float32).tobytes(), np.ones(800, np.float32).tobytes()
    with opened(server, "speech", "?rate=8000") as client, opened(server, "speech") as other:
        client.send(quiet)
        client.send(loud)
        assert json.loads(client.recv(timeout=WAIT_S)) == {"event": "start", "at_s": 0.1}
        other.send(loud)
        assert json.loads(other.recv(timeout=WAIT_S)) == {"event": "start", "at_s": 0.0}
        client.send(json.dumps([0.0] * 400))
        assert json.loads(client.recv(timeout=WAIT_S)) == {"event": "end", "at_s": 0.2}
        client.send("")
        assert rest(client) == [{"event": "over", "at_s": 0.25}]
        assert client.close_code == 1000


@pytest.mark.parametrize("model", ["sums", "async-sums"])
def test_streams_of_one_worker_run_beside_each_other(server: Server, model: str) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(opened(server, model)) for _ in range(SLOTS)]
        for turn in range(1, 4):
            for i, client in enumerate(clients):
                client.send(str(i))
            for i, client in enumerate(clients):
                assert client.recv(timeout=WAIT_S) == str(i * turn)


def test_who_finds_no_slot_waits_and_the_next_is_refused_before_the_handshake(
    server: Server,
) -> None:
    with ExitStack() as stack:
        for _ in range(SLOTS):
            stack.enter_context(opened(server, "sums"))
        sock = handshake(server, "sums")
        server.wait_for_queue("sums", 1)
        with pytest.raises(InvalidStatus) as refused:
            opened(server, "sums")
        assert refused.value.response.status_code == 429
    assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
    sock.close()


@pytest.mark.parametrize("model", ["sums", "async-sums"])
@pytest.mark.parametrize("how", ["close", "abort", "talking"])
def test_who_leaves_ends_the_predictor(server: Server, model: str, how: str) -> None:
    name = f"{model}-{how}"
    with opened(server, model, f"?name={name}") as client:
        client.send("1")
        assert client.recv(timeout=WAIT_S) == "1"
        if how == "abort":
            client.socket.shutdown(socket.SHUT_RDWR)
        if how == "talking":
            client.send("-4")
            client.recv(timeout=WAIT_S)
            client.socket.shutdown(socket.SHUT_RDWR)
    server.wait_for_line("closed.txt", f"{name}-True")
    check_unharmed(server)


def test_a_bad_item_is_told_and_closes_with_1007(server: Server) -> None:
    with opened(server, "sums") as client:
        client.send("1")
        client.send('"no number"')
        answers = rest(client)
    assert answers[0] == 1
    assert answers[1]["code"] == "bad_input"
    assert client.close_code == 1007
    check_unharmed(server)


def test_a_bug_of_the_predictor_is_told_and_closes_with_1011(server: Server) -> None:
    with opened(server, "sums") as client:
        client.send("-1")
        (answer,) = rest(client)
    assert (answer["code"], client.close_code) == ("model_failed", 1011)
    check_unharmed(server)


def test_a_worker_that_dies_is_told_and_closes_with_1011(server: Server) -> None:
    before = server.workers("sums")
    with opened(server, "sums") as client:
        client.send("5")
        assert client.recv(timeout=WAIT_S) == "5"
        client.send("-2")
        (answer,) = rest(client)
    assert (answer["code"], client.close_code) == ("worker_lost", 1011)
    server.wait_for_workers("sums", len(before), without=before[0])
    check_unharmed(server)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?speed=1", "no input named 'speed'"),
        ("?rate=fast", "input 'rate': expected int, got str"),
        ("?rate=1&rate=2", "twice"),
    ],
)
def test_other_inputs_are_in_the_query_and_checked_before_the_handshake(
    server: Server, query: str, says: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "speech", query)
    assert refused.value.response.status_code == 400
    assert says in json.loads(refused.value.response.body)["error"]


@pytest.mark.parametrize(
    ("origin", "is_welcome"),
    [
        ("", True),
        ("http://127.0.0.1:{port}", True),
        ("http://127.0.0.1:1", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
def test_pages_of_other_sites_may_not_connect(
    server: Server, origin: str, is_welcome: bool
) -> None:
    sock = handshake(
        server, "sums", *([f"origin: {origin.format(port=server.port)}"] * (origin != ""))
    )
    status = sock.recv(2000).split(b" ")[1]
    sock.close()
    assert status == (b"101" if is_welcome else b"403")


def test_a_get_without_the_handshake_is_told_what_is_spoken(server: Server) -> None:
    answer = server.call("GET", "/models/sums/stream")
    assert (answer.status, answer.code) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "length")
    assert refused.value.response.status_code == 400
    assert b"POST /models/length/predict" in refused.value.response.body


def test_the_same_predictor_answers_a_request_that_holds_all_items(server: Server) -> None:
    answer = server.ask("async-sums", {"numbers": [1, 2, 3]})
    assert answer.body == b"1\n3\n6\n"
    samples = server.ask("speech", {"chunks": [[0.0] * 8, [1.0] * 8], "rate": 8})
    assert [json.loads(line)["event"] for line in samples.body.splitlines()] == ["start", "over"]


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_what_the_predictor_does_not_take_is_left_in_the_clients_hands(server: Server) -> None:
    gateway = server.gateways()[0]
    before = memory(gateway)
    with opened(server, "sums", "?name=still") as client:
        client.send("-3")
        client.socket.settimeout(1.0)
        piece = frame(1, b" " * 50_000 + b"0") * 100
        sent = 0
        try:
            while sent < 400_000_000:
                sent += client.socket.send(piece)
        except TimeoutError:
            pass
        assert sent < 400_000_000
        assert memory(gateway) - before < 16 * 2**20
        check_unharmed(server)
        client.socket.shutdown(socket.SHUT_RDWR)
    server.path("still").touch()
    server.wait_for_line("closed.txt", "still-True")


# Who breaks the rules of RFC 6455


def handshake(server: Server, model: str, *headers: str) -> socket.socket:
    lines = [
        f"GET /models/{model}/stream HTTP/1.1",
        f"host: 127.0.0.1:{server.port}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return sock


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, is_masked: bool = True) -> bytes:
    size = len(payload)
    mark = 0x80 if is_masked else 0
    if size < 126:
        head = bytes((first | opcode, mark | size))
    elif size < 2**16:
        head = bytes((first | opcode, mark | 126)) + struct.pack("!H", size)
    else:
        head = bytes((first | opcode, mark | 127)) + struct.pack("!Q", size)
    return head + (bytes(4) if is_masked else b"") + payload


VIOLATIONS = {
    "unmasked": (frame(1, b"1", is_masked=False), 1002),
    "a reserved bit": (frame(1, b"1", first=0xC0), 1002),
    "an unknown opcode": (frame(3, b"1"), 1002),
    "an unknown control opcode": (frame(11, b"1"), 1002),
    "a large ping": (frame(9, b"x" * 126), 1002),
    "a ping in parts": (frame(9, b"x", first=0), 1002),
    "no UTF-8": (frame(1, b"\xff\xfe"), 1007),
    "no UTF-8 across frames": (frame(1, b"\xc3", first=0) + frame(0, b"\x28"), 1007),
    "half a character at the end": (frame(1, b"\xc3"), 1007),
    "a length of 2^63": (bytes((0x81, 0xFF)) + struct.pack("!Q", 2**63) + bytes(4), 1002),
    "a length of 2^62": (
        bytes((0x82, 0xFF)) + struct.pack("!Q", 2**62) + bytes(4) + b"x" * 200_000,
        1009,
    ),
    "a long form of a short length": (bytes((0x81, 0xFE, 0, 1)) + bytes(4) + b"1", 1002),
    "a continuation of nothing": (frame(0, b"1"), 1002),
    "a message within a message": (frame(1, b"1", first=0) + frame(1, b"1"), 1002),
    "a close code of one byte": (frame(8, b"x"), 1002),
    "a close code that may not be sent": (frame(8, struct.pack("!H", 1005)), 1002),
    "a close code that nobody has": (frame(8, struct.pack("!H", 999)), 1002),
    "a close whose reason is no text": (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
    "too large a message": (frame(2, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
    "too large a message in parts": (
        frame(2, b"x" * 60_000, first=0) + frame(0, b"x" * 60_000, first=0),
        1009,
    ),
}


def close_code(sock: socket.socket) -> int | None:
    """The code of the close frame that comes; None if the connection ends without one."""
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
            frames = data
            while len(frames) >= 2 and len(frames) >= 2 + frames[1]:
                if frames[0] == 0x88:
                    return int(struct.unpack("!H", frames[2:4])[0]) if frames[1] else 1005
                frames = frames[2 + frames[1] :]
    except ConnectionError:
        pass
    return None


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_violation_gets_its_close_code_and_nobody_suffers(server: Server, what: str) -> None:
    sent, code = VIOLATIONS[what]
    with handshake(server, "sums") as sock:
        wait_for_switch(sock)
        sock.sendall(sent)
        assert close_code(sock) == code
    check_unharmed(server)


def wait_for_switch(sock: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")


def test_a_message_may_come_byte_by_byte_and_in_parts_with_pings_between(server: Server) -> None:
    with handshake(server, "sums") as sock:
        wait_for_switch(sock)
        asked = (
            frame(1, b"4", first=0) + frame(9, b"there?") + frame(0, b"", first=0) + frame(0, b"2")
        )
        for i in range(len(asked)):
            sock.sendall(asked[i : i + 1])
        got = b""
        while len(got) < 12:
            got += sock.recv(100)
        assert got == b"\x8a\x06there?" + b"\x81\x0242"
        sock.sendall(frame(8, struct.pack("!H", 1000)))
        assert close_code(sock) == 1000


def test_a_hundred_thousand_tiny_messages_hold_nobody_up(server: Server) -> None:
    slowest_s, count = 0.0, 100_000
    with handshake(server, "async-sums") as sock:
        wait_for_switch(sock)
        pid = os.fork()
        if pid == 0:  # what sends must not share this interpreter
            sock.sendall(frame(1, b"", first=0) * count + frame(0, b"7"))
            os._exit(0)
        began = time.monotonic()
        sock.settimeout(0.01)
        got = b""
        while not got and time.monotonic() < began + WAIT_S:
            started = time.monotonic()
            assert server.ask("length", {"text": "four"}).json == 4
            slowest_s = max(slowest_s, time.monotonic() - started)
            try:
                got = sock.recv(10)
            except TimeoutError:
                continue
        took_s = time.monotonic() - began
        os.waitpid(pid, 0)
    assert got[:1] == b"\x88", (
        "parts of a message may be empty, but the first may not follow another"
    )
    assert slowest_s < max(1.0, took_s / 2)


def test_one_that_says_nothing_is_closed_with_1001(tmp_path: Path) -> None:
    shutil.copy(stream_subjects.__file__, tmp_path / "subjects.py")
    with serving(tmp_path, "subjects.py:Sums", "--idle-timeout-s", "0.5") as server:
        with opened(server, "subjects") as client:
            assert rest(client) == []
        assert client.close_code == 1001
        sock = handshake(server, "subjects")
        wait_for_switch(sock)
        sock.sendall(frame(1, b"12345")[:8])  # half of a message is none
        assert close_code(sock) == 1001
        sock.close()


def test_the_end_of_the_server_is_told(tmp_path: Path) -> None:
    shutil.copy(stream_subjects.__file__, tmp_path / "subjects.py")
    with serving(tmp_path, "subjects.py:Sums", "--grace-s", "0.5") as server:
        with opened(server, "subjects") as client:
            client.send("1")
            assert client.recv(timeout=WAIT_S) == "1"
            server.send_signal(15)
            (answer,) = rest(client)
        assert (answer["code"], client.close_code) == ("server_stopped", 1001)
        wait_until(lambda: server.process.poll() is not None, "it has ended")


def test_a_key_travels_as_a_header_or_as_a_subprotocol(tmp_path: Path) -> None:
    import hashlib

    shutil.copy(stream_subjects.__file__, tmp_path / "subjects.py")
    key = "hw_a-key-of-some-length_0123456789"
    (tmp_path / "keys").write_text(hashlib.sha256(key.encode()).hexdigest() + "\n")
    with serving(tmp_path, "subjects.py:Sums", "--key-file", "keys") as server:
        for options in (
            {"additional_headers": {"authorization": f"Bearer {key}"}},
            {"subprotocols": ["headway", f"key.{key}"]},
        ):
            with opened(server, "subjects", **options) as client:
                client.send("3")
                assert client.recv(timeout=WAIT_S) == "3"
        wrong: tuple[dict[str, Any], ...] = ({}, {"subprotocols": ["headway", "key.wrong"]})
        for options in wrong:
            with pytest.raises(InvalidStatus) as refused:
                opened(server, "subjects", **options)
            assert refused.value.response.status_code == 401
