"""Servers are told to stop, to reload, are started twice; gateways die (P27-P31)."""

import asyncio
import contextlib
import http.client
import itertools
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import census, schedule
from harness.case import Case, ledger_server, seed, write_subject
from harness.checker import complaints, ways
from harness.figures import Figures
from harness.ledger import Ledger, Load, Mix
from harness.schedule import plan
from harness.truth import End
from serving import (
    START_S,
    Server,
    call,
    read_answer,
    serving,
    starting,
    wait_until,
    write_subjects,
)

from headway.errors import Exit

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("turn", range(4))
def test_P27_a_stop_under_load_answers_all_that_was_accepted(
    tmp_path: Path, turn: int, figures: Figures
) -> None:
    flags = ["--drain-delay-s", "0.5", "--grace-s", "10"]
    with ledger_server(tmp_path, *flags) as server:
        ledger = Ledger()
        asyncio.run(load_over_the_end(server, ledger, turn))
        ledger.close()
        told = f"seed {seed()}\n{ledger.summary()}\n{ledger.bad}"
        assert complaints(ledger.counts, ways(good="failed unconnected")) == [], told
        assert ledger.count(End.EXACT) > 100, told
        assert ledger.count(End.FAILED) > 0, f"void: it did not end under load\n{told}"
        assert server.wait() == Exit.OK
        figures("stops", 1)
        figures("accepted, all answered", ledger.count(End.EXACT))


async def load_over_the_end(server: Server, ledger: Ledger, turn: int) -> None:
    load = Load(ledger, server.port, seed() + turn, 32, 400.0, Mix())
    asking = asyncio.create_task(load.run())
    await asyncio.sleep(0.5 + 0.1 * turn)
    server.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait, 20)
    await asyncio.sleep(0.2)
    load.stop()
    await asking


