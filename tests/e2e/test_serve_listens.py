"""Where a server listens, whom it lets in, and what it can be given."""

import hashlib
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from needed import need
from serving import JSON, Answer, Server, call, serving, starting, write_subjects

from headway.errors import Exit

HERE = Path(__file__).parents[1]
ONNX = HERE / "golden" / "runtimes" / "onnx" / "model.onnx"
KEY = "a-key-of-at-least-some-length"


def ask_over(sock: socket.socket, key: str = "", path: str = "/models/subjects/predict") -> Answer:
    """Ask for a word's capitals on a socket of any sort."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = sock
    headers = {**JSON, **({"authorization": f"Bearer {key}"} if key else {})}
    with closing(connection):
        return call(connection, "POST", path, b'{"text": "word"}', headers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_subjects(tmp_path)
    return tmp_path


def test_a_unix_socket_answers_as_an_address_does(folder: Path) -> None:
    with serving(folder, "subjects.py:Gate", "--workers", "1", "--unix", "s.sock") as server:
        assert set(server.info) == {"unix", "grpc", "admin", "pid"}
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(str(folder / "s.sock"))
        assert ask_over(sock).json == "WORD"


@pytest.mark.parametrize(
    ("arguments", "is_warned"),
    [
        (("--host", "0.0.0.0"), True),
        (("--host", "0.0.0.0", "--key-file", "keys.txt"), False),
        (("--host", "127.0.0.1"), False),
        (("--unix", "s.sock"), False),
    ],
    ids=["open", "with keys", "loopback", "unix"],
)
def test_an_open_address_without_keys_is_warned_of_in_words(
    folder: Path, arguments: tuple[str, ...], is_warned: bool
) -> None:
    folder.joinpath("keys.txt").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    with serving(folder, "subjects.py:chatter", "--workers", "1", *arguments) as server:
        pass
    warnings = [line for line in server.log.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == is_warned
    assert all("without keys" in line and "0.0.0.0" in line for line in warnings)


def test_a_name_for_a_server_on_loopback_is_served_once_it_is_set(folder: Path) -> None:
    with serving(folder, "subjects.py:chatter", "--hosts", "models.example, other") as server:
        asked = {
            host: server.call("GET", "/models", headers={"host": host}).status
            for host in ("models.example:80", "other", "localhost", "evil.example")
        }
    assert asked == {"models.example:80": 200, "other": 200, "localhost": 200, "evil.example": 421}


def test_a_unix_path_that_holds_a_file_is_refused(folder: Path) -> None:
    folder.joinpath("s.sock").write_text("precious")
    with starting(folder, "subjects.py:Gate", "--unix", "s.sock") as server:
        assert server.wait() == Exit.LISTEN
    assert server.log == "error: can't listen on s.sock: something is there that is no socket\n"
    assert folder.joinpath("s.sock").read_text() == "precious"


@pytest.mark.parametrize("is_live", [False, True])
def test_an_admin_path_that_is_taken_is_refused(folder: Path, *, is_live: bool) -> None:
    path = folder / "a.sock"
    with socket.socket(socket.AF_UNIX) as other:
        if is_live:
            other.bind(str(path))
            other.listen()
        else:
            path.write_text("precious")
        with starting(folder, "subjects.py:Gate", "--port", "0", "--admin", "a.sock") as server:
            assert server.wait() == Exit.LISTEN
    assert "error: can't listen on a.sock: " in server.log
    assert path.exists()


def test_servers_with_one_port_on_two_addresses_have_an_admin_socket_each(folder: Path) -> None:
    flags = ["subjects.py:Gate", "--workers", "1", "--admin", ""]
    with (
        serving(folder, *flags) as one,
        serving(folder, *flags, "--host", "127.0.0.2", "--port", str(one.port)) as two,
    ):
        assert one.info["admin"] != two.info["admin"]
        assert {s.status()["http"] for s in (one, two)} == {one.info["http"], two.info["http"]}


def test_a_runtime_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    folder.joinpath("headway").mkdir()
    folder.joinpath("headway").chmod(0o755)
    with starting(folder, "subjects.py:Gate", "--port", "0", "--admin", "") as server:
        assert server.wait() == Exit.LISTEN
    assert "must be this user's own, with mode 0700" in server.log


def test_a_socket_that_is_gone_at_the_end_is_no_error(folder: Path) -> None:
    with serving(folder, "subjects.py:Gate", "--workers", "1", "--unix", "s.sock") as server:
        folder.joinpath("s.sock").unlink()
        assert server.stop() == Exit.OK
    assert "Traceback" not in server.log


def test_a_key_file_that_can_not_be_used_is_told_before_anything_starts(folder: Path) -> None:
    folder.joinpath("keys.txt").write_text("no hash\n")
    with starting(folder, "subjects.py:Gate", "--port", "0", "--key-file", "keys.txt") as server:
        assert server.wait() == Exit.USAGE
    assert server.log.startswith("error: `key_file` keys.txt, line 1: expected a SHA-256")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with TLS and a key."""
    trustme = need("trustme")
    folder = tmp_path_factory.mktemp("guarded")
    write_subjects(folder)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    folder.joinpath("keys.txt").write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
    flags = ["--tls-certificate", "cert.pem", "--tls-key", "key.pem", "--key-file", "keys.txt"]
    with serving(folder, "subjects.py:Gate", "--workers", "1", *flags) as server:
        yield server


