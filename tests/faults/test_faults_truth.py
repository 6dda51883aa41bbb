"""Memory is flat, metrics tell the truth, errors leak nothing, clocks may jump (P42, P45-P47)."""

import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from harness import census, schedule
from harness.case import Case, ledger_server
from harness.checker import Slope, slope, ways
from harness.figures import Figures
from harness.ledger import Mix
from harness.schedule import plan
from harness.truth import End
from serving import JSON, Answer, Server, serving, wait_until, write_subjects

pytestmark = pytest.mark.timeout(180)

BOUND_BYTES = 100.0
"""A request, in the short form: 5 are promised over a million, and this run has tens of thousands."""


def growth(server: Server, mix: Mix) -> dict[str, Slope]:
    """Bytes a request that gateway and workers grow by, after a warm-up."""
    Case(server, mix=mix, per_s=0, most=20_000).run(0).see()
    case = Case(server, mix=mix, per_s=0, most=30_000)
    pids = {"gateway": server.gateways()[0], "worker": server.workers("text")[0]}
    asked: list[float] = []
    held: dict[str, list[float]] = {name: [] for name in pids}
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.1):
            asked.append(case.ledger.counts.total())
            for name, pid in pids.items():
                held[name].append(census.resident_bytes(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        case.run(0).see()
    finally:
        is_over.set()
        looking.join()
    # What is held once all is quiet is no growth: only while it runs.
    busy = [i for i, n in enumerate(asked) if n < asked[-1]]
    return {
        name: slope([asked[i] for i in busy], [ys[i] for i in busy]) for name, ys in held.items()
    }


def test_P42_memory_does_not_grow_with_those_who_leave_and_those_who_are_late(
    tmp_path: Path, figures: Figures
) -> None:
    """Ordinary requests and errors, and a predictor that leaks: `test_faults_flat`."""
    with ledger_server(tmp_path, gateways=1, workers=1) as server:
        found = growth(server, Mix(leaver=0.2, hurried=0.4))
        assert all(s.per_unit - 1.96 * s.error < BOUND_BYTES for s in found.values()), found
        for name, grown in found.items():
            figures(f"{name}, leavers and late", grown.per_unit, "bytes a request")


def test_P45_metrics_are_the_ledger_also_after_processes_were_killed(
    tmp_path: Path, figures: Figures
) -> None:
    """Every case compares them; here with all outcomes, and the time that a scrape takes."""
    with ledger_server(tmp_path) as server:
        mix = Mix(sick=0.05, rejected=0.05, bad=0.05, hurried=0.05, leaver=0.02)
        case = Case(server, mix=mix, allowed=ways(all="failed cut"))
        kinds = [schedule.KILL_GATEWAY, schedule.KILL_WORKER]
        case.run(6, plan(case.seed, kinds, every_s=0.8, until_s=6)).see()
        took_s = []
        for _ in range(20):
            started = time.monotonic()
            text = server.call("GET", "/metrics").body
            took_s.append(time.monotonic() - started)
        assert sorted(took_s)[10] < 0.1, "0.05 s are promised"
        assert len(text) < 100_000, "it does not grow with the processes that were"
        figures("faults", len(case.nemesis.struck))
        figures("requests counted right", case.ledger.counts.total())
        figures("median of a scrape", sorted(took_s)[10] * 1000, "ms")


# P46

ASKED: tuple[tuple[str, str, bytes | None, dict[str, str]], ...] = (
    ("POST", "/models/nobody/predict", b"{}", {}),
    ("POST", "/models/gate/predict", b"{", {}),
    ("POST", "/models/gate/predict", b'{"text": 7}', {}),
    ("POST", "/models/gate/predict", b'{"text": "no"}', {}),
    ("POST", "/models/gate/predict", b'{"text": "poison"}', {}),
    (
        "POST",
        "/models/gate/predict",
        b'{"text": "slow", "until": "never"}',
        {"headway-timeout": "0.1"},
    ),
    ("POST", "/models/gate/predict", b"x", {"content-type": "application/x-python-pickle"}),
    ("POST", "/models/gate/predict", b"x", {"content-encoding": "gzip"}),
    ("POST", "/models/gate/predict", b"x", {"content-encoding": "zstd"}),
    ("POST", "/models/gate/predict", b"{}", {"headway-timeout": "soon"}),
    ("POST", "/models/gate/predict", b"{}", {"headway-priority": "now"}),
    ("POST", "/models/gate/versions/9/predict", b"{}", {}),
    ("POST", "/models/gate/predict?errors=all", b'{"text": "a"}', {}),
    ("POST", "/models/sick/predict", b'{"text": "a"}', {}),
    ("POST", "/models/odd/predict", b'{"text": "a"}', {}),
    ("GET", "/models/gate/predict", None, {}),
    ("GET", "/../../etc/passwd", None, {}),
    ("GET", "/models/%2e%2e%2fetc", None, {}),
    ("DELETE", "/metrics", None, {}),
    ("POST", "/models/gate/predict", b"x" * 70_000, {}),
    ("POST", "/v2/models/nobody/infer", b"{}", {}),
    ("POST", "/v2/models/gate/infer", b"{", {}),
    ("POST", "/v2/models/gate/infer", b'{"inputs": []}', {}),
    (
        "POST",
        "/v2/models/sick/infer",
        b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}',
        {},
    ),
    ("POST", "/v2/models/gate/infer", b"x", {"Inference-Header-Content-Length": "99"}),
)
RAW = (
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    b"BREW / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: odd\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nexpect: wonders\r\ncontent-length: 1\r\n\r\nx",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 20_000 + b"\r\n\r\n",
)
SICK = """
import headway as hw

class Sick(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        raise ValueError(f"SECRET {__file__}")

class Odd(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        return ["SECRET", "SECRET"]
"""
MODELS = """
server: {max_body_bytes: 65536}
models:
  gate: {predictor: "subjects.py:Gate", workers: 1}
  sick: {predictor: "sick.py:Sick", workers: 1}
  odd: {predictor: "sick.py:Odd", workers: 1}
"""


def test_P46_errors_are_json_of_one_form_and_tell_nothing_of_the_inside(
    tmp_path: Path, figures: Figures
) -> None:
    write_subjects(tmp_path)
    (tmp_path / "sick.py").write_text(SICK)
    (tmp_path / "headway.yaml").write_text(MODELS)
    with serving(tmp_path) as server:
        pids = {str(pid) for pid in census.alive(server.process.pid)}
        found = [(path, ask(server, *request)) for request in ASKED for path in request[1:2]]
        found += [(raw[:40].decode(), say(server, raw)) for raw in RAW]
        pids |= {str(pid) for pid in census.alive(server.process.pid)}
        seen = {answer.status for _, answer in found}
        assert seen >= {400, 404, 405, 413, 414, 415, 417, 431, 500, 501, 504, 505}, sorted(seen)
        for what, answer in found:
            body = answer.body.decode()
            said = answer.json
            if "/v2/" in what:
                assert set(said) == {"error"}, (what, body)
            else:
                assert set(said) == {"error", "code", "request_id"}, (what, body)
                assert said["request_id"] == answer.headers["x-request-id"]
            words = set(re.findall(r"[0-9]{4,}", re.sub(r'"request_id":"[^"]*"', "", body)))
            assert not words & pids, (what, body)
            for secret in ("Traceback", "SECRET", str(tmp_path), ".py", "site-packages", "memfd"):
                assert secret not in body, (what, body)
        figures("refusals", len(found))


def ask(
    server: Server, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Answer:
    answer = server.call(method, path, body, {**JSON, **headers})
    assert answer.status >= 400, (method, path, body, answer)
    return answer


def say(server: Server, raw: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(raw)
        response = http.client.HTTPResponse(sock)
        response.begin()
        with response:
            headers = {k.lower(): v for k, v in response.getheaders()}
            return Answer(response.status, response.read(), headers)


# P47


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler, to build a clock that jumps")
def test_P47_a_wall_clock_that_jumps_disturbs_nobody(tmp_path: Path, figures: Figures) -> None:
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    offset.write_text("0")
    environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
    with ledger_server(tmp_path, environment=environment) as server:
        case = Case(server, per_s=200, mix=Mix(hurried=0.1, timeout_s=5.0))
        seen: list[float] = []

        def jump() -> None:
            for seconds in (3600, -7200, 3600 * 24 * 365, 0, -3600):
                time.sleep(1.0)
                offset.write_text(str(seconds))
                wait_until(lambda s=seconds: abs(ahead_s(server) - s) < 30, "it has jumped")  # type: ignore[misc]
                seen.append(seconds)

        jumping = threading.Thread(target=jump)
        jumping.start()
        try:
            case.run(7)
        finally:
            jumping.join()
        assert len(seen) == 5, "void: it did not jump"
        case.see()
        assert case.ledger.count(End.TIMEOUT) < case.ledger.counts.total() * 0.1
        assert case.ledger.longest_s < 2.0
        assert server.metric("worker_restarts_total") == 0
        assert server.metric("gateway_restarts_total") == 0
        figures("jumps", len(seen))
        figures.of(case)


def ahead_s(server: Server) -> float:
    """How far the server's wall clock is ahead of ours."""
    date = server.call("GET", "/health/live").headers["date"]
    return parsedate_to_datetime(date).timestamp() - time.time()
