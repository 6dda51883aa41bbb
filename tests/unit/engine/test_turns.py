"""Turns to load: so many at a time, first come, first served, and a slow load gives its turn on."""

from headway.engine.turns import TURN_S, Turns


def taken(turns: Turns, now: float) -> list[int]:
    """The workers who may load now."""
    found = []
    while who := turns.take(now):
        found.append(who[1])
    return found


def waiting(most: int, count: int) -> Turns:
    turns = Turns(most)
    for worker in range(count):
        turns.ask(("m", worker))
    return turns


def test_so_many_load_at_a_time_and_the_others_follow_as_they_end() -> None:
    turns = waiting(2, 5)
    assert taken(turns, 0.0) == [0, 1]
    assert taken(turns, 0.1) == []
    turns.end(("m", 1))
    assert taken(turns, 0.2) == [2]
    turns.end(("m", 0))
    turns.end(("m", 2))
    assert taken(turns, 0.3) == [3, 4]


def test_a_slow_load_keeps_nobody_waiting_for_longer_than_its_turn() -> None:
    turns = waiting(2, 5)
    assert taken(turns, 0.0) == [0, 1]
    assert taken(turns, TURN_S - 0.01) == []
    assert taken(turns, TURN_S) == [2, 3]
    turns.end(("m", 0))  # its turn was over long ago, and it frees none
    assert taken(turns, TURN_S + 1) == []
    assert taken(turns, 2 * TURN_S) == [4]


def test_who_has_no_turn_may_end_and_models_are_told_apart() -> None:
    turns = Turns(1)
    turns.end(("m", 7))
    turns.ask(("a", 1))
    turns.ask(("b", 1))
    assert turns.take(0.0) == ("a", 1)
    turns.end(("b", 1))
    assert turns.take(0.0) is None
    turns.end(("a", 1))
    assert turns.take(0.0) == ("b", 1)
