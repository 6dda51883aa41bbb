"""The table of promises says what is tested: each row that names a file of faults has a test by its number."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explain" / "reliability.md").read_text(encoding="utf-8")
ROWS = {
    number: [cell.strip() for cell in cells.split("|")]
    for number, cells in re.findall(r"^\| (P[0-9]+) \| (.*) \|$", PAGE, re.M)
}
ELSEWHERE = {"P32"}


def numbers_in_use(fixture: str = "") -> set[str]:
    """Numbers that the names of fault tests begin with; of those that use a fixture, if one is named."""
    found = set()
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (m := re.match(r"test_(P[0-9]+)_", node.name)):
                uses = {argument.arg for argument in node.args.args}
                if not fixture or fixture in uses:
                    found.add(m[1])
    return found


def test_every_promise_has_a_test() -> None:
    assert ROWS.keys() - numbers_in_use() == ELSEWHERE


def test_every_test_by_a_number_is_in_the_table() -> None:
    assert numbers_in_use() <= ROWS.keys()


def test_every_promise_that_is_tested_is_measured_too() -> None:
    assert numbers_in_use("figures") == numbers_in_use()


def test_every_row_has_all_columns() -> None:
    head = next(line for line in PAGE.splitlines() if line.startswith("| | promised |"))
    assert {number: len(cells) for number, cells in ROWS.items()} == dict.fromkeys(
        ROWS, head.count("|") - 2
    )


def test_the_number_of_mutants_is_true() -> None:
    text = (ROOT / "tests" / "harness" / "mutants.py").read_text(encoding="utf-8")
    (told,) = re.findall(r"([0-9]+) deliberate faults", PAGE)
    assert text.count("    Mutant(\n") == int(told)
