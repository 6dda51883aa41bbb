"""Callers leave, are late, are too many, or in a hurry; others never notice."""

import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from serving import Answer, Server, serving, wait_until, write_subjects

MODELS = """
models:
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 64}
  narrow: {predictor: "subjects.py:Gate", workers: 1, max_batch: 1, max_queue: 3}
  count: {predictor: "subjects.py:Count", workers: 1}
  async-count: {predictor: "subjects.py:AsyncCount", workers: 1, slots: 2}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("callers")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def leave(sock: socket.socket, how: str) -> None:
    """Close a connection with a FIN or an RST."""
    if how == "RST":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def wait_for_nothing_in_flight(server: Server, model: str) -> None:
    wait_until(lambda: server.metric("in_flight", model=model) == 0, "nothing is in flight")


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_who_leaves_while_queued_is_never_computed(server: Server, how: str) -> None:
    name = f"queued-{how}"
    blocker = server.ask_later("gate", {"text": f"{name}-first", "until": name})
    server.wait_for_line("entered.txt", f"{name}-first")
    mates = [server.ask_later("gate", {"text": f"{name}-{i}"}) for i in range(4)]
    server.wait_for_queue("gate", 4)
    leaver = server.send("gate", {"text": f"{name}-left"})
    server.wait_for_queue("gate", 5)
    leave(leaver, how)
    server.wait_for_queue("gate", 4)
    server.path(name).touch()
    assert blocker.result(20).status == 200
    assert [m.result(20).json for m in mates] == [f"{name}-{i}".upper() for i in range(4)]
    assert f"{name}-left" not in server.lines("entered.txt")
    wait_for_nothing_in_flight(server, "gate")


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_who_leaves_while_running_harms_no_batch_mate(server: Server, how: str) -> None:
    name = f"running-{how}"
    before = server.metric("requests_total", model="gate", outcome="cancelled")
    blocker = server.ask_later("gate", {"text": f"{name}-first", "until": f"{name}-1"})
    server.wait_for_line("entered.txt", f"{name}-first")
    asked = {"until": f"{name}-2"}
    mates = [server.ask_later("gate", {"text": f"{name}-{i}", **asked}) for i in range(4)]
    leaver = server.send("gate", {"text": f"{name}-left", **asked})
    server.wait_for_queue("gate", 5)
    server.path(f"{name}-1").touch()
    server.wait_for_line("entered.txt", f"{name}-left")
    leave(leaver, how)
    wait_until(
        lambda: server.metric("requests_total", model="gate", outcome="cancelled") == before + 1,
        "it is counted as cancelled",
    )
    server.path(f"{name}-2").touch()
    assert blocker.result(20).status == 200
    assert [m.result(20).json for m in mates] == [f"{name}-{i}".upper() for i in range(4)]
    wait_for_nothing_in_flight(server, "gate")


def test_a_deadline_is_kept_and_what_expired_in_the_queue_is_never_computed(
    server: Server,
) -> None:
    blocker = server.ask_later("gate", {"text": "due-first", "until": "due"})
    server.wait_for_line("entered.txt", "due-first")
    started = time.monotonic()
    answer = server.ask("gate", {"text": "due-late"}, {"headway-timeout": "0.2"})
    took_s = time.monotonic() - started
    assert (answer.status, answer.code) == (504, "deadline")
    assert 0.2 <= took_s < 10, "what is before it would never have ended"
    mate = server.ask_later("gate", {"text": "due-mate"})
    server.wait_for_queue("gate", 1)
    server.path("due").touch()
    assert blocker.result(20).json == "DUE-FIRST"
    assert mate.result(20).json == "DUE-MATE"
    assert "due-late" not in server.lines("entered.txt")


def test_a_deadline_holds_for_a_request_that_is_running_too(server: Server) -> None:
    inputs = {"text": "slow", "until": "slow"}
    answer = server.ask("gate", inputs, {"headway-timeout": "0.2"})
    assert (answer.status, answer.code) == (504, "deadline")
    server.path("slow").touch()
    assert server.ask("gate", {"text": "after"}).json == "AFTER"
    wait_for_nothing_in_flight(server, "gate")


def test_whoever_finds_out_that_it_is_too_late_names_the_time_that_was_given(
    server: Server,
) -> None:
    for _ in range(20):  # now the gateway finds out, now the worker
        answer = server.ask("gate", {"text": "a"}, {"headway-timeout": "0.000001"})
        assert answer.status == 504
        assert "not ready within 1e-06 s" in answer.json["error"]


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "-0", "x", "1e3", "", "nan", "inf"])
def test_a_deadline_that_is_no_time_at_all_is_refused(server: Server, text: str) -> None:
    answer = server.ask("gate", {"text": "a"}, {"headway-timeout": text})
    assert (answer.status, answer.code) == (400, "bad_input")


def test_a_full_queue_says_at_once_to_come_back(server: Server) -> None:
    blocker = server.ask_later("narrow", {"text": "full-first", "until": "full"})
    server.wait_for_line("entered.txt", "full-first")
    waiting = [server.ask_later("narrow", {"text": f"full-{i}"}) for i in range(3)]
    server.wait_for_queue("narrow", 3)
    answer = server.ask("narrow", {"text": "full-last"})  # would never end if it waited
    assert (answer.status, answer.code) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1
    server.path("full").touch()
    assert [a.result(20).status for a in [blocker, *waiting]] == [200] * 4
    assert server.ask("narrow", {"text": "full-again"}).json == "FULL-AGAIN"


def test_high_priority_overtakes_low(server: Server) -> None:
    blocker = server.ask_later("narrow", {"text": "rank-first", "until": "rank"})
    server.wait_for_line("entered.txt", "rank-first")
    waiting = []
    for i, rank in enumerate(["low", "normal", "high"]):
        text = {"text": f"rank-{rank}"}
        waiting.append(server.ask_later("narrow", text, {"headway-priority": rank}))
        server.wait_for_queue("narrow", i + 1)
    server.path("rank").touch()
    assert [a.result(20).status for a in [blocker, *waiting]] == [200] * 4
    order = [line for line in server.lines("computed.txt") if line.startswith("rank-")]
    assert order == ["rank-first", "rank-high", "rank-normal", "rank-low"]


# Streams


@pytest.mark.parametrize("model", ["count", "async-count"])
def test_a_stream_is_json_lines_or_events_as_asked(server: Server, model: str) -> None:
    inputs = {"upto": 3, "name": "read"}
    lines = server.ask(model, inputs)
    assert lines.status == 200
    assert lines.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line) for line in lines.body.splitlines()] == [0, 1, 2]
    events = server.ask(model, inputs, {"accept": "text/event-stream"})
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("model", ["count", "async-count"])
def test_who_leaves_a_stream_closes_its_generator(server: Server, model: str, how: str) -> None:
    name = f"{model}-{how}"
    sock = server.send(model, {"upto": 10**9, "name": name})
    assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    leave(sock, how)
    server.wait_for_line("closed.txt", name)
    wait_for_nothing_in_flight(server, model)
    assert server.ask(model, {"upto": 1, "name": "next"}).body == b"0\n"


@pytest.mark.parametrize("turn", range(3))
def test_who_leaves_before_the_worker_has_looked_closes_the_generator_too(
    server: Server, turn: int
) -> None:
    """The cancel may be read before the request is: two sockets, two threads."""
    name = f"overtaken-{turn}"
    (worker,) = server.workers("count")
    os.kill(worker, signal.SIGSTOP)
    try:
        sock = server.send("count", {"upto": 10**9, "name": name})
        wait_until(lambda: server.metric("in_flight", model="count") == 1, "it is in flight")
        leave(sock, "RST")
        wait_for_nothing_in_flight(server, "count")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert server.ask("count", {"upto": 1, "name": "next"}).body == b"0\n"
    assert name in server.lines("closed.txt") or name not in server.lines("entered.txt")


def test_the_first_item_of_a_stream_comes_before_its_last_is_made(server: Server) -> None:
    sock = server.send("count", {"upto": 4, "name": "early", "until": "early"})
    received = b""
    while b"1\n" not in received:
        received += sock.recv(1000)
    server.path("early").touch()
    while not received.endswith(b"0\r\n\r\n"):
        received += sock.recv(1000)
    sock.close()
    assert b"3\n" in received


def test_a_stream_past_its_deadline_is_cut_off(server: Server) -> None:
    inputs = {"upto": 4, "name": "cut", "until": "cut"}
    sock = server.send("count", inputs, {"headway-timeout": "0.3"})
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1000):
            received += data
    sock.close()
    assert b"1\n" in received
    assert not received.endswith(b"0\r\n\r\n"), "it must not look as if it was whole"
    server.path("cut").touch()
    server.wait_for_line("closed.txt", "cut")


def test_many_requests_sent_before_the_first_answer_come_back_in_their_order(
    server: Server,
) -> None:
    sock = server.send("gate", {"text": "piped-0"})
    for i in range(1, 30):
        body = json.dumps({"text": f"piped-{i}"}).encode()
        head = f"POST /models/gate/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
    file = sock.makefile("rb")
    answers = [read_one(file) for _ in range(30)]
    file.close()
    sock.close()
    assert [a.json for a in answers] == [f"PIPED-{i}" for i in range(30)]


def read_one(file: "socket.SocketIO | object") -> Answer:
    """Read one of several answers from a connection's file."""
    read = getattr(file, "readline")  # noqa: B009
    status = int(read().split()[1])
    headers = {}
    while line := read().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return Answer(status, getattr(file, "read")(int(headers["content-length"])), headers)  # noqa: B009
