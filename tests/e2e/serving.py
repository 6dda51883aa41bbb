"""`headway serve` as a real process, for tests: start, ask, look inside, stop.

Every wait has a deadline and a condition; every process that is started is ended. Not a test.
"""

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUBJECTS = Path(__file__).with_name("subjects.py")
START_S = 40.0
WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of an error."""
        code: str = self.json["code"]
        return code


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Look again and again, until the condition holds.

    Raises:
        AssertionError: it did not within the time-out.
    """
    end_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_at, f"in vain waited {timeout_s:g} s until {what}"
        time.sleep(0.01)


def in_background(work: Callable[[], Any]) -> "Future[Any]":
    """Run something in a thread of its own; the future holds what it returned or raised."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as e:
            future.set_exception(e)

    threading.Thread(target=run, daemon=True).start()
    return future


class Server:
    """A `headway serve` that was started."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.info: dict[str, Any] = {}

    # What clients do

    @property
    def port(self) -> int:
        return int(self.info["port"])

    def connect(self, timeout_s: float = WAIT_S) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask on a connection of its own."""
        connection = self.connect()
        try:
            return call(connection, method, path, body, headers)
        finally:
            connection.close()

    def ask(self, model: str, inputs: object, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call(
            "POST",
            f"/models/{model}/predict",
            json.dumps(inputs).encode(),
            {**JSON, **(headers or {})},
        )

    def ask_later(
        self, model: str, inputs: object, headers: Mapping[str, str] | None = None
    ) -> "Future[Answer]":
        """Ask from a thread of its own."""
        return in_background(lambda: self.ask(model, inputs, headers))

    def send(
        self, model: str, inputs: object, headers: Mapping[str, str] | None = None
    ) -> socket.socket:
        """Send a request on a bare socket, and leave its answer to the caller."""
        body = json.dumps(inputs).encode()
        lines = [
            f"POST /models/{model}/predict HTTP/1.1",
            "host: localhost",
            f"content-length: {len(body)}",
        ]
        lines += [f"{name}: {value}" for name, value in {**JSON, **(headers or {})}.items()]
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return sock

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/health/ready").status == 200
        except OSError:
            return False

    # What operators see

    def metric(self, name: str, **labels: str) -> float:
        """A sample of /metrics, summed over the labels that are not named."""
        text = self.call("GET", "/metrics").body.decode()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        found = [
            float(value)
            for series, _, value in lines
            if series.partition("{")[0] == f"headway_{name}" and all(w in series for w in wanted)
        ]
        assert found, f"there is no metric {name} with {labels}"
        return sum(found)

    def admin(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("admin", timeout=WAIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(str(self.info["admin"]))
        try:
            return call(connection, method, path, body)
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.admin("GET", "/status").json
        return status

    def gateways(self) -> list[int]:
        """Pids, in the order of the gateways' numbers."""
        return [gateway["pid"] for gateway in self.status()["gateways"]]

    def workers(self, model: str, phase: str = "ready") -> list[int]:
        """Pids of a model's workers in a phase."""
        models = {m["name"]: m for m in self.status()["models"]}
        return [w["pid"] for w in models[model]["workers"] if w["phase"] == phase]

    def wait_for_workers(self, model: str, count: int, *, without: int = 0) -> None:
        """Until so many are ready, and none of them is `without`."""

        def is_so() -> bool:
            pids = self.workers(model)
            return len(pids) == count and without not in pids

        wait_until(is_so, f"{model} has {count} workers")

    def wait_for_queue(self, model: str, requests: int) -> None:
        """Until so many wait for a slot."""
        wait_until(
            lambda: self.metric("queue_requests", model=model) == requests,
            f"{requests} requests of {model} wait",
        )

    @property
    def log(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def records(self, message: str) -> list[dict[str, Any]]:
        """Log records of one kind."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [r for r in map(json.loads, lines) if r["message"] == message]

    # What the subjects see

    def path(self, name: str) -> Path:
        return self.folder / name

    def lines(self, name: str) -> list[str]:
        """What the subjects have noted in a file."""
        path = self.path(name)
        return path.read_text().split() if path.exists() else []

    def wait_for_line(self, name: str, line: str) -> None:
        wait_until(lambda: line in self.lines(name), f"{name} holds {line}")

    # The end

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Until it has ended; returns the exit code."""
        return self.process.wait(timeout_s)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send_signal(number)
        return self.wait()


JSON = {"content-type": "application/json"}


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask on a connection that stays open."""
    connection.request(method, path, body, dict(headers or {}))
    answer = connection.getresponse()
    return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})


def ask(connection: http.client.HTTPConnection, model: str, inputs: object) -> Answer:
    """Ask a model on a connection that stays open."""
    return call(connection, "POST", f"/models/{model}/predict", json.dumps(inputs).encode(), JSON)


def read_answer(sock: socket.socket) -> Answer:
    """Read the answer to what was sent on a bare socket, and close it."""
    answer = http.client.HTTPResponse(sock)
    with sock, answer:
        answer.begin()
        return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})


def write_subjects(folder: Path) -> None:
    """Put the test predictors into a folder."""
    shutil.copy(SUBJECTS, folder / "subjects.py")


@contextmanager
def starting(
    folder: Path, *arguments: str, by: str = sys.executable, **environment: str
) -> Iterator[Server]:
    """Start `headway serve` in a folder; at the end it is killed if it still runs.

    `by` is what runs Python: Python itself, or a program that starts it.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEADWAY_")}
    flags = [] if "--admin" in arguments else ["--admin", str(folder / "admin.sock")]
    with (folder / "stderr.txt").open("wb") as log:
        process = subprocess.Popen(
            [by, "-m", "headway", "serve", *arguments, *flags],
            cwd=folder,
            env={**kept, "XDG_RUNTIME_DIR": str(folder), **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout
    with process:
        try:
            yield Server(process, folder)
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def serving(
    folder: Path, *arguments: str, by: str = sys.executable, **environment: str
) -> Iterator[Server]:
    """Serve on a free port until the end of the block, and see that it then ends in good order.

    A block that has ended the server itself is not asked for more.
    """
    port = [] if {"--port", "--unix"} & set(arguments) else ["--port", "0"]
    delay = [] if "--drain-delay-s" in arguments else ["--drain-delay-s", "0"]
    with starting(folder, *arguments, *port, *delay, by=by, **environment) as server:
        server.info = read_info(server)
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, server.log


def read_info(server: Server) -> dict[str, Any]:
    """Wait for the ready line."""
    stdout = server.process.stdout
    assert stdout
    ready, _, _ = select.select([stdout], [], [], START_S)
    assert ready, f"not ready within {START_S:g} s:\n{server.log}"
    line = stdout.readline()
    assert line, f"it ended before it was ready:\n{server.log}"
    info: dict[str, Any] = json.loads(line)
    return info
