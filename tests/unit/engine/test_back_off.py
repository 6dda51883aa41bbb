"""A row of deaths makes each wait twice as long, up to a limit; a life ends the row."""

from headway.engine.back_off import FIRST_S, LONGEST_S, MAX_DEATHS, BackOff


def waits(back_off: BackOff, deaths: int) -> list[float]:
    found = []
    for _ in range(deaths):
        back_off.died(100.0)
        found.append(max(0.0, round(back_off.start_at - 100.0, 6)))
    return found


def test_the_first_death_costs_nothing_and_then_each_wait_doubles() -> None:
    assert waits(BackOff(), 5) == [0.0, FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]


def test_a_wait_has_a_limit_however_long_the_row() -> None:
    assert waits(BackOff(), 5000)[-1] == LONGEST_S
    assert waits(BackOff(longest_s=0.3), 9)[-1] == 0.3


def test_a_life_ends_the_row() -> None:
    back_off = BackOff()
    waits(back_off, MAX_DEATHS)
    assert back_off.is_hopeless
    back_off.lived()
    assert not back_off.is_hopeless
    back_off.died(200.0)
    assert back_off.start_at <= 200.0


def test_what_takes_its_place_begins_a_row_of_its_own() -> None:
    back_off = BackOff()
    waits(back_off, MAX_DEATHS)
    back_off.reset(200.0)
    assert back_off.start_at == 200.0
    assert not back_off.is_hopeless
    assert waits(back_off, 2) == [100.0, FIRST_S]
