"""`headway serve` as a process: the ready line, signals, exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headway.errors import Exit

PREDICTOR = '''
import time
from pathlib import Path

import headway as hw

class Nap(hw.Predictor):
    """Sleep, then say so."""

    examples = ({"seconds": 0.0},)

    def predict(self, seconds: float) -> str:
        print("a user's print is no answer")
        Path(__file__).with_name("asleep").touch()
        time.sleep(seconds)
        return "slept"
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("nap.py").write_text(PREDICTOR)
    return tmp_path


class Server:
    """A running `headway serve`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.line = process.stdout.readline() if process.stdout else ""
        self.info: dict[str, Any] = json.loads(self.line or "{}")

    def ask(self, path: str, body: object, headers: dict[str, str] | None = None) -> Any:
        url = self.info["http"] + path
        sent = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(url, json.dumps(body).encode(), sent)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    log: Path


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    log = folder / "stderr.txt"
    command = [sys.executable, "-m", "headway", "serve", *arguments, "--drain-delay-s", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        server = Server(process)
        server.log = log
        try:
            yield server
        finally:
            if process.poll() is None:
                process.kill()


def test_one_json_line_tells_the_addresses_and_people_get_words(folder: Path) -> None:
    with serving(folder, "nap.py", "--port", "0") as server:
        assert server.info["http"].startswith("http://127.0.0.1:")
        assert server.info["pid"] == server.process.pid
        assert Path(server.info["admin"]).is_socket()
        assert server.ask("/models/nap/predict", {"seconds": 0}) == "slept"
        assert server.end() == Exit.OK
        assert server.process.stdout
        assert server.process.stdout.read() == "", "standard output carries the ready line alone"
        words = server.log.read_text()
        assert f"ready: {server.info['http']}" in words
        assert f"curl {server.info['http']}/models/nap/predict" in words
        assert """-d '{"seconds": 0.0}'""" in words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_what_is_under_way_first(folder: Path, number: int) -> None:
    answers: list[Any] = []
    with serving(folder, "nap.py", "--port", "0") as server:
        (folder / "asleep").unlink(missing_ok=True)
        asker = threading.Thread(
            target=lambda: answers.append(server.ask("/models/nap/predict", {"seconds": 1}))
        )
        asker.start()
        wait_for(folder / "asleep")
        assert server.end(number) == Exit.OK
        asker.join(30)
    assert answers == ["slept"]


def wait_for(path: Path) -> None:
    """Until the model is at work; the test's own timeout bounds it."""
    tick = threading.Event()
    while not path.exists():
        tick.wait(0.01)


def test_what_is_under_way_after_the_grace_time_ends_with_5(folder: Path) -> None:
    with serving(folder, "nap.py", "--port", "0", "--grace-s", "0.2") as server:
        (folder / "asleep").unlink(missing_ok=True)
        asker = threading.Thread(target=ask_in_vain, args=(server,))
        asker.start()
        wait_for(folder / "asleep")
        assert server.end() == Exit.GRACE
        asker.join(30)


def ask_in_vain(server: Server) -> None:
    with pytest.raises((OSError, urllib.error.URLError)):
        server.ask("/models/nap/predict", {"seconds": 20})


def test_an_address_in_use_ends_with_4(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serving(folder, "nap.py", "--port", port) as server:
            assert server.process.wait(30) == Exit.LISTEN
            assert f"can't listen on 127.0.0.1:{port}" in server.log.read_text()
            assert server.line == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def answer(x: object) -> int: ...\n", "x"),
        ("raise RuntimeError('at import')\ndef answer(x: int) -> int: ...\n", "at import"),
        ("import nothing_like_it\ndef answer(x: int) -> int: ...\n", "nothing_like_it"),
    ],
)
def test_a_model_that_can_not_be_loaded_ends_with_3(folder: Path, text: str, message: str) -> None:
    folder.joinpath("bad.py").write_text(text)
    with serving(folder, "bad.py", "--port", "0") as server:
        assert server.process.wait(30) == Exit.MODEL
        assert server.line == ""
        assert message in server.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_it_is_ready_ends_with_130(folder: Path, number: int) -> None:
    slow = "import pathlib, time\npathlib.Path(__file__).with_name('loading').touch()\n"
    folder.joinpath("slow.py").write_text(slow + "time.sleep(50)\ndef f(x: int) -> int: ...\n")
    command = [sys.executable, "-m", "headway", "serve", "slow.py", "--port", "0"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(folder / "loading")
        process.send_signal(number)
        assert process.wait(30) == Exit.INTERRUPTED


def test_settings_come_from_file_environment_and_flags(folder: Path) -> None:
    folder.joinpath("headway.yaml").write_text(
        "predictor: nap.py\nname: from-file\nserver: {host: 127.0.0.2, port: 1}\n"
    )
    with serving(folder, "--port", "0", HEADWAY_PORT="2", HEADWAY_HOST="127.0.0.3") as server:
        assert server.info["http"].startswith("http://127.0.0.3:")
        assert server.ask("/models/from-file/predict", {"seconds": 0}) == "slept"


def test_several_targets_are_served_together(folder: Path) -> None:
    folder.joinpath("double.py").write_text("def double(x: int) -> int:\n    return 2 * x\n")
    with serving(folder, "nap.py", "double.py", "--port", "0") as server:
        assert server.ask("/models/double/predict", [{"x": 2}, {"x": 3}]) == [4, 6]
        assert server.ask("/models/nap/predict", {"seconds": 0}) == "slept"


def test_a_unix_socket_can_be_listened_on(folder: Path) -> None:
    with serving(folder, "nap.py", "--unix", "s.sock", "--admin", "a.sock") as server:
        assert Path(folder, server.info["unix"]).is_socket()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s.sock"))
            client.sendall(
                b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.end() == Exit.OK
    assert not (folder / "s.sock").exists()


def test_a_key_file_from_headway_key_guards_the_models(folder: Path) -> None:
    command = [sys.executable, "-m", "headway", "key"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    folder.joinpath("keys.txt").write_text(made.stdout)
    key = made.stderr.split()[-1]
    with serving(folder, "nap.py", "--port", "0", "--key-file", "keys.txt") as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            server.ask("/models/nap/predict", {"seconds": 0})
        headers = {"authorization": f"Bearer {key}"}
        assert server.ask("/models/nap/predict", {"seconds": 0}, headers) == "slept"
