"""Jobs: taken with 202, looked at and cancelled at any gateway, lost with theirs, bounded, and told to webhooks."""

import http.client
import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver, free_port, is_free, receiving
from serving import (
    JSON,
    Answer,
    Server,
    ask,
    call,
    in_background,
    serving,
    wait_until,
    write_subjects,
)
from test_serve_gateways import connections, serves, wait_for_successor

ASYNC = {**JSON, "prefer": "respond-async"}
MODELS = """
server: {gateways: 2}
models:
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with starting_two(tmp_path_factory.mktemp("jobs")) as server:
        yield server


def starting_two(folder: Path, *flags: str) -> Any:
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    return serving(folder, *flags)


def begin(
    server: Server, inputs: object, model: str = "gate", connection: Any = None, **headers: str
) -> str:
    """Ask for a job; its path."""
    given = {**ASYNC, **{k.replace("_", "-"): v for k, v in headers.items()}}
    body = json.dumps(inputs).encode()
    with closing(server.connect()) as own:
        taken = call(connection or own, "POST", f"/models/{model}/predict", body, given)
    assert taken.status == 202, taken.body
    assert taken.headers["preference-applied"] == "respond-async"
    assert taken.json["status"] == "queued"
    path: str = taken.headers["location"]
    assert path == f"/jobs/{taken.json['id']}"
    return path


def state(server: Server, path: str) -> dict[str, Any]:
    answer = server.call("GET", path)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def wait_for(server: Server, path: str, status: str) -> dict[str, Any]:
    wait_until(lambda: state(server, path)["status"] == status, f"{path} is {status}")
    return state(server, path)


def test_a_job_is_answered_as_it_would_have_been(server: Server) -> None:
    path = begin(server, {"text": "later", "until": "later"})
    running = wait_for(server, path, "running")
    assert running["model"] == "gate"
    assert running["ended_at"] is None
    assert running["created_at"] <= running["started_at"]
    early = server.call("GET", path + "/result")
    assert (early.status, early.json["status"]) == (202, "running")
    assert early.headers["retry-after"] == "1"
    server.path("later").touch()
    done = wait_for(server, path, "succeeded")
    assert done["result"] == path + "/result"
    assert done["result_status"] == 200
    usual = server.ask("gate", {"text": "later"})
    for _ in range(4):
        result = server.call("GET", path + "/result")
        assert (result.status, result.body) == (200, usual.body)
        assert result.headers["content-type"] == usual.headers["content-type"]


def test_every_gateway_says_the_same_and_none_goes_back(server: Server) -> None:
    path = begin(server, {"text": "both", "until": "both"})
    order = ["queued", "running", "succeeded"]
    with connections(server) as each:

        def look() -> bool:
            seen.extend(call(c, "GET", path).json["status"] for c in each)
            if seen[-1] == "running":
                server.path("both").touch()
            return seen[-2:] == ["succeeded"] * 2

        seen: list[str] = []
        wait_until(look, "both say that it has succeeded")
    places = [order.index(status) for status in seen]
    assert places == sorted(places)


def test_a_stream_and_an_error_are_kept_too(server: Server) -> None:
    path = begin(server, {"upto": 4, "name": "kept"}, "count")
    wait_for(server, path, "succeeded")
    result = server.call("GET", path + "/result")
    assert result.body == b"0\n1\n2\n3\n"
    assert result.headers["content-type"] == "application/jsonl"
    path = begin(server, {"text": 5})
    assert wait_for(server, path, "failed")["result_status"] == 400
    refused = server.call("GET", path + "/result")
    assert (refused.status, refused.code) == (400, "bad_input")


@pytest.mark.parametrize("turn", range(4))
def test_a_job_is_cancelled_at_any_gateway(server: Server, turn: int) -> None:
    """In a worker or in the queue."""
    held = begin(server, {"text": f"held{turn}", "until": f"cancel{turn}"})
    server.wait_for_line("entered.txt", f"held{turn}")
    waits = begin(server, {"text": f"waits{turn}"})
    for path in (held, waits):
        told = server.call("DELETE", path)
        assert told.status == 202
        assert wait_for(server, path, "canceled")["result_status"] == 499
        assert server.call("GET", path + "/result").code == "cancelled"
    server.path(f"cancel{turn}").touch()
    assert server.ask("gate", {"text": f"after{turn}"}).status == 200
    assert f"waits{turn}" not in server.lines("entered.txt")
    for path in (held, waits):
        assert server.call("DELETE", path).status == 200
        assert server.call("GET", path).code == "unknown_job"
        assert server.call("DELETE", path).status == 404


def test_who_waits_for_an_answer_goes_before_jobs(server: Server) -> None:
    with connections(server) as (one, _):  # each gateway has a queue of its own
        begin(server, {"text": "first", "until": "order"}, connection=one)
        server.wait_for_line("entered.txt", "first")
        jobs = [begin(server, {"text": f"job{n}"}, connection=one) for n in range(2)]
        jobs.append(begin(server, {"text": "urgent"}, connection=one, headway_priority="high"))
        asked = in_background(lambda: ask(one, "gate", {"text": "asked"}))
        wait_until(lambda: server.metric("queue_requests", model="gate") == 4, "all wait")
        server.path("order").touch()
        assert asked.result(20).status == 200
    for path in jobs:
        wait_for(server, path, "succeeded")
    assert server.lines("entered.txt")[-4:] == ["urgent", "asked", "job0", "job1"]


def test_a_caller_may_wait_a_while_first(server: Server) -> None:
    prefer = {**JSON, "prefer": "respond-async, wait=20"}
    at_once = server.call("POST", "/models/gate/predict", b'{"text":"quick"}', prefer)
    assert (at_once.status, at_once.json) == (200, "QUICK")
    prefer["prefer"] = "respond-async, wait=1"
    body = b'{"text":"slow","until":"slow"}'
    later = server.call("POST", "/models/gate/predict", body, prefer)
    assert (later.status, later.json["status"]) == (202, "running")
    server.path("slow").touch()
    wait_for(server, later.headers["location"], "succeeded")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jobs/nothing", 404),
        ("GET", "/jobs/nothing/result", 404),
        ("DELETE", "/jobs/nothing", 404),
        ("GET", "/jobs/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/jobs/%2e%2e", 404),
        ("GET", "/jobs/a%00b", 404),
        ("GET", "/jobs", 404),
        ("POST", "/jobs/nothing", 405),
        ("DELETE", "/jobs/nothing/result", 405),
    ],
)
def test_what_is_no_job_is_refused(server: Server, method: str, path: str, status: int) -> None:
    assert server.call(method, path).status == status


def test_a_full_queue_refuses_a_job_at_once_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    flags = ["--max-queue", "2", "--max-batch", "1", "--workers", "1", "--max-jobs", "4"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        first = begin(server, {"text": "first", "until": "go"}, "subjects")
        server.wait_for_line("entered.txt", "first")
        jobs = [begin(server, {"text": f"job{n}"}, "subjects") for n in range(2)]
        refused = server.ask("subjects", {"text": "over"}, ASYNC)
        assert (refused.status, refused.code) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        wait_until(
            lambda: len(list(tmp_path.glob("headway/jobs-*/*.job"))) == 3,
            "nothing is left of the refused one",
        )
        server.path("go").touch()
        for path in (first, *jobs):
            wait_for(server, path, "succeeded")


def is_later(path: Path) -> bool:
    """Whether what is written now has a later time than what has been kept of all jobs."""
    path.touch()
    kept = path.parent.glob("headway/jobs-*/*.job")
    return path.stat().st_mtime_ns > max(file.stat().st_mtime_ns for file in kept)


def test_so_many_jobs_are_under_way_and_no_more(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    flags = ["--max-jobs", "2", "--max-batch", "1", "--workers", "1"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        jobs = [begin(server, {"text": f"{n}", "until": f"go{n}"}, "subjects") for n in range(2)]
        refused = server.ask("subjects", {"text": "over"}, ASYNC)
        assert (refused.status, refused.code) == (429, "queue_full")
        for n, path in enumerate(jobs):
            server.path(f"go{n}").touch()
            wait_for(server, path, "succeeded")
            wait_until(lambda: is_later(server.path("now")), "times of files move in steps")
        begin(server, {"text": "next"}, "subjects")
        assert server.call("GET", jobs[0]).code == "unknown_job", "the oldest made room"


def test_a_job_has_a_deadline_of_its_own_and_its_caller_may_set_an_earlier_one(
    tmp_path: Path,
) -> None:
    write_subjects(tmp_path)
    flags = ["--timeout-s", "0.3", "--job-timeout-s", "30", "--workers", "1"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        path = begin(server, {"text": "long", "until": "go"}, "subjects")
        server.wait_for_line("entered.txt", "long")
        assert server.ask("subjects", {"text": "asked"}).code == "deadline"
        short = begin(server, {"text": "short"}, "subjects", headway_timeout="0.2")
        assert wait_for(server, short, "failed")["result_status"] == 504
        assert state(server, path)["status"] == "running"
        server.path("go").touch()
        wait_for(server, path, "succeeded")


def test_without_jobs_the_preference_is_not_followed(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    with serving(tmp_path, "subjects.py:Gate", "--max-jobs", "0") as server:
        answer = server.ask("subjects", {"text": "now"}, ASYNC)
        assert (answer.status, answer.json) == (200, "NOW")
        assert "preference-applied" not in answer.headers


def test_a_client_that_leaves_before_it_is_told_where_its_job_is_wants_none(
    tmp_path: Path,
) -> None:
    write_subjects(tmp_path)
    with serving(tmp_path, "subjects.py:Gate", "--workers", "1") as server:
        prefer = {"prefer": "respond-async, wait=30"}
        sock = server.send("subjects", {"text": "gone", "until": "gone"}, prefer)
        server.wait_for_line("entered.txt", "gone")
        sock.close()
        wait_until(
            lambda: server.metric("requests_total", outcome="cancelled") == 1, "it is cancelled"
        )
        server.path("gone").touch()


def test_jobs_of_a_gateway_that_is_killed_are_lost_and_everybody_says_so(tmp_path: Path) -> None:
    with (
        receiving(tmp_path) as receiver,
        starting_two(tmp_path, "--webhook-urls", receiver.place) as server,
    ):
        hook = {"headway-webhook": receiver.place + "ok"}
        with connections(server) as (first, second):
            done = begin(server, {"text": "done"}, connection=first)
            wait_for(server, done, "succeeded")
            running = begin(server, {"text": "held", "until": "held"}, connection=first, **hook)
            server.wait_for_line("entered.txt", "held")
            waiting = begin(server, {"text": "queued"}, connection=first)
            kept = begin(server, {"text": "kept"}, connection=second)
            victim = next(pid for pid in server.gateways() if serves(pid, first))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: call_ok(second, running), "the other one says so")
        wait_for_successor(server, victim)
        with connections(server) as each:
            for connection in each:
                for path in (running, waiting):
                    told = call(connection, "GET", path).json
                    assert (told["status"], told["result_status"]) == ("failed", 503)
                    assert call(connection, "GET", path + "/result").code == "job_lost"
                assert call(connection, "GET", done + "/result").json == "DONE"
        server.path("held").touch()
        wait_for(server, kept, "succeeded")
        (told,) = receiver.wait_for("ok")
        assert told["body"]["id"] == running.removeprefix("/jobs/")
        assert told["body"]["status"] == "failed"


def call_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    return bool(call(connection, "GET", path).json["status"] == "failed")


def test_results_outlive_a_restart_and_what_was_under_way_is_lost(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    port = free_port()
    flags = ["subjects.py:Gate", "--port", str(port), "--workers", "1"]
    with serving(tmp_path, *flags) as server:
        done = begin(server, {"text": "done"}, "subjects")
        wait_for(server, done, "succeeded")
        held = begin(server, {"text": "held", "until": "never"}, "subjects")
        server.wait_for_line("entered.txt", "held")
        for pid in (*server.gateways(), *server.workers("subjects"), server.process.pid):
            os.kill(pid, signal.SIGKILL)
        server.wait()
    wait_until(lambda: is_free(port), "its gateways have ended too")
    with serving(tmp_path, *flags) as server:
        assert server.call("GET", done + "/result").json == "DONE"
        assert state(server, held)["status"] == "failed"
        assert server.call("GET", held + "/result").code == "job_lost"
        wait_until(lambda: server.records("job_lost"), "the log says so")


@contextmanager
def on_a_small_disk(folder: Path) -> Iterator[tuple[Server, Receiver]]:
    """A server whose disk takes no answer of 50 kB, and who it may tell of jobs."""
    write_subjects(folder)
    with receiving(folder) as receiver:
        flags = ["--workers", "1", "--webhook-urls", receiver.place]
        with serving(folder, "subjects.py:Gate", *flags) as server:
            (gateway,) = server.gateways()
            resource.prlimit(gateway, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
            yield server, receiver


def test_an_answer_that_the_disk_does_not_take_is_lost_and_said_to_be(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (server, receiver):
        hook = {"headway-webhook": receiver.place + "ok"}
        large = begin(server, {"text": "x" * 100_000}, "subjects", **hook)
        assert wait_for(server, large, "failed")["result_status"] == 503
        assert server.call("GET", large + "/result").code == "job_lost"
        (said,) = server.records("job_not_kept")
        assert said["job"] == large.removeprefix("/jobs/")
        wait_until(lambda: receiver.told("ok"), "the webhook is told")
        (told,) = receiver.told("ok")
        assert told["body"] == server.call("GET", large).json, "the same as who asks is told"
        small = begin(server, {"text": "small"}, "subjects")
        wait_for(server, small, "succeeded")
        assert server.call("GET", small + "/result").json == "SMALL"


def test_who_has_waited_for_an_answer_that_the_disk_does_not_take_has_it(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (server, receiver):
        asked = {"input": {"text": "x" * 100_000}, "webhook": receiver.place + "ok"}
        told = {"webhook_events_filter": ["completed"]}
        answer = server.call("PUT", "/predictions/abc", json.dumps(asked | told).encode(), JSON)
        assert (answer.status, answer.json["status"]) == (200, "succeeded")
        wait_until(lambda: receiver.told("ok"), "the webhook is told")
        (hook,) = receiver.told("ok")
        assert (hook["body"]["status"], hook["body"]["output"]) == ("succeeded", "X" * 100_000)
        assert server.records("job_not_kept")


def test_a_drain_waits_for_jobs(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    with receiving(tmp_path) as receiver:
        flags = ["--workers", "1", "--webhook-urls", receiver.place]
        with serving(tmp_path, "subjects.py:Gate", *flags) as server:
            hook = {"headway-webhook": receiver.place + "ok"}
            begin(server, {"text": "held", "until": "held"}, "subjects", **hook)
            server.wait_for_line("entered.txt", "held")
            server.send_signal(signal.SIGTERM)
            wait_until(lambda: server.records("draining"), "it drains")
            server.path("held").touch()
            assert server.wait() == 0
        (told,) = receiver.told("ok")
        assert told["body"]["status"] == "succeeded"
    assert not list(tmp_path.glob("headway/jobs-*")), "a port by chance is not found again"


def test_a_job_that_outlasts_the_grace_is_told_that_the_server_has_stopped(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    port = ["--port", str(free_port()), "--workers", "1"]
    with serving(tmp_path, "subjects.py:Gate", *port, "--grace-s", "0.2") as server:
        path = begin(server, {"text": "held", "until": "never"}, "subjects")
        server.wait_for_line("entered.txt", "held")
        assert server.stop() == 5
    with serving(tmp_path, "subjects.py:Gate", *port) as server:
        assert state(server, path)["result_status"] == 503
        assert server.call("GET", path + "/result").code == "server_stopped"


def test_a_worker_is_not_kept_for_the_job_of_a_gateway_that_died(tmp_path: Path) -> None:
    """Nobody will take its answer, so the next in turn waits as long as for any request."""
    write_subjects(tmp_path)
    flags = ["--workers", "1", "--timeout-s", "1", "--hang-kill-s", "1"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        (worker,), (victim,) = server.workers("subjects"), server.gateways()
        begin(server, {"text": "lost", "until": "never"}, "subjects")
        server.wait_for_line("entered.txt", "lost")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: worker not in server.workers("subjects"), "the worker is replaced", 10)
        server.wait_for_workers("subjects", 1)
        assert server.ask("subjects", {"text": "next"}).json == "NEXT"


def test_a_job_costs_nothing_to_who_asks_for_none(server: Server) -> None:
    answer: Answer = server.ask("gate", {"text": "plain"}, {"prefer": "return=minimal"})
    assert (answer.status, answer.json) == (200, "PLAIN")
