"""What a queue learns from callers who leave before their turn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.engine.leavers import FEWEST, KEEP_S, STALE_S, UNBOUND, WINDOW_S, Leavers

LEAST = 4


def learnt(*, answered: int = 10, left: int = 40, stay_s: float = 3.0) -> Leavers:
    """One window of a second, from 100 to 101."""
    leavers = Leavers()
    leavers.judge(0, LEAST, 100.0)
    for _ in range(left):
        leavers.left(stay_s)
    leavers.judge(answered, LEAST, 101.0)
    return leavers


def test_no_more_may_wait_than_are_answered_in_half_of_the_time_that_the_leavers_stayed() -> None:
    leavers = learnt(answered=100, left=400, stay_s=3.0)
    assert leavers.most == 150
    assert leavers.patience_s == 3.0


@pytest.mark.parametrize(
    ("answered", "left", "stay_s"),
    [
        (100, 100, 3.0),  # no more left than were answered
        (2, FEWEST - 1, 3.0),  # a few
        (10, 400, 0.9),  # sooner than a queue that is too long would make them
        (0, 400, 3.0),  # nothing is answered: it is the model that stands still, not the queue
    ],
)
def test_nothing_is_learnt_where_the_queue_is_not_at_fault(
    answered: int, left: int, stay_s: float
) -> None:
    assert learnt(answered=answered, left=left, stay_s=stay_s).most == UNBOUND


def test_as_many_may_always_wait_as_the_slots_take_at_once() -> None:
    assert learnt(answered=1, left=400, stay_s=1.0).most == LEAST


def test_only_a_new_bound_is_news() -> None:
    leavers = Leavers()
    assert not leavers.judge(0, LEAST, 100.0)
    for window in range(3):
        for _ in range(40):
            leavers.left(2.0)
        is_new = leavers.judge(10 * (window + 1), LEAST, 101.0 + window)
        assert is_new is (window == 0)


def test_the_bound_follows_the_pace_and_is_forgotten_when_nobody_has_left_for_a_while() -> None:
    leavers = learnt(answered=100, left=400, stay_s=3.0)
    leavers.judge(300, LEAST, 102.0)
    assert leavers.most == 300
    leavers.judge(400, LEAST, 101.0 + KEEP_S)
    assert leavers.most == UNBOUND


def test_a_window_is_not_judged_before_its_time_and_is_at_it() -> None:
    leavers = Leavers()
    leavers.judge(0, LEAST, 100.0)
    for _ in range(FEWEST):
        leavers.left(4.0)
    assert not leavers.judge(1, LEAST, 100.0 + WINDOW_S - 0.01)
    assert leavers.most == UNBOUND
    assert leavers.judge(5, LEAST, 100.0 + WINDOW_S), f"{FEWEST} who left are enough"
    assert leavers.most == 20, "5 in half a second, four seconds of patience"


def test_what_stands_still_for_long_is_no_queue_that_is_too_long() -> None:
    leavers = Leavers()
    leavers.judge(0, LEAST, 100.0)
    for _ in range(40):
        leavers.left(3.0)
    assert not leavers.judge(0, LEAST, 100.0 + STALE_S), "nothing was answered: count anew"
    leavers.judge(1, LEAST, 101.0 + STALE_S)
    assert leavers.most == UNBOUND, "those who had left were forgotten"


def test_a_window_in_which_nothing_was_answered_goes_on() -> None:
    leavers = Leavers()
    leavers.judge(0, LEAST, 100.0)
    for _ in range(40):
        leavers.left(3.0)
    leavers.judge(0, LEAST, 101.0)
    leavers.judge(20, LEAST, 102.0)
    assert leavers.most == 15, "20 in two seconds, three seconds of patience"


def test_what_happened_long_ago_teaches_nothing() -> None:
    leavers = Leavers()
    leavers.judge(0, LEAST, 100.0)
    for _ in range(40):
        leavers.left(3.0)
    leavers.judge(20, LEAST, 100.0 + STALE_S)
    assert leavers.most == UNBOUND


events = st.lists(
    st.tuples(st.floats(0, 20), st.integers(0, 50), st.integers(0, 50), st.floats(0, 60)),
    max_size=40,
)


@given(events)
def test_a_bound_is_never_below_what_the_slots_take_and_never_lasts_without_leavers(
    seen: list[tuple[float, int, int, float]],
) -> None:
    leavers, now, answered, last_left = Leavers(), 0.0, 0, -math.inf
    for after_s, done, left, stay_s in seen:
        now += after_s
        answered += done
        for _ in range(left):
            leavers.left(stay_s)
            last_left = now
        leavers.judge(answered, LEAST, now)
        assert leavers.most >= LEAST
    now = max(now, last_left + KEEP_S) + STALE_S + WINDOW_S
    leavers.judge(answered + 1, LEAST, now)
    assert leavers.most == UNBOUND
