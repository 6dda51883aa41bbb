"""Workers die, hang and come back; callers notice as little as can be."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import JSON, Answer, Server, ask, serving, wait_until, write_subjects
from subjects import mix

MODELS = """
models:
  mix: {predictor: "subjects.py:Mix", workers: 2, max_batch: 16}
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 16}
  once: {predictor: "subjects.py:Once", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def test_five_killed_workers_under_load_fail_no_request(server: Server) -> None:
    is_over = False

    def ask_on(start: int) -> list[tuple[int, Answer]]:
        connection, answers, number = server.connect(), [], start
        while not is_over:
            answers.append((number, ask(connection, "mix", {"number": number})))
            number += 16
        connection.close()
        return answers

    before = server.metric("worker_restarts_total", model="mix")
    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask_on, start) for start in range(16)]
        try:
            for _ in range(5):
                victim = server.workers("mix")[0]
                os.kill(victim, signal.SIGKILL)
                server.wait_for_workers("mix", 2, without=victim)
        finally:
            is_over = True
        answers = [pair for future in asking for pair in future.result()]
    assert len(answers) > 200
    assert [a.body for n, a in answers if a.status != 200 or a.json != mix(n)] == []
    assert server.metric("worker_restarts_total", model="mix") - before == 5


def test_a_lost_request_that_must_not_be_asked_twice_is_told_so(server: Server) -> None:
    asked = server.ask_later("once", {"text": "once-lost", "until": "never"})
    server.wait_for_line("entered.txt", "once-lost")
    queued = server.ask_later("once", {"text": "once-queued"})
    server.wait_for_queue("once", 1)
    os.kill(server.workers("once")[0], signal.SIGKILL)
    answer = asked.result(20)
    assert (answer.status, answer.code) == (503, "worker_lost")
    assert queued.result(20).json == "ONCE-QUEUED", "it was in no worker yet"
    assert server.lines("entered.txt").count("once-lost") == 1


def test_a_query_of_death_takes_two_workers_and_no_innocent(server: Server) -> None:
    blocker = server.ask_later("gate", {"text": "death-first", "until": "death"})
    server.wait_for_line("entered.txt", "death-first")
    before = server.metric("worker_restarts_total", model="gate")
    mates = [server.ask_later("gate", {"text": f"death-{i}"}) for i in range(5)]
    poison = server.ask_later("gate", {"text": "poison"})
    mates += [server.ask_later("gate", {"text": f"death-{i}"}) for i in range(5, 10)]
    server.wait_for_queue("gate", 11)
    server.path("death").touch()
    assert blocker.result(20).json == "DEATH-FIRST"
    assert [mate.result(20).json for mate in mates] == [f"DEATH-{i}" for i in range(10)]
    answer = poison.result(20)
    assert (answer.status, answer.code) == (500, "model_crashed")
    assert server.metric("worker_restarts_total", model="gate") - before == 2
    assert server.lines("entered.txt").count("poison") == 2


def test_a_request_that_killed_once_by_chance_is_answered(server: Server) -> None:
    assert server.ask("gate", {"text": "poison:by-chance"}).json == "POISON:BY-CHANCE"


def test_a_stopped_worker_makes_the_server_not_ready_until_it_goes_on(server: Server) -> None:
    server.wait_for_workers("gate", 1)
    wait_until(server.is_ready, "all are ready")
    (victim,) = server.workers("gate")
    os.kill(victim, signal.SIGSTOP)
    try:
        wait_until(lambda: not is_gate_ready(server), "it is noticed")
        late = server.ask("gate", {"text": "stopped"}, {"headway-timeout": "0.3"})
        assert (late.status, late.code) == (504, "deadline")
    finally:
        os.kill(victim, signal.SIGCONT)
    wait_until(lambda: is_gate_ready(server), "it is back", 5)
    assert server.workers("gate") == [victim]
    assert server.ask("gate", {"text": "on"}).json == "ON"
    assert "stopped" not in server.lines("entered.txt"), "its time was over before it was sent"


def is_gate_ready(server: Server) -> bool:
    return server.call("GET", "/models/gate/ready").status == 200


def test_a_late_answer_is_delivered_to_nobody(server: Server) -> None:
    """Its caller has given up, and asks something else on the same connection."""
    server.wait_for_workers("gate", 1)
    connection = server.connect()
    body = b'{"text": "late", "until": "late"}'
    headers = {"content-type": "application/json", "headway-timeout": "0.3"}
    connection.request("POST", "/models/gate/predict", body, headers)
    answer = connection.getresponse()
    assert answer.status == 504
    answer.read()
    server.path("late").touch()
    for i in range(20):
        assert ask(connection, "gate", {"text": f"next-{i}"}).json == f"NEXT-{i}"
    connection.close()


def test_a_worker_that_hangs_too_long_is_replaced(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    flags = ["--workers", "1", "--hang-kill-s", "1"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        (victim,) = server.workers("subjects")
        os.kill(victim, signal.SIGSTOP)
        stat = Path(f"/proc/{victim}/stat")
        wait_until(lambda: ") T " in stat.read_text(), "it stands still")
        assert server.ask("subjects", {"text": "a"}).json == "A"
        assert victim not in server.workers("subjects")


def test_a_module_of_the_predictors_with_a_name_of_pythons_harms_no_protocol(
    tmp_path: Path,
) -> None:
    (tmp_path / "secrets.py").write_text("KEY = 1")
    (tmp_path / "echo.py").write_text("def echo(text: str) -> str:\n    return text\n")
    with serving(tmp_path, "echo.py", "--workers", "1") as server:
        body = b'{"instances": ["x"]}'
        answer = server.call("POST", "/v1/models/echo:predict", body, JSON)
        assert (answer.status, answer.json) == (200, {"predictions": ["x"]})
