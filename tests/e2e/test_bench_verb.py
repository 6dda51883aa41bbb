"""`headway bench` on a real server, and on servers that stall, close and talk nonsense."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from needed import need
from serving import Server, serving

from headway.errors import Exit

PREDICTOR = '''
import headway as hw

class Toy(hw.Predictor):
    """Count letters."""

    examples = ({"text": "good"}, {"text": "so-so"})

    def predict(self, text: hw.Batch[str]) -> hw.Batch[int]:
        return [len(t) for t in text]

class Silent(hw.Predictor):
    """It has no examples."""

    def predict(self, text: str) -> str:
        return text
'''
CONFIG = "models: {toy: {predictor: 'toy.py:Toy'}, silent: {predictor: 'toy.py:Silent'}}\n"
SHORT = ("--duration", "0.6s", "--warm-up", "0.1s", "-c", "4")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headway", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def figures(*arguments: str) -> Any:
    done = bench(*arguments, "--json")
    assert done.returncode == Exit.OK, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("toy")
    folder.joinpath("toy.py").write_text(PREDICTOR)
    folder.joinpath("headway.yaml").write_text(CONFIG)
    with serving(folder) as started:
        yield started


def url(server: Server, path: str = "/models/toy") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


@pytest.mark.parametrize(
    "protocol",
    [
        *("native", "v2", "v2-binary"),
        *("invocations", "invocations-split", "invocations-inputs", "sagemaker", "azure"),
    ],
)
def test_a_closed_loop_is_answered_in_every_protocol(server: Server, protocol: str) -> None:
    found = figures(url(server), *SHORT, "--protocol", protocol, "--check")
    assert found["answered"] > 0
    assert (found["errors"], found["wrong"]) == ({}, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_an_open_loop_sends_what_is_due_and_ends(server: Server) -> None:
    found = figures(url(server), "--rate", "100", "--requests", "30", "--pattern", "constant")
    assert found["answered"] == 30
    assert found["connections"] == 256


def test_a_run_is_kept_drawn_and_compared(server: Server, tmp_path: Path) -> None:
    kept, drawn, page = (tmp_path / name for name in ("a.json", "a.svg", "a.html"))
    files = ("--save", str(kept), "--svg", str(drawn), "--html", str(page))
    done = bench(url(server), *SHORT, *files)
    assert done.returncode == Exit.OK, done.stderr
    assert "p99.9" in done.stdout
    assert "█" in done.stdout
    assert ET.parse(drawn).getroot().tag.endswith("svg")
    html = page.read_text()
    ET.fromstring(html.removeprefix("<!DOCTYPE html>"))
    assert "<script" not in html
    assert not [word for word in ("src=", "href=", "url(") if word in html]
    found = figures(url(server), *SHORT, "--compare", str(kept))
    assert [d["name"] for d in found["compared"]] == [
        "answers/s", "mean ms", "p50 ms", "p90 ms", "p99 ms"
    ]  # fmt: skip


def test_questions_come_from_a_file(server: Server, tmp_path: Path) -> None:
    lines = tmp_path / "q.jsonl"
    lines.write_text('{"text": "a"}\n[{"text": "b"}, {"text": "c"}]\n')
    asked = ("--input", str(lines), "--requests", "4", "--check", "-c", "1", "--warm-up", "0")
    assert figures(url(server, "/models/silent"), *asked)["answered"] == 4
    raw = tmp_path / "q.json"
    raw.write_text('{"text": "a"}')
    found = figures(url(server, "/models/silent/predict?x=1"), "--input", str(raw), "-n", "3")
    assert found["protocol"] == "as it is"


def test_a_bound_that_is_not_kept_ends_with_its_own_code(server: Server) -> None:
    done = bench(url(server), *SHORT, "--max-p99", "1us", "--max-errors", "0%")
    assert done.returncode == Exit.MISSED
    assert "is over --max-p99" in done.stderr
    assert "--max-errors" not in done.stderr


@pytest.mark.parametrize(
    ("path", "more", "message"),
    [
        ("/models/tyo", (), "there is no model named 'tyo'"),
        ("", (), "names no model; add one of: /models/toy, /models/silent"),
        ("/models/silent", (), "has no examples to ask: pass --input FILE"),
        ("/score", (), "names no model of a Headway server"),
        ("/models/toy", ("--protocol", "v3"), "`--protocol v3`"),
        ("/models/toy", ("--compare", "nope.json"), "can't be read"),
        ("/models/toy", ("--save", "no/a.json"), "no/a.json: there is no folder 'no'"),
        ("/models/toy", ("--duration", "soon"), "expected a duration"),
        ("/models/toy", ("--header", "x"), "expected 'name: value'"),
    ],
)
def test_what_can_not_be_asked_is_told(
    server: Server, path: str, more: tuple[str, ...], message: str
) -> None:
    done = bench(url(server, path), *more)
    assert done.returncode == Exit.USAGE
    assert message.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not done.stderr.endswith("..\n")


def test_a_question_that_is_refused_stops_before_the_load(server: Server, tmp_path: Path) -> None:
    wrong = tmp_path / "q.json"
    wrong.write_text('{"txet": "a"}')
    done = bench(url(server), "--input", str(wrong))
    assert done.returncode == Exit.USAGE
    assert "question 1 is answered 400" in done.stderr


def test_ctrl_c_prints_what_was_measured(server: Server) -> None:
    command = [sys.executable, "-m", "headway", "bench", url(server), "--duration", "10m"]
    command += ["--warm-up", "0", "--json"]
    before = answered_by(server)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        while answered_by(server) < before + 50:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == Exit.INTERRUPTED
    assert json.loads(told)["answered"] > 0


def answered_by(server: Server) -> int:
    text = server.call("GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if 'model="toy",outcome="ok"' in line]
    return int(lines[0].split()[-1])


def test_a_port_where_nothing_listens_is_told() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        done = bench(f"http://127.0.0.1:{sock.getsockname()[1]}/models/toy")
    assert done.returncode == Exit.USAGE
    assert "nothing listens there" in done.stderr


def test_tls_and_a_key_and_a_unix_socket_are_spoken(tmp_path: Path) -> None:
    authority = need("trustme").CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tmp_path.joinpath("toy.py").write_text(PREDICTOR)
    tmp_path.joinpath("keys.txt").write_text(hashlib.sha256(b"the key").hexdigest() + "\n")
    tmp_path.joinpath("key.txt").write_text("the key\n")
    flags = ["--tls-certificate", "cert.pem", "--tls-key", "key.pem", "--key-file", "keys.txt"]
    with serving(tmp_path, "toy.py:Toy", *flags) as server:
        where = url(server, "").replace("http:", "https:")
        key = ("--key", f"@{tmp_path / 'key.txt'}")
        assert figures(where, *key, "--ca", str(tmp_path / "ca.pem"), *SHORT)["errors"] == {}
        assert figures(where, *key, "--insecure", *SHORT)["answered"] > 0
        assert "not trusted" in bench(where, *key).stderr
        assert "pass --key" in bench(where, "--insecure").stderr
    with serving(tmp_path, "toy.py:Toy", "--unix", "s.sock"):
        found = figures("http://localhost", "--unix", str(tmp_path / "s.sock"), *SHORT)
        assert found["answered"] > 0


# Servers that misbehave


@contextmanager
def odd(answer: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """A server whose connections are each answered by a function, which is told how many came before."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:

        def serve() -> None:
            count = 0
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(sock, count), daemon=True).start()
                count += 1

        def one(sock: socket.socket, count: int) -> None:
            with sock:
                try:
                    answer(sock, count)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/score"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def question(tmp_path: Path) -> str:
    path = tmp_path / "question.json"
    path.write_text("{}")
    return str(path)


