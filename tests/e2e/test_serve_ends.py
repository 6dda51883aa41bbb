"""How a server ends: drained, told twice, killed; and what is left of it: nothing."""

import functools
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from serving import (
    JSON,
    START_S,
    Server,
    ask,
    call,
    in_background,
    read_info,
    serving,
    starting,
    wait_until,
    write_subjects,
)

from headway.errors import Exit

V2 = b'{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["v2"]}]}'
EVENTS = {"accept": "text/event-stream"}
STREAMS = 'name: endless\npredictor: "endless.py"\nworkers: 4\nslots: 1\n'
ENDLESS = """
import threading
from collections.abc import Iterator

def endless(text: str) -> Iterator[str]:
    yield "on"
    threading.Event().wait()
"""
PROJECT = 'name: gate\npredictor: "subjects.py:Gate"\nworkers: 1\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_subjects(tmp_path)
    tmp_path.joinpath("headway.yaml").write_text(PROJECT)
    return tmp_path


def can_connect(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_drain_says_so_then_refuses_then_ends_what_is_under_way(folder: Path) -> None:
    with ExitStack() as stack, serving(folder, "--drain-delay-s", "1", "--grace-s", "20") as server:
        idle = stack.enter_context(closing(server.connect()))
        assert ask(idle, "gate", {"text": "idle"}).json == "IDLE"
        held = server.ask_later("gate", {"text": "held", "until": "held"})
        server.wait_for_line("entered.txt", "held")
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: server.call("GET", "/health/ready").status == 503, "it is not ready", 1)
        assert server.call("GET", "/health/live").status == 200
        assert server.status()["is_draining"]
        wait_until(lambda: not can_connect(server), "connections are refused", 5)
        assert server.process.poll() is None, "a request is under way"
        server.path("held").touch()
        assert held.result(20).json == "HELD"
        assert server.wait() == Exit.OK


def test_requests_during_the_drain_delay_are_answered(folder: Path) -> None:
    with (
        serving(folder, "--drain-delay-s", "0.7") as server,
        closing(server.connect()) as connection,
    ):
        assert ask(connection, "gate", {"text": "a"}).json == "A"
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: server.call("GET", "/health/ready").status == 503, "it is not ready", 1)
        answer = ask(connection, "gate", {"text": "b"})
        assert answer.json == "B"
        assert answer.headers["connection"] == "close"
        assert server.ask("gate", {"text": "c"}).json == "C"
        assert server.wait() == Exit.OK


def wait_until_drained_of_patience(server: Server) -> None:
    """The second SIGTERM."""
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: server.status()["is_draining"], "it drains")
    server.send_signal(signal.SIGTERM)


def wait_until_grace_is_over(server: Server) -> None:
    """The first one, and no more."""
    server.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("flags", "end"),
    [
        (("--drain-delay-s", "20"), wait_until_drained_of_patience),
        (("--grace-s", "0.3", "--gateways", "2"), wait_until_grace_is_over),
    ],
)
def test_who_still_waits_at_the_end_is_told_so_in_his_dialect(
    folder: Path, flags: tuple[str, ...], end: Callable[[Server], None]
) -> None:
    with serving(folder, *flags) as server:
        held = server.ask_later("gate", {"text": "held", "until": "never"})
        server.wait_for_line("entered.txt", "held")
        queued = [server.ask_later("gate", {"text": f"queued-{i}"}) for i in range(8)]
        v2 = in_background(lambda: server.call("POST", "/v2/models/gate/infer", V2, JSON))
        server.wait_for_queue("gate", 9)
        with closing(server.connect()) as partial:
            partial.putrequest("POST", "/models/gate/predict")
            partial.putheader("content-length", "100")
            partial.endheaders(b'{"text"')
            end(server)
            refused = partial.getresponse()
            assert refused.status == 503
            assert json.loads(refused.read())["code"] == "busy"
        for answer in (held.result(20), *(q.result(20) for q in queued)):
            assert (answer.status, answer.code) == (503, "server_stopped")
            assert answer.headers["connection"] == "close"
        assert v2.result(20).status == 503
        assert "has stopped" in v2.result(20).json["error"]
        assert server.wait(10) == Exit.GRACE
        cut = [line["requests"] for line in server.records("requests_cut")]
        assert sum(cut) == 10, "what failed at the end is counted"


