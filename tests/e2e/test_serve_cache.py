"""Equal requests share an answer: a kept one, or that of one under way; none is harmed by another."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Server, serving, wait_until, write_subjects

MODELS = """
cache_bytes: 1000000
models:
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 16}
  other: {predictor: "subjects.py:Gate", workers: 1, max_queue: 1, max_batch: 1}
  small: {predictor: "subjects.py:Gate", workers: 1, cache_bytes: 16384, cache_ttl_s: 0.3}
  dice: {predictor: "dice.py:dice", workers: 1}
  told: {predictor: "dice.py:Told", workers: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""
DICE = """
import itertools
import headway as hw

rolls = itertools.count(1)

@hw.predictor(deterministic=False)
def dice(sides: int) -> int:
    return next(rolls)

class Told(hw.Predictor):
    headers = ("x-tenant",)

    def predict(self, text: str, context: hw.Context) -> str:
        return f"{text} {context.headers.get('x-tenant', '')} {next(rolls)}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cache")
    write_subjects(folder)
    folder.joinpath("dice.py").write_text(DICE)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def wait_for_waiters(server: Server, model: str, count: int) -> None:
    """Until so many requests have come besides the one that runs; they are in no queue."""

    def has_come() -> bool:
        return server.metric("cache_waiting_requests", model=model) == count

    wait_until(has_come, f"{count} wait for another's answer")


def test_an_equal_request_gets_the_kept_answer_and_the_model_is_not_asked(server: Server) -> None:
    hits = server.metric("cache_hits_total", model="gate")
    first = server.ask("gate", {"text": "twice"})
    second = server.ask("gate", {"text": "twice"})
    assert first.body == second.body == b'"TWICE"'
    assert "cache-status" not in first.headers
    assert second.headers["cache-status"] == "headway; hit"
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert server.lines("entered.txt").count("twice") == 1
    assert server.metric("cache_hits_total", model="gate") == hits + 1
    assert server.metric("cache_bytes", model="gate") > 0


def test_another_model_another_body_and_another_query_are_other_requests(server: Server) -> None:
    server.ask("gate", {"text": "mine"})
    assert server.ask("gate", {"text": "mine "}).json == "MINE "
    assert "cache-status" not in server.ask("other", {"text": "mine"}).headers
    body = b'{"text": "mine"}'
    answer = server.call("POST", "/models/gate/predict?errors=item", body)
    assert answer.json == {"output": "MINE"}


def test_declared_headers_are_part_of_the_question(server: Server) -> None:
    def told(tenant: str) -> str:
        answer: str = server.ask("told", {"text": "x"}, {"x-tenant": tenant}).json
        return answer

    assert [told("a"), told("b"), told("a"), told("b")] == ["x a 1", "x b 2", "x a 1", "x b 2"]
    other = server.ask("told", {"text": "x"}, {"x-tenant": "a", "x-unasked": "1"})
    assert other.json == "x a 1", "a header that nobody declares changes nothing"


def test_what_is_not_deterministic_and_what_streams_is_asked_each_time(server: Server) -> None:
    assert [server.ask("dice", {"sides": 6}).json for _ in range(3)] == [1, 2, 3]
    for _ in range(2):
        assert server.ask("count", {"upto": 2, "name": "x"}).body == b"0\n1\n"
    reasons = {r["model"]: r["reason"] for r in server.records("cache_unused")}
    assert set(reasons) == {"dice", "count"}
    assert "deterministic" in reasons["dice"]


def test_errors_and_answers_that_hold_errors_are_not_kept(server: Server) -> None:
    before = server.lines("entered.txt").count("no")
    for _ in range(2):
        assert server.ask("gate", {"text": "no"}).status == 400
        path = "/models/gate/predict?errors=item"
        rows = server.call("POST", path, b'[{"text": "yes"}, {"text": "no"}]')
        assert (rows.status, rows.json[1]["code"]) == (200, "rejected")
        assert "cache-status" not in rows.headers
    assert server.lines("entered.txt").count("no") == before + 4


def test_a_kept_answer_is_given_no_longer_than_its_time_and_not_past_the_bytes(
    server: Server,
) -> None:
    def is_hit() -> bool:
        return "cache-status" in server.ask("small", {"text": "short"}).headers

    assert not is_hit()
    wait_until(is_hit, "it is kept")
    wait_until(lambda: not is_hit(), "its time is over")
    for i in range(60):
        server.ask("small", {"text": f"crowd-{i}"})
    assert 0 < server.metric("cache_bytes", model="small") <= 16384
    assert server.metric("cache_evictions_total", model="small") > 0


def test_requests_that_come_meanwhile_wait_for_the_one_that_runs(server: Server) -> None:
    asked = {"text": "crowd", "until": "crowd"}
    first = server.ask_later("gate", asked)
    server.wait_for_line("entered.txt", "crowd")
    others = [server.ask_later("gate", asked) for _ in range(20)]
    wait_for_waiters(server, "gate", 20)
    assert server.metric("queue_requests", model="gate") == 0
    server.path("crowd").touch()
    answers = [future.result(20) for future in (first, *others)]
    assert {a.body for a in answers} == {b'"CROWD"'}
    assert len({a.headers["x-request-id"] for a in answers}) == 21
    collapsed = [a for a in answers if "collapsed" in a.headers.get("cache-status", "")]
    assert len(collapsed) == 20
    assert server.lines("entered.txt").count("crowd") == 1


def test_the_first_may_leave_and_the_others_get_its_answer(server: Server) -> None:
    asked = {"text": "left", "until": "left"}
    first = server.send("gate", asked)
    server.wait_for_line("entered.txt", "left")
    others = [server.ask_later("gate", asked) for _ in range(3)]
    wait_for_waiters(server, "gate", 3)
    cancelled = server.metric("requests_total", model="gate", outcome="cancelled")
    first.close()
    wait_until(
        lambda: server.metric("requests_total", model="gate", outcome="cancelled") > cancelled,
        "it has left",
    )
    server.path("left").touch()
    assert [future.result(20).json for future in others] == ["LEFT"] * 3
    assert server.lines("entered.txt").count("left") == 1


def test_a_request_that_all_have_left_is_not_asked(server: Server) -> None:
    blocker = server.ask_later("gate", {"text": "blocker", "until": "unblock"})
    server.wait_for_line("entered.txt", "blocker")
    callers = [server.send("gate", {"text": "unwanted"}) for _ in range(3)]
    wait_for_waiters(server, "gate", 2)
    for caller in callers:
        caller.close()
    server.wait_for_queue("gate", 0)
    wait_for_waiters(server, "gate", 0)
    server.path("unblock").touch()
    assert blocker.result(20).json == "BLOCKER"
    assert server.ask("gate", {"text": "after-unwanted"}).status == 200
    assert "unwanted" not in server.lines("entered.txt")


def test_the_first_may_be_late_and_the_others_are_not(server: Server) -> None:
    asked = {"text": "late", "until": "late"}
    first = server.ask_later("gate", asked, {"headway-timeout": "0.5"})
    server.wait_for_line("entered.txt", "late")
    patient = server.ask_later("gate", asked)
    hurried = server.ask_later("gate", asked, {"headway-timeout": "0.2"})
    assert (hurried.result(20).status, first.result(20).status) == (504, 504)
    server.path("late").touch()
    assert patient.result(20).json == "LATE"
    assert server.lines("entered.txt").count("late") == 1


def test_a_first_that_is_late_in_the_queue_costs_the_others_nothing(server: Server) -> None:
    blocker = server.ask_later("gate", {"text": "blocker-2", "until": "unblock-2"})
    server.wait_for_line("entered.txt", "blocker-2")
    first = server.ask_later("gate", {"text": "queued-late"}, {"headway-timeout": "0.3"})
    server.wait_for_queue("gate", 1)
    patient = server.ask_later("gate", {"text": "queued-late"})
    assert first.result(20).status == 504
    server.path("unblock-2").touch()
    assert (blocker.result(20).json, patient.result(20).json) == ("BLOCKER-2", "QUEUED-LATE")


def test_a_worker_that_is_killed_with_waiters_costs_none_an_answer(server: Server) -> None:
    asked = {"text": "killed", "until": "killed"}
    first = server.ask_later("gate", asked)
    server.wait_for_line("entered.txt", "killed")
    others = [server.ask_later("gate", asked) for _ in range(5)]
    wait_for_waiters(server, "gate", 5)
    (victim,) = server.workers("gate")
    os.kill(victim, signal.SIGKILL)
    server.path("killed").touch()
    assert [f.result(30).json for f in (first, *others)] == ["KILLED"] * 6
    server.wait_for_workers("gate", 1, without=victim)


def test_a_query_of_death_kills_two_workers_however_many_ask_it(server: Server) -> None:
    before = server.metric("worker_restarts_total", model="gate")
    blocker = server.ask_later("gate", {"text": "blocker-3", "until": "unblock-3"})
    server.wait_for_line("entered.txt", "blocker-3")
    callers = [server.ask_later("gate", {"text": "poison"}) for _ in range(5)]
    wait_for_waiters(server, "gate", 4)
    server.path("unblock-3").touch()
    answers = [future.result(30) for future in callers]
    assert {(a.status, a.code) for a in answers} == {(500, "model_crashed")}
    assert len({a.json["request_id"] for a in answers}) == 5
    assert blocker.result(20).json == "BLOCKER-3"
    assert server.metric("worker_restarts_total", model="gate") - before == 2
    server.wait_for_workers("gate", 1)


def test_after_an_error_of_the_first_each_asks_by_itself(server: Server) -> None:
    asked = {"text": "no", "until": "refused"}
    count = server.lines("entered.txt").count("no")
    first = server.ask_later("gate", asked)
    wait_until(lambda: server.lines("entered.txt").count("no") > count, "it runs")
    others = [server.ask_later("gate", asked) for _ in range(3)]
    wait_for_waiters(server, "gate", 3)
    server.path("refused").touch()
    answers = [future.result(20) for future in (first, *others)]
    assert [(a.status, a.code) for a in answers] == [(400, "rejected")] * 4
    assert len({a.json["request_id"] for a in answers}) == 4


def test_a_full_queue_refuses_new_questions_and_answers_those_it_knows(server: Server) -> None:
    server.ask("other", {"text": "known"})
    blocker = server.ask_later("other", {"text": "full", "until": "not-full"})
    server.wait_for_line("entered.txt", "full")
    queued = server.ask_later("other", {"text": "queued"})
    server.wait_for_queue("other", 1)
    twin = server.ask_later("other", {"text": "queued"})
    wait_for_waiters(server, "other", 1)
    assert server.ask("other", {"text": "one too many"}).status == 429
    assert server.ask("other", {"text": "known"}).headers["cache-status"] == "headway; hit"
    server.path("not-full").touch()
    assert [f.result(20).status for f in (blocker, queued, twin)] == [200] * 3


def test_v2_echoes_an_id_so_only_requests_without_one_are_equal(server: Server) -> None:
    def infer(text: str, id: str) -> tuple[object, bool]:
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}
        body = json.dumps({**({"id": id} if id else {}), "inputs": [tensor]}).encode()
        answer = server.call("POST", "/v2/models/gate/infer", body)
        assert answer.status == 200, answer.body
        return answer.json.get("id"), "cache-status" in answer.headers

    assert [infer("v2", "a"), infer("v2", "b"), infer("v2", "a")] == [
        ("a", False),
        ("b", False),
        ("a", True),
    ]
    assert server.lines("entered.txt").count("v2") == 1, "its worker knows the row by then"
    assert server.metric("cache_rows_total", model="gate") >= 1
    assert [infer("v2", ""), infer("v2", "")] == [(None, False), (None, True)]
    stats = server.call("GET", "/v2/models/gate/stats").json["model_stats"][0]["inference_stats"]
    assert stats["cache_hit"]["count"] >= 2
    assert stats["cache_miss"]["count"] >= 3


VERSION = """
import headway as hw

class Version(hw.Predictor):
    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        return [{version}] * len(number)
"""


def test_a_reload_forgets_the_answers_of_the_version_before(tmp_path: Path) -> None:
    file = tmp_path / "version.py"
    file.write_text(VERSION.format(version=1))
    with serving(tmp_path, "version.py", "--workers", "2", "--cache-bytes", "1000000") as server:

        def ask() -> tuple[object, bool]:
            answer = server.ask("version", {"number": 7})
            return answer.json, "cache-status" in answer.headers

        assert [ask(), ask()] == [(1, False), (1, True)]
        file.write_text(VERSION.format(version=2))
        assert server.admin("POST", "/reload").status == 202
        wait_until(lambda: ask()[0] == 2, "the new version answers")
        server.wait_for_workers("version", 2)
        wait_until(lambda: ask() == (2, True), "its answers are kept")
        assert {ask() for _ in range(20)} == {(2, True)}


def test_two_gateways_each_keep_their_own_half(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    flags = ["--gateways", "2", "--workers", "1", "--cache-bytes", "200000"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        answers = [server.ask("subjects", {"text": "shared"}) for _ in range(60)]
        assert {a.body for a in answers} == {b'"SHARED"'}
        asked = sum("cache-status" not in a.headers for a in answers)
        assert 1 <= asked <= 2, "once by each gateway"
        assert server.metric("cache_misses_total") == asked
