"""Figures of fault tests: written down, read in one order, and put into the table."""

from pathlib import Path

import pytest
from harness.figures import PAGE, START, STOP, Figures, cells, filled, read

TABLE = f"""before
{START}
| | promised | measured | peers |
|---|---|---|---|
| P1 | kills | old | x |
| P2 | starts |  | y |
{STOP}
after P1 | P2
"""


def test_figures_of_several_tests_are_summed_or_shown_as_a_range(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    for test, kills, longest_s in (("test_P1_b", 12, 0.5), ("test_P1_a", 1000, 0.25)):
        figures = Figures(f"tests/faults/test_x.py::{test}", path)
        figures("kills", kills)
        figures("longest", longest_s, "s")
    Figures("test_P2_c[1]", path)("share", 97.123, "%")
    found = cells(read(path.read_text().splitlines()))
    assert found == {"P1": "1,012 kills; longest 0.25 to 0.5 s", "P2": "share 97.1 %"}


def test_a_test_that_ran_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    for kills in (3, 4):
        Figures("test_P1_a", path)("kills", kills)
    assert cells(read(path.read_text().splitlines())) == {"P1": "4 kills"}


def test_a_figure_belongs_to_a_promise() -> None:
    with pytest.raises(AssertionError, match="no number"):
        Figures("test_something")("kills", 1)


def test_cells_are_filled_and_nothing_else_is_touched() -> None:
    page = filled(TABLE, {"P1": "12 kills"})
    assert page == TABLE.replace("| old |", "| 12 kills |")
    assert filled(page, {}) == page


def test_a_promise_without_a_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="no row for P3"):
        filled(TABLE, {"P3": "1 kill"})
    with pytest.raises(ValueError, match="no table"):
        filled("a page", {})


def test_the_page_has_a_cell_for_every_promise_that_it_names() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "| 7 kills |" in filled(page, {"P1": "7 kills"})
