"""Several gateways share the workers; one that dies takes nothing with it but what it held."""

import http.client

import os
import signal
import time
from collections.abc import Iterator

import pytest
from serving import Server, ask, call, in_background, serving, wait_until, write_subjects
from subjects import mix

MODELS = """
server: {gateways: 2}
models:
  mix: {predictor: "subjects.py:Mix", workers: 1}
  gate: {predictor: "subjects.py:Gate", workers: 1, max_batch: 64}
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateways")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def connect_to_each(server: Server) -> list[http.client.HTTPConnection]:
    """A connection to each of the two gateways; the prefix of request ids tells them apart."""
    found: dict[str, http.client.HTTPConnection] = {}

    def look() -> bool:
        connection = server.connect()
        gateway = prefix(connection)
        if found.setdefault(gateway, connection) is not connection:
            connection.close()
        return len(found) == 2

    wait_until(look, "both gateways have answered")
    return list(found.values())


def prefix(connection: http.client.HTTPConnection) -> str:
    return call(connection, "GET", "/health/live").headers["x-request-id"][:8]


def test_both_gateways_get_answers_from_the_one_slot_in_turns(server: Server) -> None:
    first, second = connect_to_each(server)
    for number in range(20):
        assert ask(first, "mix", {"number": number}).json == mix(number)
        assert ask(second, "mix", {"number": -number}).json == mix(-number)
    third, fourth = connect_to_each(server)
    spared = in_background(lambda: [ask(third, "mix", {"number": n}).json for n in range(100)])
    other = in_background(lambda: [ask(fourth, "mix", {"number": n}).json for n in range(100)])
    wanted = [mix(n) for n in range(100)]
    assert spared.result(20) == other.result(20) == wanted
    for connection in (first, second, third, fourth):
        connection.close()


def test_both_gateways_are_ready_whoever_has_the_slot(server: Server) -> None:
    """An idle slot's credit is with one of them; a round trip of the other must move it."""
    connections = connect_to_each(server)
    for connection in connections:
        # Long enough that no sign of life is fresh any more.
        last_at = time.monotonic()
        wait_until(lambda at=last_at: time.monotonic() - at > 1.2, "evidence is old")  # type: ignore[misc]
        for each in connections:
            assert call(each, "GET", "/health/ready").status == 200
        assert ask(connection, "mix", {"number": 1}).json == mix(1)
        for each in connections:
            assert call(each, "GET", "/v2/models/mix/ready").status == 200


def test_a_slot_that_is_busy_for_one_gateway_is_ready_for_the_other(server: Server) -> None:
    first, second = connect_to_each(server)
    blocked = in_background(lambda: ask(first, "gate", {"text": "busy", "until": "busy"}))
    server.wait_for_line("entered.txt", "busy")
    started_at = time.monotonic()
    wait_until(lambda: time.monotonic() - started_at > 1.2, "evidence is old")
    assert call(second, "GET", "/models/gate/ready").status == 200
    server.path("busy").touch()
    assert blocked.result(20).json == "BUSY"


def test_a_killed_gateway_is_replaced_while_the_other_answers(server: Server) -> None:
    first, second = connect_to_each(server)
    for connection in (first, second):
        for number in range(10):
            assert ask(connection, "mix", {"number": number}).status == 200
    before = server.gateways()
    held = in_background(lambda: ask(first, "gate", {"text": "held", "until": "held"}))
    server.wait_for_line("entered.txt", "held")
    victim = next(pid for pid in before if serves(server, pid, first))
    os.kill(victim, signal.SIGKILL)
    with pytest.raises((OSError, http.client.HTTPException)):
        held.result(20)
    started = time.monotonic()
    assert ask(second, "mix", {"number": 7}).json == mix(7)
    assert time.monotonic() - started < 1.0
    waiting = in_background(lambda: ask(second, "gate", {"text": "next"}))
    server.path("held").touch()
    assert waiting.result(20).json == "NEXT"

    wait_until(
        lambda: len(server.gateways()) == 2 and victim not in server.gateways(), "it is replaced"
    )
    for connection in connect_to_each(server):
        assert ask(connection, "mix", {"number": 3}).json == mix(3)
        assert ask(connection, "gate", {"text": "both"}).json == "BOTH"
    assert server.metric("requests_total", model="mix", outcome="ok") == 23
    assert server.metric("gateway_restarts_total") == 1
    wait_until(lambda: server.metric("in_flight") == 0, "nothing is in flight")


def serves(server: Server, pid: int, connection: http.client.HTTPConnection) -> bool:
    """Whether the process holds the other end of a connection."""
    port = connection.sock.getsockname()[1]
    inodes = set()
    for line in open(f"/proc/{pid}/net/tcp").readlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port and fields[3] == "01":
            inodes.add(f"socket:[{fields[9]}]")
    links = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
    return any(os.path.realpath(link).rpartition("/")[2] in inodes for link in links)


def test_a_worker_that_leaves_while_a_gateway_dies_is_gone_in_the_end(server: Server) -> None:
    first, second = connect_to_each(server)
    held = in_background(lambda: ask(second, "gate", {"text": "leaving", "until": "leaving"}))
    server.wait_for_line("entered.txt", "leaving")
    (old,) = server.workers("gate")
    victim = next(pid for pid in server.gateways() if serves(server, pid, first))
    assert server.admin("POST", "/reload").status == 202
    wait_until(lambda: server.workers("gate", "leaving") == [old], "the old one leaves")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.gateways(), "the gateway is gone")
    server.path("leaving").touch()
    assert held.result(20).json == "LEAVING"
    wait_until(lambda: server.workers("gate", "leaving") == [], "the old one is gone", 5)
    assert not os.path.exists(f"/proc/{old}")


