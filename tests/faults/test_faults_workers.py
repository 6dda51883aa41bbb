"""Workers, gateways and callers fail at random, for longer; nobody gets another's answer, none is lost."""

import http.client
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Server, call, serving, wait_until, write_subjects
from subjects import mix

pytestmark = pytest.mark.timeout(300)

SEED = int(os.environ.get("FAULTS_SEED", "1"))
MODELS = """
server: {gateways: 2}
models:
  mix: {predictor: "subjects.py:Mix", workers: 2, max_batch: 16}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_subjects(tmp_path)
    tmp_path.joinpath("headway.yaml").write_text(MODELS)
    with serving(tmp_path) as server:
        yield server


class Ledger:
    """What each request ended in; a wrong answer is kept with what was asked."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.wrong: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()

    def note(self, number: int, status: int, body: bytes) -> None:
        with self._lock:
            if status == 200 and body != str(mix(number)).encode():
                self.wrong.append((number, body))
            self.ends[str(status)] += 1

    def count(self, end: str) -> None:
        with self._lock:
            self.ends[end] += 1

    @property
    def total(self) -> int:
        return self.ends.total()


def ask_on(server: Server, ledger: Ledger, numbers: Iterator[int], rng: random.Random) -> None:
    """Ask number after number; some leave at once, some are in a hurry."""
    connection = server.connect()
    for number in numbers:
        body = f'{{"number": {number}}}'.encode()
        headers = {"content-type": "application/json"}
        mood = rng.random()
        if mood < 0.02:
            headers["headway-timeout"] = f"{rng.uniform(0.001, 0.02):.4f}"
        try:
            if mood > 0.98:
                connection.request("POST", "/models/mix/predict", body, headers)
                connection.close()
                ledger.count("left")
                continue
            answer = call(connection, "POST", "/models/mix/predict", body, headers)
            ledger.note(number, answer.status, answer.body)
        except (OSError, http.client.HTTPException):
            connection.close()
            ledger.count("cut")
    connection.close()


@contextmanager
def load(server: Server, threads: int, stop_at: int) -> Iterator[Ledger]:
    """Ask from many threads, until told to stop or so many were asked."""
    ledger = Ledger()
    is_over = threading.Event()

    def numbers(start: int) -> Iterator[int]:
        for number in range(start, stop_at, threads):
            if is_over.is_set():
                return
            yield number

    with ThreadPoolExecutor(threads) as pool:
        asking = [
            pool.submit(ask_on, server, ledger, numbers(i), random.Random(SEED * 1000 + i))
            for i in range(threads)
        ]
        try:
            yield ledger
        except BaseException:
            is_over.set()
            raise
        if stop_at == FOR_EVER:
            is_over.set()
        for future in asking:
            future.result(280)


FOR_EVER = 10**9


def see_quiet(server: Server) -> None:
    """Nothing is left over once all callers are gone."""
    for gauge in ("in_flight", "queue_requests", "queue_bytes"):
        wait_until(lambda name=gauge: server.metric(name) == 0, f"{gauge} is 0")  # type: ignore[misc]


def test_a_hundred_thousand_requests_with_leavers_and_deadlines_are_matched(
    server: Server,
) -> None:
    with load(server, 32, 100_000) as ledger:
        pass
    assert ledger.wrong == []
    assert ledger.total == 100_000
    assert set(ledger.ends) <= {"200", "504", "left"}, ledger.ends
    assert ledger.ends["200"] > 90_000
    see_quiet(server)
    counted = {
        outcome: server.metric("requests_total", model="mix", outcome=outcome)
        for outcome in ("ok", "deadline", "cancelled")
    }
    assert counted["deadline"] == ledger.ends["504"]
    # Who has left may have been answered already, or was never read.
    assert ledger.ends["200"] <= counted["ok"] <= ledger.ends["200"] + ledger.ends["left"]


def kill_worker(server: Server, rng: random.Random) -> None:
    victim = rng.choice(server.workers("mix"))
    os.kill(victim, signal.SIGKILL)
    server.wait_for_workers("mix", 2, without=victim)


def stop_worker(server: Server, rng: random.Random) -> None:
    victim = rng.choice(server.workers("mix"))
    os.kill(victim, signal.SIGSTOP)
    try:
        wait_until(lambda: victim in server.workers("mix", "silent"), "it is noticed")
    finally:
        os.kill(victim, signal.SIGCONT)
    server.wait_for_workers("mix", 2)


def kill_gateway(server: Server, rng: random.Random) -> None:
    victim = rng.choice(server.gateways())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(server.gateways()) == 2 and victim not in server.gateways(), "a new one")
    wait_until(lambda: len({who_answers(server) for _ in range(20)}) == 2, "it answers")


def who_answers(server: Server) -> str:
    """The prefix of request ids, which tells gateways apart; "" if nobody did."""
    try:
        return server.call("GET", "/health/live").headers["x-request-id"][:8]
    except (OSError, http.client.HTTPException):
        return ""


def reload(server: Server, rng: random.Random) -> None:
    before = server.workers("mix")
    assert server.admin("POST", "/reload").status == 202
    wait_until(lambda: len(set(server.workers("mix")) - set(before)) == 2, "both are new")


FAULTS: dict[Callable[[Server, random.Random], None], tuple[int, set[str]]] = {
    kill_worker: (20, {"200", "504", "left"}),
    stop_worker: (5, {"200", "504", "left"}),
    kill_gateway: (10, {"200", "504", "left", "cut"}),
    reload: (10, {"200", "504", "left"}),
}
"""By fault, how often, and how requests may end then."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_fault_again_and_again_under_load_loses_nobody(
    server: Server, fault: Callable[[Server, random.Random], None]
) -> None:
    times, allowed = FAULTS[fault]
    rng = random.Random(SEED)
    with load(server, 16, FOR_EVER) as ledger:
        for _ in range(times):
            fault(server, rng)
    assert ledger.wrong == []
    assert set(ledger.ends) <= allowed, ledger.ends
    assert ledger.ends["200"] > 500, f"too few to tell: {ledger.ends}"
    see_quiet(server)


def test_all_faults_at_random_leave_a_server_that_answers(server: Server) -> None:
    rng = random.Random(SEED)
    with load(server, 16, FOR_EVER) as ledger:
        for _ in range(15):
            rng.choice(list(FAULTS))(server, rng)
    assert ledger.wrong == []
    assert set(ledger.ends) <= {"200", "504", "left", "cut"}, ledger.ends
    see_quiet(server)
    assert server.ask("mix", {"number": 1}).json == mix(1)
