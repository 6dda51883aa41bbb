"""Retries of what was in dead workers: nobody fails for one death, and no load of retries builds up."""

import random

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.budget import LEAST, PER_S, ROUNDS, SHARE, Budget
from headway.engine.patience import LONGEST_S, STALE_S, Patience

deaths = st.lists(
    st.tuples(st.integers(0, 200), st.floats(0, 9), st.integers(0, 64), st.integers(0, 64)),
    max_size=60,
)
"""By death: good answers and seconds since the one before, what was in the worker, what was in others."""


@given(deaths)
def test_retries_are_a_fifth_of_the_good_answers_and_a_few_rounds_of_what_workers_hold(
    story: list[tuple[int, float, int, int]],
) -> None:
    budget, good, now, retries, most = Budget(0, 0.0), 0, 0.0, 0, LEAST
    for answers, later_s, lost, others in story:
        good, now = good + answers, now + later_s
        most = max(most, lost + others)
        if budget.allows(good, lost + others, now):
            retries += spend(budget, lost)
        assert retries <= SHARE * good + PER_S * now + (ROUNDS + 1) * most + 1e-6


def spend(budget: Budget, retries: int) -> int:
    for _ in range(retries):
        budget.spend()
    return retries


@given(deaths, st.integers(0, 10_000))
def test_a_death_after_what_is_owed_was_paid_back_costs_nobody_an_answer(
    story: list[tuple[int, float, int, int]], held: int
) -> None:
    budget, good, now = Budget(1000, 50.0), 1000, 50.0
    for answers, later_s, lost, others in story:
        good, now = good + answers, now + later_s
        if budget.allows(good, lost + others, now):
            spend(budget, lost)
    good += round(max(0.0, budget.owed - LEAST) / SHARE) + 1
    assert budget.allows(good, held, now)


def test_where_few_ask_time_pays_back() -> None:
    budget, now = Budget(0, 0.0), 0.0
    for _ in range(100):
        assert budget.allows(0, 1, now)
        spend(budget, 1)
        now += 1 / PER_S


def test_where_all_workers_die_at_every_request_hardly_any_is_tried_twice() -> None:
    """Two workers with grabs of four die twice a second."""
    budget, attempts, now = Budget(0, 0.0), 0, 0.0
    for _ in range(1000):
        attempts += 4
        if budget.allows(0, 8, now):
            attempts += spend(budget, 4)
        now += 0.25
    assert attempts / 4000 <= 1.05


def test_a_query_of_death_among_two_hundred_and_fifty_leaves_the_others_their_retry() -> None:
    """Grabs of sixteen in two workers: one in sixteen of them is lost with all that it has."""
    rng, budget, good, refused = random.Random(1), Budget(0, 0.0), 0, 0
    for _ in range(20_000):
        if rng.random() < 16 / 250:
            is_allowed = budget.allows(good, 32, 0.0)
            refused += not is_allowed
            spend(budget, 16 * is_allowed)
        else:
            good += 16
    assert refused <= 2


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
