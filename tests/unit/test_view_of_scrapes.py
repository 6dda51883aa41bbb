"""`headway top` reads our own exposition, strictly, and tells what happened between two of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.observe.exposition import exposition
from headway.observe.metrics import OUTCOMES, SECONDS, Board
from headway.observe.scrape import Scrape
from headway.observe.view import ModelView, quantile, view

OK, BUSY = OUTCOMES.index("ok"), OUTCOMES.index("busy")


def scrape(board: Board, *names: str, started_s: float = 1000.0) -> Scrape:
    text = exposition(
        board, names, ready=dict.fromkeys(names, True), version="9", started_s=started_s
    )
    return Scrape(text)


def only(before: Scrape | None, after: Scrape, seconds: float = 1.0) -> ModelView:
    (model,) = view(before, after, seconds).models
    return model


def test_what_is_written_is_read() -> None:
    board = Board.create(2, 2)
    board.tally(0, 0).answered(OK, 0.003, 0.001)
    board.tally(1, 0).answered(OK, 0.003, 0.001)
    odd = 'a"b\\c\nd,e="f"}'
    found = scrape(board, "m", odd)
    assert found.get("requests_total", model="m", outcome="ok") == 2
    assert found.get("requests_total", model=odd, outcome="ok") == 0
    assert found.values("model_ready", "model") == ["m", odd]
    assert found.get("request_seconds_sum", model="m") == pytest.approx(0.006)
    assert found.get("nothing") is None


@given(st.text(max_size=20))
def test_any_name_of_a_model_comes_through(name: str) -> None:
    found = scrape(Board.create(1, 1), name)
    assert found.values("model_ready", "model") == [name]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>no</html>",
        "python_info 1",
        "headway_info",
        'headway_info{version="1" 1',
        "headway_info{version=1} 1",
        "headway_info one",
        "headway_requests_total 1",
        'headway_info{a="b"c="d"} 1',
    ],
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Headway|headway_info"):
        Scrape(text)


def test_rates_are_of_the_time_between() -> None:
    board = Board.create(1, 1)
    tally = board.tally(0, 0)
    tally.answered(OK, 0.003, 0.001)
    before = scrape(board, "m")
    for _ in range(30):
        tally.answered(OK, 0.003, 0.001)
    for _ in range(6):
        tally.answered(BUSY, 0.0)
    for rows in (4, 8):
        tally.executed(rows)
    tally.grabbed(3)
    tally.queue_depth, tally.in_flight = 5, 2
    model = only(before, scrape(board, "m"), 3.0)
    assert (model.outcomes["ok"], model.outcomes["busy"], model.outcomes["model"]) == (10, 2, 0)
    assert (model.rows, model.batch, model.grab) == (4, 6, 3)
    assert (model.queue, model.in_flight, model.is_ready) == (5, 2, True)
    assert model.cached is None


def test_quantiles_are_of_the_time_between_and_not_of_all_time() -> None:
    board = Board.create(1, 1)
    tally = board.tally(0, 0)
    for _ in range(1000):
        tally.answered(OK, 20.0, 0.0)
    before = scrape(board, "m")
    for _ in range(100):
        tally.answered(OK, 0.007, 0.0)
    model = only(before, scrape(board, "m"))
    assert model.p50_s == pytest.approx(0.0075)
    assert model.p99_s is not None
    assert 0.0099 < model.p99_s <= 0.01


def test_with_one_scrape_no_rate_is_known() -> None:
    board = Board.create(1, 1)
    board.tally(0, 0).answered(OK, 0.003, 0.001)
    model = only(None, scrape(board, "m"))
    assert model.outcomes == {}
    assert (model.p50_s, model.rows, model.grab) == (None, None, None)


def test_where_nothing_happened_there_is_no_latency() -> None:
    board = Board.create(1, 1)
    model = only(scrape(board, "m"), scrape(board, "m"))
    assert (model.p50_s, model.grab, model.outcomes["ok"]) == (None, None, 0)


def test_counters_of_a_server_that_was_started_again_begin_at_nought() -> None:
    first, second = Board.create(1, 1), Board.create(1, 1)
    for _ in range(3):
        first.tally(0, 0).answered(OK, 1.5, 0.0)
    for _ in range(7):  # more than before: only the start's time tells
        second.tally(0, 0).answered(OK, 0.0007, 0.0)
    model = only(scrape(first, "m"), scrape(second, "m", started_s=2000.0))
    assert model.outcomes["ok"] == 7
    assert model.p99_s is not None
    assert model.p99_s <= 0.001


def test_a_counter_that_is_less_than_before_has_begun_anew() -> None:
    first, second = Board.create(1, 1), Board.create(1, 1)
    for _ in range(9):
        first.tally(0, 0).answered(OK, 1.5, 0.0)
    for _ in range(4):
        second.tally(0, 0).answered(OK, 0.0007, 0.0)
    model = only(scrape(first, "m"), scrape(second, "m"))
    assert model.outcomes["ok"] == 4
    assert model.p99_s is not None
    assert model.p99_s <= 0.001


def test_what_took_longer_than_every_bound_is_beyond() -> None:
    board = Board.create(1, 1)
    before = scrape(board, "m")
    board.tally(0, 0).answered(OK, 100.0, 0.0)
    assert only(before, scrape(board, "m")).p99_s == math.inf


@given(st.lists(st.floats(0, 59), min_size=1), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_in_the_bucket_of_the_value_of_its_rank(
    values: list[float], share: float
) -> None:
    buckets = [(bound, float(sum(v <= bound for v in values))) for bound in (*SECONDS, math.inf)]
    found = quantile(buckets, share)
    rank = max(1, math.ceil(share * len(values)))
    true = sorted(values)[rank - 1]
    bounds = (0.0, *SECONDS)
    low = max((b for b in bounds if b < true), default=0.0)
    high = min(b for b in bounds if b >= true)
    assert found is not None
    assert low <= found <= (high or SECONDS[0]) * (1 + 1e-12)


def test_what_reached_no_model_is_the_servers_and_no_model() -> None:
    board = Board.create(1, 1)
    before = scrape(board, "m")
    board.tally(0, board.unrouted).answered(OUTCOMES.index("caller"), 0.0)
    seen = view(before, scrape(board, "m"), 0.5)
    assert seen.unrouted == 2
    assert [m.name for m in seen.models] == ["m"]


def test_the_share_of_kept_answers_is_of_those_that_were_looked_up() -> None:
    text = 'headway_info{version="1"} 1\nheadway_requests_total{model="m",outcome="ok"} 0\n'
    counts = (
        text + 'headway_cache_hits_total{model="m"} %d\nheadway_cache_misses_total{model="m"} %d'
    )
    model = only(Scrape(counts % (10, 10)), Scrape(counts % (13, 11)))
    assert model.cached == 0.75
