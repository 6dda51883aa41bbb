"""Cog's HTTP API with a real server, a real receiver of webhooks, and the documented examples."""

import base64
import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import job_subjects
import pytest
from receiver import Receiver, receiving
from serving import JSON, Answer, Server, read_answer, serving, wait_until
from test_jobs import wait_for

ASYNC = {**JSON, "prefer": "respond-async"}
SSE = {**JSON, "accept": "text/event-stream"}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("receiver")) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> Iterator[dict[str, Server]]:
    """A server for each predictor, since a path of Cog's names no model."""
    with ExitStack() as opened:
        found = {}
        for name in ("Onion", "Tokens", "Pace", "Sunglasses"):
            folder = tmp_path_factory.mktemp(name)
            shutil.copy(job_subjects.__file__, folder / "subjects.py")
            flags = ["--webhook-urls", receiver.place, "--workers", "1", "--max-queue", "2"]
            server = serving(folder, f"subjects.py:{name}", *flags, "--max-batch", "1")
            found[name] = opened.enter_context(server)
        yield found


@pytest.fixture
def onion(servers: dict[str, Server]) -> Server:
    return servers["Onion"]


def predict(
    server: Server, body: object, headers: Any = JSON, *, id: str = "", method: str = ""
) -> Answer:
    path = f"/predictions/{id}" if id else "/predictions"
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.call(method or ("PUT" if id else "POST"), path, given, headers)


def test_a_prediction_is_waited_for(onion: Server) -> None:
    answer = predict(onion, {"input": {"prompt": "hello world"}})
    assert answer.status == 200
    told = answer.json
    assert told["status"] == "succeeded"
    assert told["output"] == "HELLO WORLD"
    assert told["logs"] == ""
    assert told["metrics"]["predict_time"] >= 0
    assert told["id"]


def test_unknown_inputs_are_dropped_and_bodies_may_be_packed(onion: Server) -> None:
    body = json.dumps({"input": {"prompt": "a", "seed": 42}, "more": 1}).encode()
    assert predict(onion, body).json["output"] == "A"
    packed = predict(onion, gzip.compress(body), {**JSON, "content-encoding": "gzip"})
    assert packed.json["output"] == "A"
    assert predict(onion, b"").json["output"] == ""
    assert predict(onion, {"input": None}).json["output"] == ""


def test_a_body_that_names_its_model_grows_within_bounds_when_it_is_inflated(onion: Server) -> None:
    """The gateway itself inflates it: 64 KiB of zeros must not keep all others waiting."""
    packed = {**JSON, "content-encoding": "gzip"}
    bomb = gzip.compress(b'{"input": {"prompt": "' + b"x" * 60 * 2**20 + b'"}}')
    refused = predict(onion, bomb, packed)
    assert refused.status == 413
    assert "8388608" in refused.body.decode()
    large = b'{"input": {"prompt": "' + b"x" * 4 * 2**20 + b'"}}'
    assert predict(onion, gzip.compress(large), packed).status == 200


