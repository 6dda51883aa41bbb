"""A worker that fails where the others answer is sent nothing for a while; one that is slow takes less (P19)."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from harness.figures import Figures
from serving import Answer, Server, serving, wait_until

PREDICTOR = """
import os
import time

import headway as hw

def named(file: str) -> bool:
    return os.path.exists(file) and str(os.getpid()) in open(file).read().split()

class Mixed(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[int]:
        if named("sick") or "sick" in text:
            raise ValueError("not well")
        if named("slow"):
            time.sleep(0.2)
        return [os.getpid()] * len(text)
"""
FLAGS = ("--workers", "2", "--max-batch", "4", "--gateways", "2")


@contextmanager
def mixed(path: Path) -> Iterator[Server]:
    """Serve it, from when both workers are ready."""
    (path / "mixed.py").write_text(PREDICTOR)
    with serving(path, "mixed.py:Mixed", *FLAGS) as server:
        server.wait_for_workers("mixed", 2)
        yield server


def ask_for(server: Server, for_s: float, clients: int = 8, text: str = "a") -> list[Answer]:
    """Ask from several threads for so long."""
    end_at = time.monotonic() + for_s

    def ask(_: int) -> list[Answer]:
        answers = []
        while time.monotonic() < end_at:
            answers.append(server.ask("mixed", {"text": text}))
        return answers

    with ThreadPoolExecutor(clients) as pool:
        return [answer for answers in pool.map(ask, range(clients)) for answer in answers]


def ask_until(server: Server, condition: Callable[[], object], what: str) -> Counter[str]:
    told: Counter[str] = Counter()

    def is_so() -> object:
        with ThreadPoolExecutor(8) as pool:
            told.update(a.code if a.status != 200 else "" for a in pool.map(one, range(32)))
        return condition()

    def one(_: int) -> Answer:
        return server.ask("mixed", {"text": "a"})

    wait_until(is_so, what)
    return told


def ejected(server: Server) -> list[int]:
    return [w["pid"] for m in server.status()["models"] for w in m["workers"] if w["is_ejected"]]


def ejections(server: Server) -> float:
    return server.metric("worker_ejections_total", model="mixed")


def test_P19_a_worker_that_fails_is_out_until_its_time_is_over_and_nobody_fails_meanwhile(
    tmp_path: Path, figures: Figures
) -> None:
    with mixed(tmp_path) as server:
        well, sick = server.workers("mixed")
        (tmp_path / "sick").write_text(str(sick))
        told = ask_until(server, lambda: ejections(server) == 2, "both gateways eject it")
        ejected_at = time.monotonic()
        assert told.keys() == {"", "model_failed"}
        wait_until(lambda: ejected(server) == [sick], "the operator sees it")
        assert {r["gateway"] for r in server.records("worker_ejected")} == {0, 1}
        after = ask_for(server, 3.0)
        assert len(after) > 100
        figures("failed before it was out", told["model_failed"])
        figures("requests while it was out, all answered", len(after))
        assert {(a.status, a.json) for a in after} == {(200, well)}
        assert server.is_ready()
        (tmp_path / "sick").unlink()
        wait_until(lambda: not ejected(server), "it is let in again", 60)
        assert time.monotonic() - ejected_at > 25, "thirty seconds are promised"
        back = ask_for(server, 1.0)
        assert {a.status for a in back} == {200}
        assert {a.json for a in back} == {well, sick}
        assert ejections(server) == 2


def test_P19_the_last_that_is_in_is_not_left_alone_and_who_is_needed_is_let_in(
    tmp_path: Path,
) -> None:
    with mixed(tmp_path) as server:
        well, sick = server.workers("mixed")
        (tmp_path / "sick").write_text(str(sick))
        ask_until(server, lambda: ejections(server) == 2, "both gateways eject it")
        (tmp_path / "sick").unlink()
        os.kill(well, 9)
        assert {a.status for a in ask_for(server, 1.0)} == {200}, "nobody waits for a successor"
        wait_until(lambda: not ejected(server), "it was let in")


def test_P19_a_model_that_fails_everywhere_or_at_some_inputs_ejects_nobody(tmp_path: Path) -> None:
    with mixed(tmp_path) as server:
        (tmp_path / "sick").write_text(" ".join(map(str, server.workers("mixed"))))
        assert {a.code for a in ask_for(server, 1.5)} == {"model_failed"}
        assert ejections(server) == 0
        (tmp_path / "sick").unlink()
        with ThreadPoolExecutor(2) as pool:
            theirs = pool.submit(ask_for, server, 2.0, 4, "sick")
            ours = ask_for(server, 2.0, 4)
        assert {a.code for a in theirs.result()} == {"model_failed"}
        assert {a.status for a in ours} == {200}
        assert ejections(server) == 0


def test_P19_a_slow_worker_takes_less_and_is_not_ejected(tmp_path: Path) -> None:
    with mixed(tmp_path) as server:
        fast, slow = server.workers("mixed")
        (tmp_path / "slow").write_text(str(slow))
        took = Counter(a.json for a in ask_for(server, 3.0))
        assert took[slow] <= 4 * 3.0 / 0.2 + 8, "a grab of four each 0.2 s"
        assert took[fast] > 2 * took[slow]
        assert ejections(server) == 0
