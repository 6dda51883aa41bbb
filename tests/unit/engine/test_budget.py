"""Retries of what was in dead workers: nobody fails for one death, and no load of retries builds up."""

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.budget import LEAST, SHARE, Budget
from headway.engine.patience import LONGEST_S, STALE_S, Patience

deaths = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 64), st.integers(0, 64)), max_size=60
)
"""By death: good answers since the one before, what was in the worker, what was in others."""


@given(deaths)
def test_retries_are_a_fifth_of_the_good_answers_and_two_rounds_of_what_workers_hold(
    story: list[tuple[int, int, int]],
) -> None:
    budget, good, retries, most = Budget(0), 0, 0, LEAST
    for answers, lost, others in story:
        good += answers
        most = max(most, lost + others)
        if budget.allows(good, lost + others):
            for _ in range(lost):
                budget.spend()
            retries += lost
        assert retries <= SHARE * good + 2 * most


@given(deaths, st.integers(1, 10_000))
def test_a_death_after_what_is_owed_was_paid_back_costs_nobody_an_answer(
    story: list[tuple[int, int, int]], held: int
) -> None:
    budget, good = Budget(1000), 1000
    for answers, lost, others in story:
        good += answers
        if budget.allows(good, lost + others):
            for _ in range(lost):
                budget.spend()
    good += round(budget.owed / SHARE) + 1
    assert budget.allows(good, held)


def test_where_all_workers_die_at_every_request_hardly_any_is_tried_twice() -> None:
    budget, attempts = Budget(0), 0
    for _ in range(1000):
        attempts += 4
        if budget.allows(0, 8):
            for _ in range(4):
                budget.spend()
            attempts += 4
    assert attempts / 4000 <= 1.2


# How long those are asked to wait who are refused


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 500), st.integers(0, 5000)), max_size=30),
    st.floats(0, 1, exclude_max=True),
)
def test_a_refused_caller_is_told_whole_seconds_within_bounds(
    story: list[tuple[float, int, int]], luck: float
) -> None:
    patience, now, ended = Patience(), 1e6, 0
    for later_s, answers, queued in story:
        now, ended = now + later_s, ended + answers
        told = patience.seconds(queued, ended, now, luck)
        assert type(told) is int
        assert 1 <= told <= 2 * LONGEST_S + 1


def test_it_is_about_what_the_queue_takes_to_drain_and_not_the_same_for_all() -> None:
    patience = Patience()
    assert {patience.seconds(900, 0, 100.0, luck) for luck in (0.0, 0.34, 0.99)} == {1, 2, 3}
    patience.seconds(900, 100, 101.0, 0.0)
    told = [patience.seconds(900, 200, 102.0 + n / 1000, n / 100) for n in range(100)]
    assert min(told) == 9, "900 wait, 100 end in a second"
    assert max(told) == 19
    assert len(set(told)) == 11
    assert patience.seconds(900, 201, 103.0 + STALE_S, 0.0) == 1, "that was long ago"
