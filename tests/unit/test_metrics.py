"""The counters: their layout, what survives a kill, what Prometheus reads."""

import dataclasses
import os
import signal
import subprocess
import sys
import timeit
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from headway import errors
from headway.observe.exposition import exposition
from headway.observe.metrics import OUTCOMES, Board, outcome_of, stats
from headway.protocols import Stats


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board.create(gateways=2, models=2, spare=1)
    yield made
    os.close(made.fd)


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    samples = [s for f in families(text).values() for s in f.samples]
    (found,) = [s.value for s in samples if s.name == name and s.labels == labels]
    return found


def buckets(text: str, name: str, model: str) -> dict[str, float]:
    samples = families(text)[name].samples
    return {
        s.labels["le"]: s.value
        for s in samples
        if s.name == f"{name}_bucket" and s.labels["model"] == model
    }


CHILD = """
import sys
from headway.observe.metrics import Board
board = Board.attach(int(sys.argv[1]), 2, 2, 1)
tally = board.tally(0, 1)
for _ in range(1000):
    tally.answered(0, 0.002, 0.001)
tally.queue_depth = 7
board.connections(0).opened()
print("counted", flush=True)
sys.stdin.read()
"""


def test_counts_survive_a_killed_gateway_and_its_gauges_are_cleared(board: Board) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(board.fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[board.fd],
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"counted\n"
        child.send_signal(signal.SIGKILL)
    assert board.totals(1).outcomes()["ok"] == 1000
    assert board.totals(1)["queue_depth"] == 7

    assert board.clear_gauges(0) == 1, "a connection was open"
    successor = Board.attach(board.fd, 2, 2, 1)
    successor.tally(0, 1).answered(0, 0.002, 0.001)

    assert board.totals(1).outcomes()["ok"] == 1001
    assert board.totals(1)["queue_depth"] == 0
    assert board.gateway_totals() == {
        "open": 0,
        "accepted": 1,
        "refused": 0,
        "restarts": 0,
        "lost": 0,
    }


def test_counts_of_all_gateways_and_of_the_supervisor_are_summed(board: Board) -> None:
    board.tally(0, 0).answered(0, 0.01, 0.0)
    board.tally(1, 0).answered(0, 0.01, 0.0)
    board.tally(board.supervisor, 0).restarted("memory")
    board.tally(0, 0).in_flight = 3
    board.tally(1, 0).in_flight = 4
    text = exposition(board, ["a", "b"])
    assert value(text, "headway_requests_total", model="a", outcome="ok") == 2
    assert value(text, "headway_in_flight", model="a") == 7
    assert value(text, "headway_worker_restarts_total", model="a", reason="memory") == 1
    assert value(text, "headway_worker_restarts_total", model="a", reason="exit") == 0
    assert value(text, "headway_worker_restarts_total", model="b", reason="memory") == 0


def test_no_cell_of_one_place_is_written_through_another(board: Board) -> None:
    for gateway in range(3):
        for model in range(board.places + 1):
            tally = board.tally(gateway, model)
            for i in range(len(tally.cells)):
                tally.cells[i] += 1.0
        connections = board.connections(gateway)
        connections.opened()
        connections.closed()
        connections.refused()
        connections.restarted()
        connections.lost(2)
    for gateway in range(3):
        for model in range(board.places + 1):
            assert set(board.tally(gateway, model).cells.tolist()) == {1.0}
    told = {"open": 0, "accepted": 3, "refused": 3, "restarts": 3, "lost": 6}
    assert board.gateway_totals() == told


@pytest.mark.parametrize(
    ("latency_s", "bound"),
    [(0.0, "0.0001"), (0.0001, "0.0001"), (0.00011, "0.00025"), (60.0, "60.0"), (61.0, "+Inf")],
)
def test_time_is_counted_under_the_first_bound_that_holds_it(
    board: Board, latency_s: float, bound: str
) -> None:
    board.tally(0, 0).answered(0, latency_s, latency_s)
    text = exposition(board, ["a"])
    for name in ("headway_request_seconds", "headway_queue_seconds"):
        counts = buckets(text, name, "a")
        assert next(b for b, count in counts.items() if count) == bound
        assert counts["+Inf"] == 1
        assert value(text, f"{name}_sum", model="a") == latency_s
        assert value(text, f"{name}_count", model="a") == 1


def test_request_that_never_got_a_slot_is_not_a_wait_of_no_time(board: Board) -> None:
    board.tally(0, 0).answered(OUTCOMES.index("busy"), 0.0001)
    text = exposition(board, ["a"])
    assert value(text, "headway_queue_seconds_count", model="a") == 0
    assert value(text, "headway_request_seconds_count", model="a") == 1


def test_grab_and_batch_have_their_own_sizes(board: Board) -> None:
    tally = board.tally(1, 1)
    tally.grabbed(3)
    tally.executed(300)
    tally.executed(1)
    tally.spent(0.2, 0.4, 0.6)
    text = exposition(board, ["a", "b"])
    assert buckets(text, "headway_grab_requests", "b")["2.0"] == 0
    assert buckets(text, "headway_grab_requests", "b")["4.0"] == 1
    assert buckets(text, "headway_batch_rows", "b")["256.0"] == 1
    assert value(text, "headway_rows_total", model="b") == 301
    assert value(text, "headway_executions_total", model="b") == 2
    assert value(text, "headway_compute_seconds_total", model="b") == pytest.approx(0.4)


def test_every_family_has_help_a_type_and_comes_once(board: Board) -> None:
    text = exposition(board, ["a", "b"], ready={"a": True}, version="1.2", started_s=1.5)
    typed = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(typed) == len(set(typed))
    assert all(family.documentation for family in families(text).values())
    assert "unknown" not in {family.type for family in families(text).values()}
    assert value(text, "headway_model_ready", model="a") == 1
    assert value(text, "headway_start_time_seconds") == 1.5


def test_name_with_quotes_and_line_feeds_is_one_label(board: Board) -> None:
    name = 'a"b\\c\nd} 1\n'
    board.tally(0, 0).answered(0, 0.01, 0.0)
    assert value(exposition(board, [name]), "headway_requests_total", model=name, outcome="ok") == 1


def test_request_of_no_model_is_counted_apart(board: Board) -> None:
    board.tally(0, board.unrouted).answered(outcome_of(errors.UnknownModel()), 0.001)
    text = exposition(board, ["a"])
    assert value(text, "headway_requests_total", model="", outcome="caller") == 1
    assert value(text, "headway_requests_total", model="a", outcome="caller") == 0


def test_stats_have_the_fields_that_protocols_write(board: Board) -> None:
    tally = board.tally(0, 0)
    tally.answered(0, 0.25, 0.125)
    tally.answered(OUTCOMES.index("model"), 0.5, 0.125)
    tally.executed(4)
    tally.spent(0.01, 0.02, 0.03)
    for count in (tally.hit, tally.hit, tally.shared, tally.missed):
        count()
    found = stats(board, 0)
    assert set(found) == {f.name for f in dataclasses.fields(Stats)}
    last_ms = found.pop("last_inference_ms")
    assert last_ms > 1e12
    assert found == {
        "inferences": 4,
        "executions": 1,
        "successes": 1,
        "failures": 1,
        "success_s": 0.25,
        "fail_s": 0.5,
        "queue_s": 0.25,
        "decode_s": 0.01,
        "compute_s": 0.02,
        "encode_s": 0.03,
        "cache_hits": 3,
        "cache_misses": 1,
    }


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (errors.BadInput(), "caller"),
        (errors.TooLarge(), "caller"),
        (errors.Cancelled(), "cancelled"),
        (errors.QueueFull(), "busy"),
        (errors.NotReady(), "busy"),
        (errors.DeadlineError(), "deadline"),
        (errors.BadOutput(), "model"),
        (errors.ModelCrashed(), "worker"),
        (errors.WorkerLost(), "worker"),
        (errors.InternalError(), "internal"),
        (KeyError("x"), "internal"),
    ],
)
def test_outcome_follows_from_the_branch_of_the_error(
    error: BaseException | None, outcome: str
) -> None:
    assert OUTCOMES[outcome_of(error)] == outcome


def test_board_of_another_shape_is_refused(board: Board) -> None:
    with pytest.raises(errors.InternalError, match="expected"):
        Board.attach(board.fd, 2, 3, 1)


@pytest.mark.parametrize("place", [(-1, 0), (3, 0), (0, -1), (0, 4)])
def test_place_that_is_not_on_the_board_is_refused(board: Board, place: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="no place"):
        board.tally(*place)


def test_counting_a_request_costs_microseconds_at_most(board: Board) -> None:
    tally = board.tally(0, 0)
    repeats = 20_000
    best_s = min(timeit.repeat(lambda: tally.answered(0, 0.003, 0.001), number=repeats, repeat=5))
    # Twenty times what it takes on an idle machine: a lock or a system call fails, a busy one not.
    assert best_s / repeats < 10e-6