def test_a_stream_that_is_cut_off_says_that_the_server_has_stopped(folder: Path) -> None:
    """And not that its worker has died, which is told to leave at the same time."""
    (folder / "endless.py").write_text(ENDLESS)
    (folder / "headway.yaml").write_text(STREAMS)
    with ExitStack() as stack, serving(folder, "--grace-s", "0.3") as server:
        server.wait_for_workers("endless", 4)
        asked = [
            stack.enter_context(server.send("endless", {"text": "go"}, EVENTS)) for _ in range(4)
        ]
        for sock in asked:
            assert sock.recv(1) == b"H", "it has begun"
        server.send_signal(signal.SIGTERM)
        ends = [b"".join(iter(functools.partial(sock.recv, 1 << 16), b""))[-200:] for sock in asked]
        assert [b'"server_stopped"' in end for end in ends] == [True] * len(ends), ends
        assert server.wait() == Exit.GRACE
        assert sum(line["requests"] for line in server.records("requests_cut")) == len(asked)


def test_impatience_does_not_change_the_exit_code(folder: Path) -> None:
    with serving(folder) as server:
        server.ask_later("gate", {"text": "held", "until": "never"})
        server.wait_for_line("entered.txt", "held")
        while server.process.poll() is None:
            server.send_signal(signal.SIGTERM)
            time.sleep(0.001)  # asyncio reads signals until there are none, and nothing else
        assert server.wait() == Exit.GRACE


