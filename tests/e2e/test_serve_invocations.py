"""A server as a container of SageMaker's: how it is started, what its probes are told, and its end."""

import json
import signal
import socket
from pathlib import Path

import pytest
from serving import JSON, WAIT_S, Answer, Server, call, read_answer, serving, starting, wait_until

LATE = """
import pathlib, time
import headway as hw

class Late(hw.Predictor):
    def load(self):
        while not pathlib.Path("open").exists():
            time.sleep(0.01)

    def predict(self, text: str) -> str:
        if text == "wait":
            pathlib.Path("asked").touch()
            while not pathlib.Path("answer").exists():
                time.sleep(0.01)
        return text.upper()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("late.py").write_text(LATE)
    return tmp_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def ping(server: Server, path: str = "/ping") -> int:
    """Its status; 0 while nobody listens."""
    try:
        return server.call("GET", path).status
    except OSError:
        return 0


def test_it_starts_as_sagemaker_starts_it_and_is_pinged_until_it_is_ready(folder: Path) -> None:
    port = free_port()
    told = {"SAGEMAKER_BIND_TO_PORT": str(port), "HEADWAY_PORT": "1"}
    with starting(folder, "late.py", "serve", "--drain-delay-s", "0", **told) as server:
        server.info = {"port": port}
        wait_until(lambda: ping(server) == 503, "it says that it is not ready")
        assert server.call("GET", "/health").json["error_code"] == "TEMPORARILY_UNAVAILABLE"
        folder.joinpath("open").touch()
        wait_until(lambda: ping(server) == 200, "it is ready")
        assert server.call("GET", "/execution-parameters").json["BatchStrategy"] == "MULTI_RECORD"
        headers = {**JSON, "x-amzn-sagemaker-custom-attributes": "trace=7"}
        answer = server.call("POST", "/invocations", b'{"text": "a"}', headers)
        assert answer.json == "A"
        assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
        assert server.call("POST", "/models/late/invoke", b'{"text": "b"}', JSON).json == "B"
        assert server.call("POST", "/models/gone/invoke", b"{}", JSON).status == 404
        assert server.stop() == 0


def test_it_ends_with_what_is_under_way_answered_and_new_work_refused(folder: Path) -> None:
    folder.joinpath("open").touch()
    with serving(folder, "late.py", "--drain-delay-s", "2") as server:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)
        body = b'{"instances": [{"text": "wait"}]}'
        head = "POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(folder.joinpath("asked").exists, "the model works on it")
        other = server.connect()
        call(other, "GET", "/ping")
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: ping_on(other).status == 503, "it is not ready any more")
        told = json.loads(ping_on(other).body)
        assert told["error_code"] == "TEMPORARILY_UNAVAILABLE"
        folder.joinpath("answer").touch()
        assert read_answer(sock).json == {"predictions": ["WAIT"]}
        other.close()
        assert server.wait() == 0


def ping_on(connection: object) -> Answer:
    return call(connection, "GET", "/ping")  # type: ignore[arg-type]