def connect_safely(server: Server) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(server.path("ca.pem")))
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    return context.wrap_socket(sock, server_hostname="localhost")


def test_a_key_is_asked_for_over_tls(guarded: Server) -> None:
    assert guarded.info["http"].startswith("https://")
    assert ask_over(connect_safely(guarded), KEY).json == "WORD"
    for wrong in ("", "wrong", KEY + "x"):
        answer = ask_over(connect_safely(guarded), wrong)
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/", 200),
        ("/metrics", 401),
        ("/models", 401),
        ("/v2/models/subjects", 401),
        ("/openapi.json", 401),
    ],
)
def test_only_health_and_the_page_are_open(guarded: Server, path: str, status: int) -> None:
    connection = http.client.HTTPConnection("test")
    connection.sock = connect_safely(guarded)
    with closing(connection):
        assert call(connection, "GET", path).status == status


def test_plain_text_on_a_tls_port_is_no_request(guarded: Server) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as sock:
        sock.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not sock.recv(100).startswith(b"HTTP/1.1 200")
    assert ask_over(connect_safely(guarded), KEY).json == "WORD"


# Targets


def test_a_model_file_is_served_as_it_is(tmp_path: Path) -> None:
    need("onnxruntime")
    tmp_path.joinpath("scores.onnx").write_bytes(ONNX.read_bytes())
    with serving(tmp_path, "scores.onnx", "--workers", "1") as server:
        described = server.call("GET", "/models/scores").json
        question = example(described["inputs"])
        answer = server.ask("scores", question)
        assert answer.status == 200, answer.body
        many = server.ask("scores", [question, question])
        assert many.json == [answer.json, answer.json]


def example(inputs: list[dict[str, object]]) -> dict[str, object]:
    """One item of the right shapes: all zeros, free lengths 1."""

    def zeros(shape: list[int]) -> object:
        return [zeros(shape[1:]) for _ in range(max(shape[0], 1))] if shape else 0

    return {str(i["name"]): zeros(list(i["shape"])) for i in inputs}  # type: ignore[call-overload]


def test_a_plain_annotated_function_is_served(tmp_path: Path) -> None:
    tmp_path.joinpath("area.py").write_text(
        "def area(width: float, height: float = 2.0) -> float:\n    return width * height\n"
    )
    with serving(tmp_path, "area.py") as server:
        assert server.ask("area", {"width": 3}).json == 6.0
        assert server.ask("area", [{"width": 1, "height": 1}, {"width": 2}]).json == [1.0, 4.0]
        assert server.ask("area", {"height": 1}).code == "bad_input"


def test_a_folder_with_several_models_serves_each_under_its_name(folder: Path) -> None:
    models = {
        name: {"predictor": f"subjects.py:{what}", "workers": 1}
        for name, what in {"one": "Gate", "two": "Mix", "three": "chatter"}.items()
    }
    folder.joinpath("headway.yaml").write_text(json.dumps({"models": models}))
    with serving(folder) as server:
        assert [m["name"] for m in server.call("GET", "/models").json["models"]] == list(models)
        assert server.ask("one", {"text": "a"}).json == "A"
        assert server.ask("three", {"text": "ab"}).json == "ba"
        assert server.ask("four", {"text": "ab"}).code == "unknown_model"
        assert server.call("GET", "/health/ready").json["models"] == dict.fromkeys(models, True)


def test_a_low_limit_of_descriptors_is_raised_to_what_the_connections_need(folder: Path) -> None:
    launcher = folder / "few"
    launcher.write_text(f'#!/bin/sh\nulimit -S -n 128\nexec {sys.executable} "$@"\n')
    launcher.chmod(0o755)
    with (
        serving(folder, "subjects.py:Gate", "--workers", "1", by=str(launcher)) as server,
        ExitStack() as stack,
    ):
        for _ in range(200):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            stack.enter_context(sock)
            sock.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