def test_a_model_that_fails_is_no_fault_of_http(onion: Server) -> None:
    answer = predict(onion, {"input": {"prompt": "fail"}})
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert "secret" not in answer.json["error"]
    assert "output" not in answer.json


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"input": {"prompt": 5}}, ["body", "input", "prompt"]),
        ({"input": [1]}, ["body", "input"]),
        ({"input": {}, "webhook_events_filter": ["begin"]}, ["body", "webhook_events_filter"]),
        ({"input": {}, "id": "../x"}, ["body", "id"]),
        ({"input": {}, "webhook": "http://169.254.169.254/"}, ["body", "webhook"]),
        (b'{"input":', ["body"]),
        (b"\xff\xfe", ["body"]),
        (b"[" * 100_000, ["body"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(onion: Server, body: object, loc: list[str]) -> None:
    answer = predict(onion, body)
    assert answer.status == 422
    (detail,) = answer.json["detail"]
    assert detail["loc"] == loc
    assert detail["msg"]
    assert detail["type"] == "value_error"


def test_a_prediction_with_an_id_is_made_once(onion: Server) -> None:
    body = {"input": {"prompt": "once", "until": "once"}}
    first = predict(onion, body, ASYNC, id="wjx3whax6rf4vphkegkhcvpv6a")
    assert first.status == 202
    assert first.json == {"id": "wjx3whax6rf4vphkegkhcvpv6a", "status": "starting"}
    assert first.headers["location"] == "/jobs/wjx3whax6rf4vphkegkhcvpv6a"
    wait_for(onion, "/jobs/wjx3whax6rf4vphkegkhcvpv6a", "running")
    again = predict(onion, body, id="wjx3whax6rf4vphkegkhcvpv6a")
    assert (again.status, again.json["status"]) == (202, "processing")
    onion.path("once").touch()
    wait_for(onion, "/jobs/wjx3whax6rf4vphkegkhcvpv6a", "succeeded")
    kept = predict(onion, body, id="wjx3whax6rf4vphkegkhcvpv6a")
    assert (kept.status, kept.json["output"]) == (200, "ONCE")
    assert onion.call("GET", "/jobs/wjx3whax6rf4vphkegkhcvpv6a/result").json == kept.json
    assert onion.lines("entered.txt").count("once") == 1


def test_the_id_of_a_body_must_be_that_of_the_path(onion: Server) -> None:
    assert predict(onion, {"id": "b", "input": {"prompt": "b"}}, id="b").status == 200
    answer = predict(onion, {"id": "a", "input": {}}, id="c")
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "id"])


def test_a_synchronous_prediction_with_an_id_is_known_and_waited_for(onion: Server) -> None:
    answer = predict(onion, {"input": {"prompt": "sync"}}, id="sync1")
    assert (answer.status, answer.json["id"], answer.json["output"]) == (200, "sync1", "SYNC")
    wait_until(lambda: onion.call("GET", "/jobs/sync1").status == 200, "it is kept")
    assert onion.call("GET", "/jobs/sync1/result").json == answer.json