def test_P27_every_kind_of_client_that_was_accepted_gets_its_end_in_order(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    (tmp_path / "headway.yaml").write_text(
        """
models:
  gate: {predictor: "subjects.py:Gate", workers: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""
    )
    with serving(tmp_path, "--drain-delay-s", "0.5", "--grace-s", "15") as server:
        idle = server.connect()
        assert call(idle, "GET", "/health/live").status == 200
        running = server.ask_later("gate", {"text": "running", "until": "go"})
        server.wait_for_line("entered.txt", "running")
        queued = server.ask_later("gate", {"text": "queued"})
        server.wait_for_queue("gate", 1)
        stream = server.send("count", {"upto": 4, "name": "stream", "until": "go"})
        body = b'{"text": "half"}'
        half = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        head = "POST /models/gate/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        half.sendall(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[:5])
        piped = server.send("gate", {"text": "first"})
        piped.sendall(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: server.metric("connections") >= 6, "all are accepted")

        server.send_signal(signal.SIGTERM)
        wait_until(lambda: server.call("GET", "/health/ready").status == 503, "it is not ready", 2)
        late = server.ask_later("gate", {"text": "late"})
        server.wait_for_queue("gate", 3)
        wait_until(lambda: not accepts(server), "the listener is closed", 5)
        half.sendall(body[5:])
        server.path("go").touch()

        answers = [f.result(20) for f in (running, queued, late)]
        assert [a.json for a in answers] == ["RUNNING", "QUEUED", "LATE"]
        assert {a.headers.get("connection") for a in answers} == {"close"}
        assert read_answer(half).json == "HALF"
        assert read_all(stream).endswith(b"0\r\n\r\n")
        assert read_answer(piped).json == "FIRST"
        assert idle.sock.recv(1) == b""
        idle.close()
        assert server.wait() == Exit.OK


GATE = 'name: gate\npredictor: "subjects.py:Gate"\nworkers: 1\n'


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A folder with a model that holds its requests."""
    write_subjects(tmp_path)
    (tmp_path / "headway.yaml").write_text(GATE)
    return tmp_path


def drain(server: Server) -> None:
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: server.status()["is_draining"], "it drains")


def test_P27_a_worker_that_dies_in_the_drain_is_replaced_and_its_requests_are_answered(
    gate: Path,
) -> None:
    with serving(gate, "--grace-s", "40") as server:
        held = server.ask_later("gate", {"text": "held", "until": "go"})
        server.wait_for_line("entered.txt", "held")
        queued = [server.ask_later("gate", {"text": f"queued-{i}"}) for i in range(4)]
        server.wait_for_queue("gate", 4)
        drain(server)
        wait_until(lambda: not accepts(server), "the listener is closed", 5)
        os.kill(server.workers("gate")[0], signal.SIGKILL)
        wait_until(lambda: server.lines("entered.txt").count("held") == 2, "it is tried again")
        server.path("go").touch()
        assert held.result(20).json == "HELD"
        assert [q.result(20).json for q in queued] == [f"QUEUED-{i}" for i in range(4)]
        assert server.wait() == Exit.OK


def test_P27_what_a_dead_worker_held_is_told_at_once_when_no_other_one_can_be_started(
    gate: Path,
) -> None:
    with serving(gate, "--grace-s", "60") as server:
        held = server.ask_later("gate", {"text": "held", "until": "never"})
        server.wait_for_line("entered.txt", "held")
        queued = server.ask_later("gate", {"text": "queued"})
        server.wait_for_queue("gate", 1)
        drain(server)
        (gate / "subjects.py").write_text("this is no Python")
        told_at = time.monotonic()
        os.kill(server.workers("gate")[0], signal.SIGKILL)
        assert (held.result(40).status, held.result().code) == (503, "worker_lost")
        assert "no other one can be started" in held.result().json["error"]
        assert queued.result(40).status == 503
        assert server.wait() == Exit.OK, "all were answered"
        assert time.monotonic() - told_at < 40, "the grace is not waited for"


@pytest.mark.parametrize("delay", ["0", "3"])
def test_P27_a_lone_gateway_that_dies_in_the_drain_takes_its_own_clients_alone(
    gate: Path, delay: str
) -> None:
    with serving(gate, "--drain-delay-s", delay, "--grace-s", "30") as server:
        held = server.send("gate", {"text": "held", "until": "go"})
        server.wait_for_line("entered.txt", "held")
        (victim,) = server.gateways()
        os.kill(victim, signal.SIGSTOP)
        waiting = [server.send("gate", {"text": f"waits-{i}"}) for i in range(8)]
        drain(server)
        os.kill(victim, signal.SIGKILL)
        server.path("go").touch()
        assert read_all(held) == b""
        answers = [read_answer(sock) for sock in waiting]
        assert [a.json for a in answers] == [f"WAITS-{i}" for i in range(8)]
        assert {a.headers["connection"] for a in answers} == {"close"}
        assert server.wait() == Exit.GRACE
        (ended,) = server.records("gateway_ended")
        assert ended["connections"] == 1


def test_P27_a_gateway_that_dies_without_a_client_spoils_no_drain(gate: Path) -> None:
    with serving(gate, "--drain-delay-s", "1", "--gateways", "2") as server:
        drain(server)
        wait_until(lambda: server.metric("connections") == 1, "nobody else is connected")
        os.kill(server.gateways()[0], signal.SIGKILL)
        assert server.ask("gate", {"text": "other"}).json == "OTHER"
        assert server.wait() == Exit.OK


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True


def read_all(sock: socket.socket) -> bytes:
    received = b""
    with sock:
        while data := sock.recv(1 << 16):
            received += data
    return received


def test_P28_reloads_without_a_pause_of_good_code_and_bad_fail_nobody_and_leak_nothing(
    tmp_path: Path, figures: Figures
) -> None:
    with ledger_server(tmp_path) as server:
        rng = random.Random(seed())
        case = Case(server, per_s=200, is_counted=False)  # who waits for the last one asks too
        is_over = threading.Event()
        case.ledger.live = set(range(1, 1000))

        def reload_on() -> None:
            version = 1
            while not is_over.wait(rng.choice((0.1, 0.1, 0.8))):
                if rng.random() < 0.5:
                    (tmp_path / "subject.py").write_text(rng.choice(BROKEN))
                else:
                    version += 1
                    write_subject(tmp_path, version)
                server.send_signal(signal.SIGHUP)
            write_subject(tmp_path, 999)
            server.send_signal(signal.SIGHUP)
            wait_until(lambda: is_version(server, 999), "the last one serves")
            wait_until(lambda: len(workers(server)) == 3, "the old ones are gone")

        reloading = threading.Thread(target=reload_on)
        reloading.start()
        timer = threading.Timer(6.0, is_over.set)
        timer.start()
        try:
            case.run(10)
        finally:
            is_over.set()
            reloading.join()
        assert "load_refused" in server.log, "void: nothing bad was tried"
        assert "reload_refused" in server.log, "void: nothing unreadable was tried"
        case.see()
        figures("reloads", len(server.records("reloading")))
        figures.of(case)


BROKEN = ("this is no Python", "import no_such_module", "raise SystemExit(3)", "Text = 1")


def is_version(server: Server, version: int) -> bool:
    answer = server.ask("text", {"id_lo": 1, "id_hi": 0, "text": "a"})
    return bool(answer.json[2] == version)


def workers(server: Server) -> list[int]:
    return [w["pid"] for m in server.status()["models"] for w in m["workers"]]


def test_P28_a_bad_file_is_refused_with_its_line_and_the_old_code_goes_on(tmp_path: Path) -> None:
    with ledger_server(tmp_path) as server:
        before = workers(server)
        (tmp_path / "subject.py").write_text("x = 1\nthis is no Python\n")
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload_refused" in server.log, "it is refused")
        assert "line 2" in server.log
        assert workers(server) == before, "nothing was tried"
        assert is_version(server, 1)


GOOD_SETTINGS = ("max_batch: 4", "max_batch: 64\nmax_queue: 4000", "workers: 3", "timeout_s: 25")
BAD_SETTINGS = (
    "max_batch: 0",
    "max_bach: 4",
    "max_batch: [",
    "server: {reload: true}",
    "workers: true",
)
PLAIN = """
{setting}
models:
  text: {{predictor: "subject.py:Text"}}
  array: {{predictor: "subject.py:Array"}}
"""


def test_P28_settings_good_and_bad_each_tenth_of_a_second_fail_nobody_and_leak_nothing(
    tmp_path: Path,
) -> None:
    before = PLAIN.format(setting="workers: 2\nmax_batch: 16")
    with ledger_server(tmp_path, "--gateways", "2", config=before) as server:
        rng = random.Random(seed())
        case = Case(server, per_s=250, is_counted=False)  # who waits for the last one asks too
        settings = itertools.cycle(rng.sample(both := GOOD_SETTINGS + BAD_SETTINGS, len(both)))
        is_over = threading.Event()

        def write(text: str) -> None:
            new = tmp_path / ".headway.new"
            new.write_text(text)
            new.replace(tmp_path / "headway.yaml")
            server.send_signal(signal.SIGHUP)

        def reload_on() -> None:
            while not is_over.wait(rng.choice((0.1, 0.1, 0.1, 0.1, 0.1, 1.5))):
                write(PLAIN.format(setting=next(settings)))
            write(before)
            last = server.admin("POST", "/reload").json["generation"]
            wait_until(lambda: set(generations(server).values()) == {last}, "the last one serves")
            wait_until(lambda: len(workers(server)) == 4, "the old ones are gone")

        reloading = threading.Thread(target=reload_on)
        reloading.start()
        timer = threading.Timer(8.0, is_over.set)
        timer.start()
        try:
            case.run(14)
        finally:
            is_over.set()
            reloading.join()
        case.see()
        assert case.ledger.count(End.EXACT) > 1000, "void: too few"
        assert server.status()["generation"] > 5, "void: too few good ones"
        reasons = {r["reason"].partition(":")[0] for r in server.records("reload_refused")}
        assert len(reasons) >= 4, "void: too few bad ones"


def generations(server: Server) -> dict[str, int]:
    found: dict[str, int] = server.call("GET", "/health/ready").json["generations"]
    return found


def test_P29_a_killed_gateway_costs_its_own_requests_and_the_others_accept_at_once(
    tmp_path: Path, figures: Figures
) -> None:
    with ledger_server(tmp_path) as server:
        case = Case(server, mix=Mix(leaver=0.02), allowed=ways(good="failed cut"), per_s=400)
        kinds = [schedule.KILL_GATEWAY]
        case.run(6, plan(case.seed, kinds, every_s=0.7, until_s=6)).see()
        kills = len(case.nemesis.struck)
        assert kills >= 5
        assert case.ledger.count(End.FAILED) <= kills * case.clients, "one of each client at most"
        assert case.ledger.longest_s < 2.0, "nobody waited for the successor"
        assert server.metric("gateway_restarts_total") == kills
        figures.of(case)


def test_P29_a_gateway_that_stands_still_holds_up_its_own_clients_alone(tmp_path: Path) -> None:
    with ledger_server(tmp_path) as server:
        case = Case(server, per_s=200)
        kinds = [schedule.STOP_GATEWAY, schedule.STOP_SUPERVISOR]
        case.run(5, plan(case.seed, kinds, every_s=1.0, until_s=4)).see()
        took_s = case.ledger.quantile_s(0.3, End.EXACT)
        assert took_s < 0.5


SLOW_LOAD = """
import time
from pathlib import Path
import headway as hw

class Slow(hw.Predictor):
    def load(self) -> None:
        here = Path(__file__)
        with here.with_name("loading.txt").open("a") as file:
            file.write("yes\\n")
        while here.with_name("wait").exists():
            time.sleep(0.01)

    def predict(self, number: int) -> int:
        return number
"""


@contextlib.contextmanager
def while_starting(folder: Path) -> Iterator[Server]:
    (folder / "wait").touch()
    with starting(folder, "slow.py:Slow", "--workers", "2", "--port", "0") as server:
        wait_until(lambda: len(server.lines("loading.txt")) == 2, "both load", START_S)
        yield server


@contextlib.contextmanager
def while_reloading(folder: Path) -> Iterator[Server]:
    with serving(folder, "slow.py:Slow", "--workers", "2") as server:
        server.wait_for_workers("slow", 2)
        (folder / "wait").touch()
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.lines("loading.txt")) == 4, "both load")
        yield server


