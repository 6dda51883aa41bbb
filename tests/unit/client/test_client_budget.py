"""The budget of retries: within any ten seconds, a fifth of the requests, or three."""

from hypothesis import given
from hypothesis import strategies as st

from headway.client.budget import LEAST, SHARE, WINDOW_S, Budget

STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "spend"]), st.floats(0, 4, allow_nan=False)), max_size=300
)


@given(STEPS, st.floats(0, 1e6))
def test_retries_of_a_window_are_a_share_of_its_requests_or_the_least(
    steps: list[tuple[str, float]], start: float
) -> None:
    budget, now = Budget(), start
    asked: list[int] = []
    spent: list[int] = []
    for kind, passed in steps:
        now += passed
        second = int(now)
        requests = sum(second - at < WINDOW_S for at in asked)
        retries = sum(second - at < WINDOW_S for at in spent)
        if kind == "ask":
            budget.ask(now)
            asked.append(second)
        else:
            may = budget.spend(now)
            assert may == (retries + 1 <= max(LEAST, SHARE * requests))
            if may:
                spent.append(second)


def test_a_server_that_refuses_everything_is_asked_a_fifth_more() -> None:
    budget = Budget()
    retries = 0
    for i in range(10_000):
        now = i / 1000
        budget.ask(now)
        retries += sum(budget.spend(now) for _ in range(3))
    assert 0.19 * 10_000 < retries <= 0.2 * 10_000 + LEAST


def test_a_clock_that_leaps_far_forgets_all() -> None:
    budget = Budget()
    assert [budget.spend(1.0) for _ in range(4)] == [True, True, True, False]
    assert budget.spend(1e9)