def test_webhooks_are_told_in_order(onion: Server, receiver: Receiver) -> None:
    body = {"input": {"prompt": "hook", "until": "hook"}, "webhook": receiver.place + "ok/order"}
    answer = predict(
        onion, body, {**ASYNC, "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    )
    assert (answer.status, answer.json["status"]) == (202, "starting")
    (start,) = receiver.wait_for("ok/order")
    assert start["body"]["status"] == "processing"
    onion.path("hook").touch()
    told = [t["body"] for t in receiver.wait_for("ok/order", 3)]
    assert [t["status"] for t in told] == ["processing", "processing", "succeeded"]
    assert [t.get("output") for t in told] == [None, "HOOK", "HOOK"]
    assert {t["id"] for t in told} == {answer.json["id"]}
    assert told[2]["metrics"]["predict_time"] > 0
    assert told[2]["started_at"] <= told[2]["completed_at"]
    assert all(t["headers"]["traceparent"].startswith("00-aaa") for t in receiver.told("ok/order"))


@pytest.mark.parametrize(
    ("events", "statuses"),
    [
        (["completed"], ["succeeded"]),
        (["start", "completed"], ["processing", "succeeded"]),
        (["start", "logs"], ["processing"]),
        ([], []),
    ],
)
def test_a_webhook_is_told_what_it_asks_for(
    onion: Server, receiver: Receiver, events: list[str], statuses: list[str]
) -> None:
    kind = "ok/filter-" + ("-".join(events) or "none")
    body = {
        "input": {"prompt": "a"},
        "webhook": receiver.place + kind,
        "webhook_events_filter": events,
    }
    job = "/jobs/" + predict(onion, body, ASYNC).json["id"]
    wait_for(onion, job, "succeeded")
    last = {"input": {"prompt": "a"}, "webhook": receiver.place + f"ok/after-{kind[3:]}"}
    predict(onion, last, ASYNC)
    receiver.wait_for(f"ok/after-{kind[3:]}", 3)
    receiver.wait_for(kind, len(statuses))
    assert [t["body"]["status"] for t in receiver.told(kind)] == statuses


def test_a_synchronous_prediction_tells_its_webhook_too(onion: Server, receiver: Receiver) -> None:
    body = {"input": {"prompt": "fail"}, "webhook": receiver.place + "ok/sync"}
    assert predict(onion, body).json["status"] == "failed"
    told = receiver.wait_for("ok/sync", 2)
    assert [t["body"]["status"] for t in told] == ["processing", "failed"]
    assert "secret" not in told[1]["body"]["error"]


def test_the_end_is_told_again_to_a_receiver_that_fails(onion: Server, receiver: Receiver) -> None:
    hook = receiver.place + "fails/3/cog"
    body = {"input": {"prompt": "a"}, "webhook": hook, "webhook_events_filter": ["completed"]}
    predict(onion, body, ASYNC)
    told = receiver.wait_for("fails/3/cog", 4)
    assert [t["body"]["status"] for t in told] == ["succeeded"] * 4


def test_a_prediction_is_cancelled_by_its_id(onion: Server, receiver: Receiver) -> None:
    hook = receiver.place + "ok/cancel"
    body = {"id": "abcd1234", "input": {"prompt": "long", "until": "cancel"}, "webhook": hook}
    assert predict(onion, body, ASYNC).json["id"] == "abcd1234"
    onion.wait_for_line("entered.txt", "long")
    cancelled = onion.call("POST", "/predictions/abcd1234/cancel")
    assert (cancelled.status, cancelled.json) == (200, {})
    wait_for(onion, "/jobs/abcd1234", "canceled")
    final = onion.call("GET", "/jobs/abcd1234/result")
    assert (final.status, final.json["status"]) == (200, "canceled")
    wait_until(
        lambda: (
            receiver.told("ok/cancel")[-1:]
            and receiver.told("ok/cancel")[-1]["body"]["status"] == "canceled"
        ),
        "its webhook knows",
    )
    assert onion.call("POST", "/predictions/abcd1234/cancel").status == 404
    assert onion.call("POST", "/predictions/nothing/cancel").status == 404
    onion.path("cancel").touch()


def test_who_waits_for_a_prediction_is_told_that_it_was_cancelled(onion: Server) -> None:
    body = json.dumps({"input": {"prompt": "sync-cancel", "until": "sync-cancel"}}).encode()
    head = (
        f"PUT /predictions/mine HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    sock = onion.connect()
    sock.connect()
    sock.sock.sendall(head.encode() + body)
    onion.wait_for_line("entered.txt", "sync-cancel")
    assert onion.call("POST", "/predictions/mine/cancel").status == 200
    answer = read_answer(sock.sock)
    assert (answer.status, answer.json["status"]) == (200, "canceled")
    onion.path("sync-cancel").touch()
    sock.close()


def test_a_client_that_leaves_cancels_its_prediction(onion: Server) -> None:
    before = onion.metric("requests_total", outcome="cancelled")
    body = json.dumps({"input": {"prompt": "leaves", "until": "leaves"}}).encode()
    connection = onion.connect()
    connection.request("PUT", "/predictions/left", body, JSON)
    onion.wait_for_line("entered.txt", "leaves")
    connection.close()
    wait_until(
        lambda: onion.metric("requests_total", outcome="cancelled") > before, "it is cancelled"
    )
    onion.path("leaves").touch()
    wait_for(onion, "/jobs/left", "canceled")


def test_a_full_queue_is_what_cog_calls_being_at_capacity(onion: Server) -> None:
    held = predict(onion, {"input": {"prompt": "full", "until": "full"}}, ASYNC)
    onion.wait_for_line("entered.txt", "full")
    waiting = [predict(onion, {"input": {"prompt": "w"}}, ASYNC) for _ in range(2)]
    for headers in (JSON, ASYNC):
        refused = predict(onion, {"input": {"prompt": "over"}}, headers)
        assert (refused.status, refused.json["status"]) == (409, "failed")
        assert refused.json["error"]
    onion.path("full").touch()
    for answer in (held, *waiting):
        wait_for(onion, "/jobs/" + answer.json["id"], "succeeded")


def test_a_late_prediction_is_cancelled(onion: Server) -> None:
    body = {"input": {"prompt": "late", "until": "late"}}
    answer = predict(onion, body, {**JSON, "headway-timeout": "0.2"})
    assert (answer.status, answer.json["status"]) == (200, "canceled")
    onion.path("late").touch()


def test_the_health_check_is_always_200(onion: Server) -> None:
    answer = onion.call("GET", "/health-check")
    assert answer.status == 200
    assert answer.json["status"] == "READY"
    assert answer.json["setup"]["status"] == "succeeded"
    assert answer.json["version"]["coglet"]


# Streams


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream."""
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_is_a_row_of_events(servers: dict[str, Server]) -> None:
    answer = predict(servers["Tokens"], {"input": {"prompt": "Onions bloom"}}, SSE)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    told = events(answer.body)
    assert [name for name, _ in told] == ["start", "output", "output", "completed"]
    assert told[0][1]["status"] == "processing"
    assert [data for name, data in told if name == "output"] == [
        {"chunk": "Onions", "index": 0},
        {"chunk": "bloom", "index": 1},
    ]
    assert told[-1][1]["status"] == "succeeded"
    assert told[-1][1]["output"] == ["Onions", "bloom"]
    assert told[-1][1]["metrics"]["predict_time"] > 0
    assert {told[0][1]["id"], told[-1][1]["id"]} == {told[0][1]["id"]}


def test_events_come_while_they_are_made(servers: dict[str, Server]) -> None:
    server = servers["Tokens"]
    connection = server.connect()
    body = json.dumps({"input": {"prompt": "a b c", "until": "more"}})
    connection.request("POST", "/predictions", body, SSE)
    answer = connection.getresponse()
    seen = b""
    while seen.count(b"\n\n") < 3:
        seen += answer.read1()
    server.path("more").touch()
    seen += answer.read()
    connection.close()
    assert [n for n, _ in events(seen)] == ["start", "output", "output", "output", "completed"]


def test_a_stream_without_events_is_a_list(servers: dict[str, Server]) -> None:
    answer = predict(servers["Tokens"], {"input": {"prompt": "Onions bloom here"}})
    assert (answer.status, answer.json["output"]) == (200, ["Onions", "bloom", "here"])
    assert predict(servers["Tokens"], {"input": {"prompt": ""}}).json["output"] == []
    empty = events(predict(servers["Tokens"], {"input": {"prompt": ""}}, SSE).body)
    assert [name for name, _ in empty] == ["start", "completed"]


def test_a_stream_that_fails_says_so_at_its_end(servers: dict[str, Server]) -> None:
    body = {"input": {"prompt": "a b fail"}}
    answer = predict(servers["Tokens"], body)
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert "secret" not in answer.json["error"]
    told = events(predict(servers["Tokens"], body, SSE).body)
    assert [name for name, _ in told] == ["start", "output", "output", "error", "completed"]
    assert told[-1][1]["status"] == "failed"
    assert "secret" not in json.dumps(told)


def test_a_stream_with_an_id_is_kept_as_a_prediction(servers: dict[str, Server]) -> None:
    server = servers["Tokens"]
    told = events(predict(server, {"input": {"prompt": "a b"}}, SSE, id="kept").body)
    assert told[-1][1]["id"] == "kept"
    wait_until(lambda: server.call("GET", "/jobs/kept").json["status"] == "succeeded", "it is kept")
    assert server.call("GET", "/jobs/kept/result").json["output"] == ["a", "b"]


def test_a_client_that_leaves_a_stream_cancels_it(servers: dict[str, Server]) -> None:
    server = servers["Tokens"]
    connection = server.connect()
    body = json.dumps({"input": {"prompt": "a b c", "until": "never"}})
    connection.request("PUT", "/predictions/hung-up", body, SSE)
    answer = connection.getresponse()
    answer.read1()
    answer.close()
    connection.close()
    wait_for(server, "/jobs/hung-up", "canceled")
    server.path("never").touch()


def test_a_model_that_does_not_stream_has_no_events(onion: Server) -> None:
    answer = predict(onion, {"input": {"prompt": "a"}}, SSE)
    assert answer.status == 406
    assert answer.json["error"]


def test_output_is_told_now_and_then_and_the_end_has_all(
    servers: dict[str, Server], receiver: Receiver
) -> None:
    body = {"input": {"count": 120}, "webhook": receiver.place + "ok/pace"}
    job = "/jobs/" + predict(servers["Pace"], body, ASYNC).json["id"]
    wait_for(servers["Pace"], job, "succeeded")
    wait_until(
        lambda: (
            receiver.told("ok/pace")[-1:]
            and receiver.told("ok/pace")[-1]["body"]["status"] == "succeeded"
        ),
        "the end is told",
    )
    told = [t["body"] for t in receiver.told("ok/pace")]
    assert told[-1]["output"] == list(range(120))
    outputs = [t["output"] for t in told if t["status"] == "processing" and t.get("output")]
    assert 1 <= len(outputs) < 20, "120 outputs are not 120 requests"
    assert all(o == list(range(len(o))) for o in outputs)
    assert [len(o) for o in outputs] == sorted(len(o) for o in outputs)


# Files


def test_files_are_data_urls(servers: dict[str, Server]) -> None:
    sent = "data:image/png;base64," + base64.b64encode(b"\x89PNG\xff").decode()
    answer = predict(servers["Sunglasses"], {"input": {"image": sent}})
    assert answer.json["status"] == "succeeded"
    head, _, content = answer.json["output"].partition(",")
    assert head == "data:image/gif;base64"
    assert base64.b64decode(content) == job_subjects.DOT + b"\x89PNG\xff"


def test_several_models_need_a_default(tmp_path: Path) -> None:
    shutil.copy(job_subjects.__file__, tmp_path / "subjects.py")
    models = "models:\n  onion: {predictor: 'subjects.py:Onion'}\n  pace: {predictor: 'subjects.py:Pace'}\n"
    tmp_path.joinpath("headway.yaml").write_text(models)
    with serving(tmp_path) as server:
        assert predict(server, {"input": {"prompt": "a"}}).status == 422
        onion, pace = ({**JSON, "headway-model": name} for name in ("onion", "pace"))
        assert predict(server, {"input": {"prompt": "a"}}, onion, id="x").status == 200
        other = predict(server, {"input": {"count": 1}}, pace, id="x")
        assert (other.status, other.json["detail"][0]["loc"]) == (422, ["body", "id"])
        wait_until(lambda: server.call("GET", "/jobs/x").status == 200, "it is kept")
        assert predict(server, {"input": {"count": 1}}, pace, id="x").status == 422
        assert predict(server, {"input": {"prompt": "a"}}, onion, id="x").json["output"] == "A"
    tmp_path.joinpath("headway.yaml").write_text("server: {default_model: onion}\n" + models)
    with serving(tmp_path, "--max-jobs", "0") as server:
        answer = predict(server, {"input": {"prompt": "a"}}, ASYNC, id="y")
        assert (answer.status, answer.json["output"]) == (200, "A"), "no jobs: waited for"
        assert server.call("GET", "/jobs/y").status == 404
