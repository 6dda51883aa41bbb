"""What a gateway keeps of bodies: nothing where the head is refused, and never more than its bound (P15, P44)."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import corpus_subjects
import pytest
from rawclient import Raw, Told
from serving import Server, serving, wait_until

pytestmark = pytest.mark.timeout(120)

MIB = 2**20
KEY = "hw_a-good-key-of-this-test"
CLIENTS = 40
BODY_BYTES, PART_BYTES, PENDING_BYTES = 32 * MIB, 8 * MIB, 64 * MIB
SLACK_BYTES = 48 * MIB
"""What 40 connections may cost beside bodies; without a bound their parts are 320 MiB."""
START, END = b'{"text":"', b'"}'
SETTINGS = f"""
server:
  max_body_bytes: {BODY_BYTES}
  max_pending_bytes: {PENDING_BYTES}
  key_file: keys.txt
models:
  text: {{predictor: "subjects.py:Text", workers: 1}}
"""
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    shutil.copy(corpus_subjects.__file__, tmp_path / "subjects.py")
    tmp_path.joinpath("keys.txt").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    tmp_path.joinpath("headway.yaml").write_text(SETTINGS)
    with serving(tmp_path, **ALLOCATOR) as server:
        yield server


def head(path: str, *lines: str) -> bytes:
    start = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {BODY_BYTES}"]
    return "\r\n".join([*start, *lines, "", ""]).encode()


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def ask_small(client: Raw) -> Told:
    lines = ["POST /models/text/predict HTTP/1.1", "host: localhost", "content-length: 15"]
    client.send("\r\n".join([*lines, f"x-api-key: {KEY}", "", '{"text":"four"}']).encode())
    return client.read()


@pytest.mark.parametrize(
    ("path", "line", "status"),
    [
        ("/models/text/predict", "x-other: 1", 401),
        ("/health/live", "x-other: 1", 200),
        ("/models/nobody/predict", f"x-api-key: {KEY}", 404),
        ("/models/text", f"x-api-key: {KEY}", 405),
        ("/models/text/load", f"x-api-key: {KEY}", 403),
        ("/models/text/predict", f"x-api-key: {KEY}\r\ncontent-type: text/csv", 415),
        ("/models/text/predict", f"x-api-key: {KEY}\r\ncontent-encoding: br", 415),
    ],
)
def test_no_body_is_kept_where_the_head_decides(
    server: Server, path: str, line: str, status: int
) -> None:
    (gateway,) = server.gateways()
    before = peak_bytes(gateway)
    raw = head(path, line) if status != 200 else head(path, line).replace(b"POST", b"GET", 1)
    with ExitStack() as stack:
        clients = [stack.enter_context(Raw(server.port, 20)) for _ in range(CLIENTS)]
        for client in clients:
            client.sock.sendall(raw)
            assert client.read().status == status, "answered before the body"
            client.sock.sendall(b"x" * PART_BYTES)
        assert ask_small(stack.enter_context(Raw(server.port, 20))).body == b"4"
    assert peak_bytes(gateway) - before < SLACK_BYTES


def test_bodies_that_arrive_are_bounded_together_and_those_inside_are_answered(
    server: Server,
) -> None:
    (gateway,) = server.gateways()
    before = peak_bytes(gateway)
    raw = head("/models/text/predict", f"x-api-key: {KEY}") + START
    with ExitStack() as stack:
        clients = [stack.enter_context(Raw(server.port, 30)) for _ in range(CLIENTS)]
        for client in clients:
            client.sock.sendall(raw + b"x" * PART_BYTES)
        told = {i: answer_so_far(client) for i, client in enumerate(clients)}
        refused = [answer for answer in told.values() if answer is not None]
        inside = [clients[i] for i, answer in told.items() if answer is None]
        assert len(refused) >= CLIENTS - PENDING_BYTES // PART_BYTES
        assert {answer.status for answer in refused} == {503}
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert b'"code":"busy"' in refused[0].body
        assert inside, "some fit"
        assert ask_small(stack.enter_context(Raw(server.port, 30))).body == b"4"
        assert peak_bytes(gateway) - before < PENDING_BYTES + SLACK_BYTES
        rest = BODY_BYTES - len(START) - PART_BYTES - len(END)
        inside[0].sock.sendall(b"x" * rest + END)
        length = PART_BYTES + rest
        assert (answer := inside[0].read()).status == 200, answer
        assert answer.body == str(length).encode()
        for client in inside[1:]:
            client.sock.close()
    wait_until(lambda: metric(server) <= 1, "the others are gone")
    with Raw(server.port, 30) as client:
        client.sock.sendall(raw + b"x" * length + END)
        assert client.read().status == 200, "there is room again"


def answer_so_far(client: Raw) -> Told | None:
    """What a client has been told within a while; nothing while its body is waited for."""
    client.sock.settimeout(0.5)
    try:
        return client.read()
    except TimeoutError:
        return None
    finally:
        client.sock.settimeout(30)


def metric(server: Server) -> float:
    answer = server.call("GET", "/metrics", headers={"x-api-key": KEY})
    lines = answer.body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("headway_connections "))
