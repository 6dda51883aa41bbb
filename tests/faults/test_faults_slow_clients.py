"""Clients that are slow on purpose: each is ended by its deadline, and the others are answered all the while."""

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import corpus_subjects
import pytest
from rawclient import ClosedError, Raw, request
from serving import Server, serving, wait_until

pytestmark = pytest.mark.timeout(120)

DEADLINE_S = 2.0
SLACK_S = 6.0
"""A deadline is looked at four times a second, and the machine may be busy."""
CLIENTS = 150
MAX_CONNECTIONS = 300
NEIGHBOUR_S = 3.0
ANSWER_BYTES = 8_000_000
GROWTH_BYTES = 32 * 2**20
SETTINGS = f"""
server:
  head_timeout_s: {DEADLINE_S}
  body_timeout_s: {DEADLINE_S}
  idle_timeout_s: {DEADLINE_S}
  write_timeout_s: {DEADLINE_S}
  max_connections: {MAX_CONNECTIONS}
models:
  number: {{predictor: "subjects.py:Number", workers: 1}}
  long: {{predictor: "subjects.py:Long", workers: 1}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    shutil.copy(corpus_subjects.__file__, tmp_path / "subjects.py")
    tmp_path.joinpath("headway.yaml").write_text(SETTINGS)
    with serving(tmp_path, MALLOC_TRIM_THRESHOLD_="131072") as server:
        yield server


@dataclass
class Neighbour:
    """A client in good order, that goes on asking."""

    port: int
    slowest_s: float = 0.0
    answers: int = 0
    problems: list[str] = field(default_factory=list)

    def ask(self, stop: threading.Event) -> None:
        with Raw(self.port, NEIGHBOUR_S * 2) as connection:
            while not stop.wait(0.02):
                number = self.answers
                started = time.monotonic()
                try:
                    connection.send(
                        request("POST", "/models/number/predict", b'{"number":%d}' % number)
                    )
                    told = connection.read()
                except (ClosedError, TimeoutError) as e:
                    self.problems.append(repr(e))
                    return
                if told.body != str(corpus_subjects.mix(number)).encode():
                    self.problems.append(f"{number}: {told}")
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                self.answers += 1


@contextmanager
def neighbour(server: Server) -> Iterator[Neighbour]:
    """A client beside the slow ones: each of its answers must be right, and come soon."""
    found, stop = Neighbour(server.port), threading.Event()
    thread = threading.Thread(target=found.ask, args=(stop,))
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
    assert found.problems == []
    assert found.answers > 20
    assert found.slowest_s < NEIGHBOUR_S


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """The gateway is the same afterwards, has no connection left over, and has not grown."""
    gateways = server.gateways()
    before = memory(gateways[0])
    with neighbour(server):
        yield
    wait_until(lambda: server.metric("connections") <= 1, "the slow connections are gone")
    assert server.gateways() == gateways
    assert memory(gateways[0]) - before < GROWTH_BYTES


def connect(port: int, receive_bytes: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(DEADLINE_S + SLACK_S)
    sock.connect(("127.0.0.1", port))
    return sock


def drip(clients: list[socket.socket], turn: Callable[[socket.socket], object]) -> list[float]:
    """Take turns with all clients each 0.1 s, until the server has ended each; say when that was."""
    started = time.monotonic()
    ended: list[float] = []
    alive = list(clients)
    while alive and time.monotonic() - started < DEADLINE_S + SLACK_S:
        for client in tuple(alive):
            try:
                turn(client)
            except (ConnectionError, TimeoutError):
                alive.remove(client)
                ended.append(time.monotonic() - started)
        time.sleep(0.1)
    assert not alive, f"{len(alive)} of {len(clients)} are still connected"
    return ended


def send_a_byte(client: socket.socket) -> None:
    client.sendall(b"x")
    client.setblocking(False)
    try:
        if b"HTTP/1.1 408 " in client.recv(4096, socket.MSG_PEEK):
            raise ConnectionResetError
    except BlockingIOError:
        pass
    finally:
        client.settimeout(DEADLINE_S)


@pytest.mark.parametrize(
    "start",
    [
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /models/number/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n",
        b"POST /models/number/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n270f\r\n",
    ],
    ids=["slow head", "slow body", "slow chunk"],
)
def test_clients_that_send_a_byte_at_a_time_are_told_408_by_the_deadline(
    server: Server, start: bytes
) -> None:
    with unharmed(server), ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port)) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(start)
        ended = drip(clients, send_a_byte)
        assert min(ended) > DEADLINE_S / 2, "ended before their time"
        told = [client.recv(4096) for client in clients]
    assert all(t.startswith(b"HTTP/1.1 408 ") and b"connection: close" in t for t in told)


def size_of_what_is_left(client: socket.socket) -> int:
    """Read on to the end, or to the reset; what was on its way may still arrive."""
    size = 0
    try:
        while data := client.recv(2**16):
            size += len(data)
    except ConnectionError:
        pass
    return size


def test_clients_that_take_a_byte_at_a_time_are_cut_off(server: Server) -> None:
    asked = request("POST", "/models/long/predict", b'{"size":%d}' % ANSWER_BYTES)
    with unharmed(server), ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port, 4096)) for _ in range(8)]
        for client in clients:
            client.sendall(asked)

        def are_gone() -> bool:
            for client in clients:
                client.recv(1)
            return server.metric("connections") <= 2

        wait_until(are_gone, "they are cut off", DEADLINE_S + SLACK_S)
        assert all(size_of_what_is_left(client) < ANSWER_BYTES / 2 for client in clients)


def test_a_flood_of_idle_connections_takes_no_answer_from_who_is_connected(server: Server) -> None:
    with unharmed(server), ExitStack() as stack:
        wait_until(lambda: server.metric("connections") >= 1, "the neighbour is connected")
        clients = [stack.enter_context(connect(server.port)) for _ in range(MAX_CONNECTIONS + 50)]
        refused = 0
        started = time.monotonic()
        for client in clients:
            told = client.recv(
                4096
            )  # refused at once, or closed without a word once it was idle for long
            refused += told.startswith(b"HTTP/1.1 503 ")
            assert (
                told == b"" or b"retry-after" in told.lower() or told.startswith(b"HTTP/1.1 503 ")
            )
        assert time.monotonic() - started < DEADLINE_S + SLACK_S
        assert refused >= 50


MODES = {
    "slow headers": ("-H", "-i", "1", "-u", "/models"),
    "slow body": ("-B", "-i", "1", "-s", "8192", "-u", "/models/number/predict"),
    "range": ("-R", "-a", "1", "-b", "1000", "-u", "/page/app.js"),
    "slow read": (
        "-X",
        "-k",
        "3",
        "-n",
        "1",
        "-w",
        "1",
        "-y",
        "2",
        "-z",
        "1",
        "-u",
        "/openapi.json",
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_slowhttptest_finds_the_service_available_throughout(server: Server, mode: str) -> None:
    tool = shutil.which("slowhttptest")
    if tool is None:
        pytest.skip("slowhttptest is not installed (a Debian package of that name)")
    *flags, path = MODES[mode]
    load = ("-c", str(CLIENTS), "-r", "200", "-l", "6", "-p", "3")
    with unharmed(server):
        done = subprocess.run(
            [tool, *load, *flags, f"http://127.0.0.1:{server.port}{path}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
    available = re.findall(r"service available: +(\w+)", said)
    assert available, said
    assert set(available) == {"YES"}, said