@contextlib.contextmanager
def while_a_worker_is_replaced(folder: Path) -> Iterator[Server]:
    with serving(folder, "slow.py:Slow", "--workers", "2") as server:
        server.wait_for_workers("slow", 2)
        (folder / "wait").touch()
        os.kill(server.workers("slow")[0], signal.SIGKILL)
        wait_until(lambda: len(server.lines("loading.txt")) == 3, "a new one loads")
        yield server


@contextlib.contextmanager
def while_a_worker_stands_still(folder: Path) -> Iterator[Server]:
    with serving(folder, "slow.py:Slow", "--workers", "2") as server:
        server.wait_for_workers("slow", 2)
        victim = server.workers("slow")[0]
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: census.state(victim) == "T", "it stands still")
        yield server


SITUATIONS = (
    while_starting,
    while_reloading,
    while_a_worker_is_replaced,
    while_a_worker_stands_still,
)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_P30_a_stop_ends_within_its_grace_whatever_is_going_on(
    tmp_path: Path,
    situation: "Callable[[Path], contextlib.AbstractContextManager[Server]]",
    figures: Figures,
) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        (folder / "slow.py").write_text(SLOW_LOAD)
        with situation(folder) as server:
            told_at = time.monotonic()
            server.send_signal(signal.SIGTERM)
            code = server.wait(10)
            ended_s = time.monotonic() - told_at
            assert ended_s < 5.0
            figures("ended after", ended_s, "s")
            assert code in (Exit.OK, Exit.INTERRUPTED)
            wait_until(lambda s=server: not census.alive(s.process.pid), "nobody is left", 2)  # type: ignore[misc]


