"""How many lines of slow requests are written, and how many are told to have been left out."""

from headway.observe.slow import LINES_A_SECOND, SlowLines


def test_a_second_has_room_for_so_many_lines_and_the_next_one_again() -> None:
    lines = SlowLines()
    first = [lines.admits(5.0 + i / 100) for i in range(15)]
    assert first == [True] * LINES_A_SECOND + [False] * 5
    assert lines.admits(6.0)


def test_those_left_out_are_told_once() -> None:
    lines = SlowLines()
    for _ in range(LINES_A_SECOND + 3):
        lines.admits(1.0)
    assert lines.take_left_out() == 3
    assert lines.take_left_out() == 0
