"""What /metrics tells is what happened, over all processes, and after one of them was killed."""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

START_TIMEOUT_S = 60
PREDICTOR = """
import headway as hw


def shout(text: str) -> str:
    if text == "no":
        raise hw.Reject("no")
    if text == "broken":
        raise RuntimeError("broken")
    return text.upper()
"""

pytestmark = pytest.mark.timeout(120)


class Server:
    """A running `headway serve` with two gateways."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.port = int(said["port"])
        self.admin = str(said["admin"])

    def ask(self, text: str) -> int:
        return self.call("POST", "/models/shout/predict", json.dumps({"text": text}))[0]

    def metrics(self) -> dict[tuple[str, str], float]:
        """Samples of the counters by name and outcome."""
        families = text_string_to_metric_families(self.call("GET", "/metrics")[1].decode())
        samples = [s for f in families for s in f.samples if s.labels.get("model") != ""]
        return {(s.name, s.labels.get("outcome", s.labels.get("le", ""))): s.value for s in samples}

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Ask on a connection of its own, so that any gateway may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def gateways(self) -> list[int]:
        """The pids of the gateways."""
        command = ["curl", "-s", "--unix-socket", self.admin, "http://localhost/status"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=30)
        return [gateway["pid"] for gateway in json.loads(done.stdout)["gateways"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    target = tmp_path / "shout.py"
    target.write_text(PREDICTOR, encoding="utf-8")
    admin = ["--admin", str(tmp_path / "admin.sock")]
    flags = ["--port", "0", "--gateways", "2", "--drain-delay-s", "0", *admin]
    command = [sys.executable, "-m", "headway", "serve", str(target), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert select.select([process.stdout], [], [], START_TIMEOUT_S)[0], "never ready"
            yield Server(json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_TIMEOUT_S)


def outcomes(server: Server) -> dict[str, float]:
    found = server.metrics()
    name = "headway_requests_total"
    return {outcome: found[name, outcome] for n, outcome in found if n == name}


def test_outcomes_are_the_callers_own_count_also_after_a_gateway_was_killed(server: Server) -> None:
    seen = Counter(server.ask(text) for text in ["a", "no", "broken", "b"] * 10)
    assert seen == {200: 20, 400: 10, 500: 10}

    victim = server.gateways()[0]
    os.kill(victim, signal.SIGKILL)
    wait_for_successor(server, victim)
    seen.update(server.ask(text) for text in ["a", "no"] * 10)

    assert seen == {200: 30, 400: 20, 500: 10}
    found = outcomes(server)
    assert {o: n for o, n in found.items() if n} == {"ok": 30, "caller": 20, "model": 10}
    metrics = server.metrics()
    assert metrics["headway_request_seconds_count", ""] == 60
    assert metrics["headway_gateway_restarts_total", ""] == 1
    assert metrics["headway_in_flight", ""] == 0
    assert metrics["headway_connections_total", ""] >= 60
    assert metrics["headway_connections", ""] <= 2


def wait_for_successor(server: Server, victim: int) -> None:
    """Until two gateways run again, and the dead one is none of them."""
    end_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end_at:
        found = server.gateways()
        if (
            len(found) == 2
            and victim not in found
            and server.call("GET", "/health/ready")[0] == 200
        ):
            return
        time.sleep(0.05)
    pytest.fail("the gateway was not replaced")