@pytest.mark.parametrize("taken", ["port", "admin"])
def test_P31_a_second_server_fails_at_once_and_says_why_and_the_first_serves_on(
    tmp_path: Path, taken: str, figures: Figures
) -> None:
    with ledger_server(tmp_path) as first:
        flags = {
            "port": ["--port", str(first.port), "--admin", str(tmp_path / "other.sock")],
            "admin": ["--port", "0"],
        }[taken]
        before = census.count(first.process.pid)
        started_at = time.monotonic()
        with starting(tmp_path, *flags) as second:
            assert second.wait(START_S) == Exit.LISTEN
            failed_s = time.monotonic() - started_at
            assert failed_s < 5.0
            figures("failed after", failed_s, "s")
            assert "in use" in second.log
        assert census.count(first.process.pid).processes == before.processes
        assert not (tmp_path / "other.sock").exists()
        assert is_version(first, 1)
        assert first.status()["is_ready"]


def test_who_is_told_to_come_back_on_a_new_connection_can(tmp_path: Path) -> None:
    with ledger_server(tmp_path, gateways=1) as server:
        (victim,) = server.gateways()
        os.kill(victim, signal.SIGKILL)
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.ask("text", {"id_lo": 1, "id_hi": 0, "text": "a"})
        wait_until(lambda: server.gateways() not in ([], [victim]), "there is a new one")
        assert is_version(server, 1)