def test_a_server_that_closes_each_connection_is_asked_on_new_ones(question: str) -> None:
    def answer(sock: socket.socket, count: int) -> None:
        if sock.recv(65536):
            sock.sendall(OK.replace(b"content", b"connection: close\r\ncontent"))

    with odd(answer) as where:
        found = figures(where, "--input", question, "-n", "50", "-c", "2", "--warm-up", "0")
    assert found["answered"] >= 50
    assert found["errors"] == {}


@pytest.mark.parametrize(
    ("words", "code"),
    [(b"SSH-2.0-nonsense\r\n\r\n", "garbage"), (b"", "closed"), (OK[:-1], "closed")],
)
def test_garbage_and_cut_answers_are_counted(question: str, words: bytes, code: str) -> None:
    def answer(sock: socket.socket, count: int) -> None:
        if sock.recv(65536):
            sock.sendall(OK if count < 2 else words)  # the first two look for the place, and try

    with odd(answer) as where:
        done = bench(where, "--input", question, *SHORT, "--json", "--max-errors", "50%")
    assert done.returncode == Exit.MISSED
    found = json.loads(done.stdout)
    assert set(found["errors"]) == {code}
    assert found["answered"] == 0


def test_a_server_that_stalls_is_given_up_and_its_wait_is_in_the_percentiles(question: str) -> None:
    def answer(sock: socket.socket, count: int) -> None:
        while sock.recv(65536):
            if count < 2:
                sock.sendall(OK)

    with odd(answer) as where:
        found = figures(where, "--input", question, *SHORT, "--timeout", "0.3s")
    assert set(found["errors"]) == {"timeout"}
    assert found["p50_ms"] >= 300


def test_a_stall_is_told_before_the_load(question: str) -> None:
    def answer(sock: socket.socket, count: int) -> None:
        while sock.recv(65536):
            pass

    with odd(answer) as where:
        done = bench(where, "--input", question, "--timeout", "0.3s")
    assert done.returncode == Exit.USAGE
    assert "no answer within 0.3 s" in done.stderr


def test_an_open_loop_counts_the_requests_that_a_stall_kept_from_being_sent(question: str) -> None:
    """One connection, one answer that takes half a second: what was due meanwhile has waited, too."""
    lock = threading.Event()

    def answer(sock: socket.socket, count: int) -> None:
        asked = 0
        while sock.recv(65536):
            asked += 1
            if count == 2 and asked == 5:
                lock.wait(0.5)
            sock.sendall(OK)

    with odd(answer) as where:
        load = ("-c", "1", "--rate", "100", "-n", "60", "--pattern", "constant", "--warm-up", "0")
        found = figures(where, "--input", question, *load)
    assert found["answered"] == 60
    assert found["queued"] >= 40
    assert found["p50_ms"] > 100


def test_an_answer_that_changes_is_counted_as_wrong(question: str) -> None:
    def answer(sock: socket.socket, count: int) -> None:
        asked = 0
        while sock.recv(65536):
            asked += 1
            sock.sendall(OK if asked % 2 else OK.replace(b"ok", b"ko"))

    with odd(answer) as where:
        load = ("-c", "1", "-n", "10", "--warm-up", "0", "--check")
        assert figures(where, "--input", question, *load)["wrong"] == 5


def test_no_tls_there_is_told(question: str) -> None:
    with odd(lambda sock, count: sock.sendall(b"no TLS here\r\n")) as where:
        done = bench(where.replace("http:", "https:"), "--input", question, "--timeout", "5s")
    assert done.returncode == Exit.USAGE
    assert "TLS" in done.stderr or "closed" in done.stderr or "reset" in done.stderr
    assert done.stderr.count("error:") == 1
