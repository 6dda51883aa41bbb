"""Deadlines: nobody early, nobody forgotten, nothing kept."""

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.deadlines import TICK_S, Deadlines
from headway.engine.life import Flight

times = st.floats(0, 100)


def flight(id: int, deadline: float) -> Flight:
    return Flight(id, b"", 0, 0.0, deadline, deadline)


@given(st.lists(times), times)
def test_who_is_due_is_past_his_deadline_and_within_a_tick_nobody_is_missed(
    deadlines: list[float], now: float
) -> None:
    watch = Deadlines()
    flights = [flight(i, d) for i, d in enumerate(deadlines)]
    for f in flights:
        watch.add(f)

    due = {f.id for f in watch.due(now)}

    assert all(f.deadline <= now for f in flights if f.id in due)
    assert all(f.deadline > now - TICK_S * 1.001 for f in flights if f.id not in due)


@given(st.lists(times, min_size=1))
def test_next_is_when_somebody_is_due(deadlines: list[float]) -> None:
    watch = Deadlines()
    for i, d in enumerate(deadlines):
        watch.add(flight(i, d))
    at = watch.next()
    assert at is not None

    assert watch.due(at)
    assert at <= min(deadlines) + TICK_S


def test_the_discarded_are_forgotten() -> None:
    watch = Deadlines()
    kept, left = flight(1, 5.0), flight(2, 5.0)
    watch.add(kept)
    watch.add(left)

    watch.discard(left)
    watch.discard(left)

    assert watch.due(10.0) == [kept]
    assert watch.next() is None
