"""Memory is flat to 5 bytes a request, over 150,000 of them (P42).

As many as a plain socket takes: each connection sends 50 requests at once and counts the answers' ids. What is
answered is other tests' business; here every answer has to come.
"""

import socket
import threading
import time
from pathlib import Path

import pytest
from harness import census
from harness.case import ledger_server
from harness.checker import Slope, slope
from harness.figures import Figures
from rawclient import request
from serving import Server

pytestmark = pytest.mark.timeout(300)

BOUND_BYTES = 5.0
WARM, MEASURED = 40_000, 150_000
CONNECTIONS, AT_ONCE = 4, 50
MARK = b"\r\nx-request-id: "


def asked(text: str) -> bytes:
    return request(
        "POST", "/models/text/predict", b'{"id_lo":1,"id_hi":0,"text":"%b"}' % text.encode()
    )


GOOD = asked("a text of some length") * 30
REFUSED = (
    asked("rejected") * 5
    + request("POST", "/models/text/predict", b'{"id_lo":1,"id_hi":0,"text":7}') * 5
    + request("POST", "/models/text/predict", b"{") * 5
    + request("POST", "/models/nobody/predict", b"{}") * 5
)


class Flood:
    """Connections that ask the same again and again, until so many have been answered."""

    def __init__(self, port: int, batch: bytes, most: int) -> None:
        self.answers = 0
        self._batch, self._most, self._port = batch, most, port
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def is_over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _ask(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as sock:
            while self.answers < self._most:
                sock.sendall(self._batch)
                count, last = 0, b""
                while count < AT_ONCE:
                    data = sock.recv(2**18)
                    assert data, "the server hung up"
                    seen = last + data
                    count += seen.count(MARK)
                    last = seen[-len(MARK) + 1 :]
                with self._lock:
                    self.answers += count


def growth(server: Server, batch: bytes, warm: int, measured: int) -> dict[str, Slope]:
    """Bytes a request that gateway and worker grow by, after a warm-up."""
    pids = {"gateway": server.gateways()[0], "worker": server.workers("text")[0]}
    for most in (warm, measured):
        answers: list[float] = []
        held: dict[str, list[float]] = {name: [] for name in pids}
        flood = Flood(server.port, batch, most)
        flood.start()
        while not flood.is_over:
            answers.append(flood.answers)
            for name, pid in pids.items():
                held[name].append(census.resident_bytes(pid))
            time.sleep(0.1)
        assert flood.answers >= most, f"void: a connection ended after {flood.answers} answers"
    assert pids["gateway"] == server.gateways()[0]
    assert pids["worker"] in server.workers("text")
    return {name: slope(answers, sizes) for name, sizes in held.items()}


def test_P42_memory_is_flat_to_five_bytes_a_request(tmp_path: Path, figures: Figures) -> None:
    with ledger_server(tmp_path, gateways=1, workers=1) as server:
        found = growth(server, GOOD + REFUSED, WARM, MEASURED)
        assert all(s.upper < BOUND_BYTES for s in found.values()), found
        for name, grown in found.items():
            figures(f"{name}, at most", grown.upper, "bytes a request")


def test_P42_a_predictor_that_leaks_little_is_seen(tmp_path: Path) -> None:
    with ledger_server(tmp_path, gateways=1, workers=1) as server:
        found = growth(server, asked("leak") * 30 + REFUSED, WARM // 4, WARM)
        leak = found["worker"]
        assert leak.per_unit - 1.96 * leak.error > BOUND_BYTES, found