def test_the_admin_socket_stops_it_too(folder: Path) -> None:
    with serving(folder) as server:
        path = Path(server.info["admin"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert server.admin("POST", "/stop").status == 202
        assert server.wait() == Exit.OK
        assert not path.exists()


def group_of(pid: int) -> list[int]:
    """Pids of the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def keep_loading(server: Server) -> None:
    """Have a worker that is in a load that takes for ever."""
    text = server.path("subjects.py").read_text()
    slow = "\nnote('loading.txt', 'yes')\nwait_for('never')\n"
    server.path("subjects.py").write_text(text + slow)
    server.admin("POST", "/reload")
    server.wait_for_line("loading.txt", "yes")


def keep_the_interpreter(server: Server) -> None:
    """Have a worker in native code that keeps the interpreter."""
    text = server.path("subjects.py").read_text()
    greedy = "\nimport re\nnote('loading.txt', 'yes')\nre.match('(a*)*b', 'a' * 40)\n"
    server.path("subjects.py").write_text(text + greedy)
    server.admin("POST", "/reload")
    server.wait_for_line("loading.txt", "yes")


def keep_predicting(server: Server) -> None:
    """Have a worker in a prediction that takes for ever."""
    server.ask_later("gate", {"text": "held", "until": "never"})
    server.wait_for_line("entered.txt", "held")


@pytest.mark.parametrize("keep", [keep_loading, keep_the_interpreter, keep_predicting])
def test_a_killed_supervisor_leaves_no_process_and_no_port(
    folder: Path, keep: Callable[[Server], None]
) -> None:
    with serving(folder, "--gateways", "2") as server:
        keep(server)
        assert len(group_of(server.process.pid)) >= 4
        server.send_signal(signal.SIGKILL)
        server.wait()
        wait_until(lambda: not group_of(server.process.pid), "all are gone", 3)
        socket.create_server(("127.0.0.1", server.port)).close()


FORKING = """
import multiprocessing
import subprocess
import sys
import time

import headway as hw
from subjects import note


def fork() -> int:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    return child.pid


def run() -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


class Parent(hw.Predictor):
    def load(self) -> None:
        note("children.txt", START())

    def predict(self, text: str) -> str:
        return text
"""


def end_the_supervisor(server: Server) -> None:
    server.send_signal(signal.SIGKILL)
    server.wait()


def end_the_worker(server: Server) -> None:
    os.kill(server.workers("parent")[0], signal.SIGKILL)


def end_in_good_order(server: Server) -> None:
    assert server.stop() == Exit.OK


@pytest.mark.parametrize("end", [end_in_good_order, end_the_worker, end_the_supervisor])
@pytest.mark.parametrize("start", ["fork", "run"])
def test_what_a_predictor_has_started_ends_with_its_worker(
    folder: Path, end: Callable[[Server], None], start: str
) -> None:
    folder.joinpath("parent.py").write_text(FORKING.replace("START", start))
    with serving(folder, "parent.py", "--workers", "1") as server:
        (child,) = server.lines("children.txt")
        assert is_alive(int(child))
        end(server)
        wait_until(lambda: not is_alive(int(child)), "it has ended", 5)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_on_the_address_of_a_killed_one_starts(folder: Path) -> None:
    with serving(folder, "--unix", "s.sock") as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with serving(folder, "--unix", "s.sock") as second:
        assert second.status()["is_ready"]
        with starting(folder, "--unix", "s.sock", "--admin", "other.sock") as third:
            assert third.wait(START_S) == Exit.LISTEN
        assert second.status()["is_ready"]


def test_a_bad_setting_ends_with_2(folder: Path) -> None:
    folder.joinpath("headway.yaml").write_text(PROJECT + "max_bach: 3\n")
    with starting(folder) as server:
        assert server.wait(START_S) == Exit.USAGE
        assert "max_batch" in server.log


TWO = """
models:
  gate: {{predictor: "subjects.py:Gate", workers: 1}}
  broken: {{predictor: "broken.py:f", workers: 1, required: {required}}}
"""


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "import os\nos.abort()"])
def test_a_broken_model_that_is_not_required_is_503_for_itself_alone(
    folder: Path, text: str
) -> None:
    folder.joinpath("broken.py").write_text(text + "\ndef f(x: int) -> int: ...\n")
    folder.joinpath("headway.yaml").write_text(TWO.format(required="false"))
    with serving(folder) as server:
        assert server.ask("gate", {"text": "a"}).json == "A"
        wait_until(lambda: server.records("model_failed"), "it has failed for good")
        (told,) = server.records("model_failed")
        assert told["model"] == "broken"
        answer = server.ask("broken", {"x": 1})
        assert (answer.status, answer.code) == (503, "given_up")
        assert told["reason"], "in the log, and nowhere else: it may hold a path or a secret"
        public = [
            "/models/broken",
            "/models/broken/ready",
            "/v2/models/broken",
            "/v1/models/broken",
        ]
        shown = [server.call("GET", path) for path in (*public, "/models", "/health-check")]
        for said in (answer, *shown, server.call("POST", "/v2/repository/index")):
            assert told["reason"].rstrip(".").encode() not in said.body
        assert "mended and the server is reloaded" in answer.json["error"]
        for said in (answer, server.call("GET", "/models/broken/ready")):
            assert (said.status, said.code) == (503, "given_up")
            assert "retry-after" not in said.headers
        assert server.call("GET", "/v2/models/broken/ready").status == 503
        ready = server.call("GET", "/health/ready")
        assert ready.status == 200
        assert ready.json["models"] == {"gate": True, "broken": False}


def test_a_broken_model_that_is_required_ends_the_start_with_3_and_a_sentence(
    folder: Path,
) -> None:
    folder.joinpath("broken.py").write_text("raise RuntimeError('no')\ndef f(x: int) -> int: ...\n")
    folder.joinpath("headway.yaml").write_text(TWO.format(required="true"))
    with starting(folder, "--port", "0") as server:
        assert server.wait(START_S) == Exit.MODEL
        sentence = "error: Model 'broken' can't be loaded: broken.py: importing it raised RuntimeError: no."
        assert server.log.splitlines()[-1] == sentence


def test_a_model_that_is_not_required_does_not_hold_up_the_start(folder: Path) -> None:
    """It loads for as long as it likes; meanwhile it is 503, and afterwards it is served."""
    slow = "from subjects import chatter, wait_for\nwait_for('loaded')\nf = chatter\n"
    folder.joinpath("broken.py").write_text(slow + "def f(x: int) -> int: return x\n")
    folder.joinpath("headway.yaml").write_text(TWO.format(required="false"))
    with serving(folder) as server:
        assert server.ask("gate", {"text": "a"}).json == "A"
        assert server.ask("broken", {"x": 1}).code == "not_ready"
        server.path("loaded").touch()
        wait_until(lambda: server.ask("broken", {"x": 1}).status == 200, "it is served")


def test_words_for_people_name_the_models_that_are_not_served(folder: Path) -> None:
    folder.joinpath("broken.py").write_text("raise RuntimeError('no')\ndef f(x: int) -> int: ...\n")
    folder.joinpath("subjects.py").write_text(SLOW_START)
    folder.joinpath("headway.yaml").write_text(TWO.format(required="false"))
    with starting(folder, "--port", "0") as server:
        wait_until(lambda: server.records("model_failed"), "the other one has failed", START_S)
        server.path("go").touch()
        read_info(server)
        assert "(models: gate)" in server.log
        assert "model 'broken' can't be loaded: broken.py: importing it raised" in server.log
        assert server.stop() == Exit.OK


SLOW_START = """
import time
from pathlib import Path

import headway as hw

while not Path(__file__).with_name("go").exists():
    time.sleep(0.01)


class Gate(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        return text
"""


def test_nothing_that_can_be_loaded_ends_with_3(folder: Path) -> None:
    folder.joinpath("broken.py").write_text("raise RuntimeError('no')\ndef f(x: int) -> int: ...\n")
    with starting(folder, "broken.py", "--port", "0") as server:
        assert server.wait(START_S) == Exit.MODEL
        assert "load_refused" in server.log


def test_a_request_on_a_kept_connection_after_the_drain_is_not_lost_silently(
    folder: Path,
) -> None:
    """A connection that was idle is closed by the drain: its client sees an end, not a wait."""
    with serving(folder) as server, closing(server.connect(5)) as connection:
        assert call(connection, "GET", "/health/live").status == 200
        server.send_signal(signal.SIGTERM)
        assert connection.sock.recv(1) == b""
        assert server.wait() == Exit.OK
