"""Streams over real processes: they wait for their clients, end with them, and run beside each other."""

import shutil
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stream_subjects
from serving import Server, serving, wait_until

pytestmark = pytest.mark.timeout(120)

STREAMS = 16
IN_FLIGHT_BYTES = 8 * 2**20
"""What sockets and buffers between a generator and its client hold at most; most of it is the kernel's."""
GROWTH_BYTES = 16 * 2**20
SOON_S = 0.1
SHORT_BYTES, LONG_BYTES = 20 * 2**20, 400 * 2**20
MODELS = """
server: {write_timeout_s: 30}
models:
  endless: {predictor: "subjects.py:Endless", workers: 1, timeout_s: 600}
  async-endless: {predictor: "subjects.py:AsyncEndless", workers: 1, timeout_s: 600}
  together: {predictor: "subjects.py:Together", workers: 1}
  length: {predictor: "subjects.py:length", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("streams")
    shutil.copy(stream_subjects.__file__, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def made(server: Server, name: str) -> int:
    path = server.path(f"{name}.made")
    return int(path.read_text() or 0) if path.exists() else 0


def wait_for_a_stall(server: Server, name: str) -> None:
    """Until nothing more is made for half a second."""
    since, last = time.monotonic(), 0

    def is_still() -> bool:
        nonlocal since, last
        if (now := made(server, name)) != last:
            since, last = time.monotonic(), now
        return last > 0 and time.monotonic() - since > 0.5

    wait_until(is_still, f"{name} waits for its client")


def exits(server: Server, name: str) -> list[tuple[str, float]]:
    found = [line.split(":") for line in server.lines("exits.txt")]
    return [(cancelled, float(at)) for owner, cancelled, at in found if owner == name]


@pytest.mark.parametrize("model", ["endless", "async-endless"])
def test_a_generator_waits_for_a_client_that_does_not_read(server: Server, model: str) -> None:
    pids = server.gateways() + server.workers(model)
    before = [memory(pid) for pid in pids]
    sock = server.send(model, {"name": f"{model}-slow"})
    wait_for_a_stall(server, f"{model}-slow")
    stalled = made(server, f"{model}-slow")
    assert stalled * len(stream_subjects.PIECE) < IN_FLIGHT_BYTES
    for i in range(200):
        assert server.ask("length", {"text": "x" * i}).json == i
    assert made(server, f"{model}-slow") == stalled
    grown = [memory(pid) - b for pid, b in zip(pids, before, strict=True)]
    assert max(grown) < GROWTH_BYTES
    taken = 0
    while taken < 3 * IN_FLIGHT_BYTES:
        taken += len(sock.recv(2**18))
    assert made(server, f"{model}-slow") > stalled
    wait_for_a_stall(server, f"{model}-slow")
    sock.close()
    wait_until(lambda: exits(server, f"{model}-slow"), "its generator is closed")


@pytest.mark.parametrize("model", ["endless", "async-endless"])
@pytest.mark.parametrize("is_reading", [True, False])
def test_who_leaves_ends_the_generator_at_once(
    server: Server, model: str, is_reading: bool
) -> None:
    name = f"{model}-left-{is_reading}"
    sock = server.send(model, {"name": name})
    assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    if not is_reading:
        wait_for_a_stall(server, name)
    sock.close()
    left_at = time.time()
    wait_until(lambda: exits(server, name), "GeneratorExit has reached it")
    ((is_cancelled, at),) = exits(server, name)
    assert is_cancelled == "True"
    assert at - left_at < SOON_S * 5, "a busy machine is allowed five times as long"


@pytest.mark.parametrize("model", ["endless", "async-endless"])
def test_of_ten_that_leave_half_are_noticed_within_a_tenth_of_a_second(
    server: Server, model: str, record_testsuite_property: Callable[[str, object], None]
) -> None:
    waits_s = []
    for i in range(10):
        name = f"{model}-leaver-{i}"
        with server.send(model, {"name": name}) as sock:
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
            left_at = time.time()
        wait_until(lambda name=name: exits(server, name), "GeneratorExit has reached it")  # type: ignore[misc]
        ((_, at),) = exits(server, name)
        waits_s.append(at - left_at)
    record_testsuite_property(f"{model}_left_ms", f"{statistics.median(waits_s) * 1e3:.1f}")
    record_testsuite_property(f"{model}_left_worst_ms", f"{max(waits_s) * 1e3:.1f}")
    assert statistics.median(waits_s) < SOON_S


@pytest.mark.parametrize("model", ["endless", "async-endless"])
def test_a_long_stream_takes_no_more_memory_than_a_short_one(
    server: Server, model: str, record_testsuite_property: Callable[[str, object], None]
) -> None:
    pids = server.gateways() + server.workers(model)
    with server.send(model, {"name": f"{model}-long"}) as sock:
        take(sock, SHORT_BYTES)
        before = [memory(pid) for pid in pids]
        take(sock, LONG_BYTES)
        grown = [memory(pid) - b for pid, b in zip(pids, before, strict=True)]
    record_testsuite_property(f"{model}_grown_bytes", max(grown))
    assert max(grown) < GROWTH_BYTES


def take(sock: socket.socket, count: int) -> None:
    while count > 0:
        data = sock.recv(min(count, 2**18))
        assert data
        count -= len(data)


def test_async_streams_run_beside_each_other_in_one_worker(server: Server) -> None:
    asked = [server.ask_later("together", {"streams": STREAMS}) for _ in range(STREAMS)]
    assert all(a.result(20).body == b"0\n%d\n" % STREAMS for a in asked)


def test_a_client_that_stalls_is_cut_off_by_the_write_deadline(tmp_path: Path) -> None:
    shutil.copy(stream_subjects.__file__, tmp_path / "subjects.py")
    arguments = ("subjects.py:Endless", "--workers", "1", "--write-timeout-s", "0.5")
    with serving(tmp_path, *arguments) as server:
        model = server.status()["models"][0]["name"]
        sock = server.send(model, {"name": "stalled"})
        wait_until(lambda: exits(server, "stalled"), "it is cut off")
        taken = b""
        while data := _receive(sock):
            taken += data
        assert not taken.endswith(b"0\r\n\r\n")
        sock.close()
        with server.send(model, {"name": "next"}) as again:
            assert again.recv(100).startswith(b"HTTP/1.1 200 ")


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(2**18)
    except ConnectionError:
        return b""
