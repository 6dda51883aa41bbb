"""Several gateways share the workers; one that dies takes nothing with it but what it held."""

import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from serving import Server, ask, call, in_background, serving, wait_until, write_subjects
from subjects import mix

MODELS = """
server: {gateways: 2}
models:
  mix: {predictor: "subjects.py:Mix", workers: 1}
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 64}
  twins: {predictor: "subjects.py:Twins", workers: 1, slots: 2, max_batch: 1}
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateways")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


@contextmanager
def connections(server: Server) -> Iterator[list[http.client.HTTPConnection]]:
    """A connection to each of the two gateways; the prefix of request ids tells them apart."""
    found: dict[str, http.client.HTTPConnection] = {}
    with ExitStack() as opened:

        def look() -> bool:
            connection = opened.enter_context(closing(server.connect()))
            found.setdefault(prefix(connection), connection)
            return len(found) == 2

        wait_until(look, "both gateways have answered")
        yield list(found.values())


def prefix(connection: http.client.HTTPConnection) -> str:
    return call(connection, "GET", "/health/live").headers["x-request-id"][:8]


def test_both_gateways_get_answers_from_the_one_slot_in_turns(server: Server) -> None:
    def ask_hundred(connection: http.client.HTTPConnection) -> list[int]:
        return [ask(connection, "mix", {"number": n}).json for n in range(100)]

    with connections(server) as (first, second):
        for number in range(20):
            assert ask(first, "mix", {"number": number}).json == mix(number)
            assert ask(second, "mix", {"number": -number}).json == mix(-number)
        answers = [in_background(partial(ask_hundred, c)) for c in (first, second)]
        wanted = [mix(n) for n in range(100)]
        assert [a.result(20) for a in answers] == [wanted, wanted]


def let_evidence_grow_old() -> None:
    """Until no sign of life is under a second old."""
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since > 1.1, "it is old")


def test_both_gateways_are_ready_whoever_has_the_slot(server: Server) -> None:
    with connections(server) as each:
        for holder in each:
            assert ask(holder, "mix", {"number": 1}).json == mix(1)
            let_evidence_grow_old()
            for connection in each:
                assert call(connection, "GET", "/health/ready").status == 200
                assert call(connection, "GET", "/models/mix/ready").status == 200


def test_a_slot_that_is_busy_for_one_gateway_is_ready_for_the_other(server: Server) -> None:
    with connections(server) as (first, second):
        busy = in_background(lambda: ask(first, "gate", {"text": "busy", "until": "busy"}))
        server.wait_for_line("entered.txt", "busy")
        let_evidence_grow_old()
        for connection in (server.connect(), second):
            with closing(connection):
                assert call(connection, "GET", "/models/gate/ready").status == 200
        server.path("busy").touch()
        assert busy.result(20).json == "BUSY"


def test_a_killed_gateway_is_replaced_while_the_other_answers(server: Server) -> None:
    with connections(server) as (first, second):
        for connection in (first, second):
            for number in range(10):
                assert ask(connection, "mix", {"number": number}).status == 200
        held = in_background(lambda: ask(first, "gate", {"text": "held", "until": "held"}))
        server.wait_for_line("entered.txt", "held")
        victim = next(pid for pid in server.gateways() if serves(pid, first))
        os.kill(victim, signal.SIGKILL)
        with pytest.raises((OSError, http.client.HTTPException)):
            held.result(20)
        started = time.monotonic()
        assert ask(second, "mix", {"number": 7}).json == mix(7)
        assert time.monotonic() - started < 10, (
            "it waits neither for a successor nor for what is held"
        )
        waiting = in_background(lambda: ask(second, "gate", {"text": "next"}))
        server.path("held").touch()
        assert waiting.result(20).json == "NEXT"
    wait_for_successor(server, victim)
    with connections(server) as each:
        for connection in each:
            assert ask(connection, "mix", {"number": 3}).json == mix(3)
            assert ask(connection, "gate", {"text": "both"}).json == "BOTH"
    assert server.metric("requests_total", model="mix", outcome="ok") == 23
    assert server.metric("gateway_restarts_total") == 1
    wait_until(lambda: server.metric("in_flight") == 0, "nothing is in flight")


def wait_for_successor(server: Server, victim: int) -> None:
    wait_until(
        lambda: len(server.gateways()) == 2 and victim not in server.gateways(), "it is replaced"
    )


def test_a_successor_refuses_nobody_for_want_of_workers(server: Server) -> None:
    """Whoever connects while a gateway is replaced is answered, by the other or by the new one."""
    victim = server.gateways()[0]
    os.kill(victim, signal.SIGKILL)
    answers = []
    prefixes = set()

    def ask_once() -> bool:
        try:
            answers.append(server.ask("mix", {"number": 5}))
        except (OSError, http.client.HTTPException):
            return False  # it was in the dead one's backlog or hands
        prefixes.add(answers[-1].headers["x-request-id"][:8])
        return len(prefixes) >= 2

    wait_until(ask_once, "the successor has answered too")
    assert {a.status for a in answers} == {200}


def serves(pid: int, connection: http.client.HTTPConnection) -> bool:
    """Whether the process holds the other end of a connection."""
    ours, theirs = connection.sock.getsockname()[1], connection.sock.getpeername()[1]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = {(int(row[1][-4:], 16), int(row[2][-4:], 16)): f"socket:[{row[9]}]" for row in rows}
    inode = ends[theirs, ours]
    return any(os.readlink(fd) == inode for fd in Path(f"/proc/{pid}/fd").iterdir())


def test_a_worker_that_leaves_does_not_wait_for_a_gateway_that_died(server: Server) -> None:
    with connections(server) as (first, _):
        inputs = {"text": "leaving", "until": "never"}
        held = in_background(lambda: ask(first, "gate", inputs))
        server.wait_for_line("entered.txt", "leaving")
        (old,) = server.workers("gate")
        assert server.admin("POST", "/reload").status == 202
        wait_until(lambda: server.workers("gate", "leaving") == [old], "the old one leaves")
        os.kill(next(pid for pid in server.gateways() if serves(pid, first)), signal.SIGKILL)
        assert held.exception(20) is not None
    wait_until(lambda: server.workers("gate", "leaving") == [], "the old one is gone", 5)
    assert not Path(f"/proc/{old}").exists()


@pytest.mark.parametrize("turn", range(3))
def test_a_query_of_death_in_a_worker_of_two_slots_and_two_gateways_takes_no_innocent(
    server: Server, turn: int
) -> None:
    texts = [f"innocent-{turn}-{i}" for i in range(16)]
    asked = [server.ask_later("twins", {"text": text}) for text in texts[:8]]
    poison = [server.ask_later("twins", {"text": "poison"}) for _ in range(2)]
    asked += [server.ask_later("twins", {"text": text}) for text in texts[8:]]

    assert [a.result(30).json for a in asked] == [t.upper() for t in texts]
    assert {(p.result(30).status, p.result(30).code) for p in poison} == {(500, "model_crashed")}
    assert server.ask("twins", {"text": "after"}).json == "AFTER"


def test_many_gateways_all_get_their_turn_at_a_slot(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    with serving(tmp_path, "subjects.py:Mix", "--gateways", "5", "--workers", "1") as server:
        asked = [server.ask_later("subjects", {"number": n}) for n in range(60)]
        assert [a.result(30).json for a in asked] == [mix(n) for n in range(60)]


def test_a_successor_listens_though_a_slot_hangs_and_has_its_worker_replaced(
    tmp_path: Path,
) -> None:
    """The gateway whose call hangs dies before it could tell of it."""
    write_subjects(tmp_path)
    flags = ["--gateways", "1", "--workers", "1", "--timeout-s", "2", "--hang-kill-s", "1"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        (worker,), (victim,) = server.workers("subjects"), server.gateways()
        with closing(server.send("subjects", {"text": "hung", "until": "never"})):
            server.wait_for_line("entered.txt", "hung")
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: is_live(server), "the successor listens", 3)
        assert worker in server.workers("subjects"), "it listens before the worker is given up"
        wait_until(lambda: worker not in server.workers("subjects"), "the worker is killed", 6)
        assert server.records("worker_hangs")
        server.wait_for_workers("subjects", 1)
        assert server.ask("subjects", {"text": "next"}).json == "NEXT"


def is_live(server: Server) -> bool:
    try:
        connection = server.connect(0.5)
        with closing(connection):
            return call(connection, "GET", "/health/live").status == 200
    except (OSError, http.client.HTTPException):
        return False
