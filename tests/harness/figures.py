"""What fault tests have measured: written down by each, and put into the table of promises.

    FAULTS_FIGURES=figures.jsonl scripts/faults       one line of JSON a figure
    scripts/figures figures.jsonl                     the column "measured" of docs/explain/reliability.md

Figures of one name and promise are shown together: counts as their sum, others as the least and the greatest.
A promise of which the file says nothing keeps its cell.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.case import Case
from harness.truth import End, Mood

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "reliability.md"
START, STOP = "<!-- promises -->", "<!-- /promises -->"
COLUMN = "measured"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one test."""

    promise: str
    test: str
    place: int
    """Which of the test's figures it is."""
    name: str
    value: float
    unit: str = ""
    """"s", "ms", "%", "bytes"; "" is a count."""


@dataclass(slots=True)
class Figures:
    """Takes one test's figures down.

    Args:
        test: the test's id; the promise's number follows from its name.
        path: file that each figure is added to as one line; None keeps them nowhere else.
    """

    test: str
    path: Path | None = None
    taken: list[Figure] = field(default_factory=list)

    def __call__(self, name: str, value: float, unit: str = "") -> None:
        """Take one down."""
        found = re.search(r"test_(P[0-9]+)_", self.test)
        assert found, f"{self.test} is no test of a promise: its name begins with no number"
        figure = Figure(found[1], self.test, len(self.taken), name, value, unit)
        self.taken.append(figure)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(figure)) + "\n")

    def of(self, case: Case) -> None:
        """Take down what a case says of itself: faults, requests, how many failed, the longest."""
        if case.nemesis.struck:
            self("faults", len(case.nemesis.struck))
        counts = case.ledger.counts
        self("requests", counts.total())
        self(
            "failed",
            sum(
                n for (mood, end, _), n in counts.items() if mood is Mood.GOOD and end is End.FAILED
            ),
        )
        self("longest", case.ledger.longest_s, "s")


def read(lines: Iterable[str]) -> list[Figure]:
    """Read a file's lines, in an order that is the same for every run; of a test run twice, the last run counts."""
    found = [Figure(**json.loads(line)) for line in lines]
    kept = {(figure.test, figure.place): figure for figure in found}
    return [kept[key] for key in sorted(kept)]


def cells(figures: Sequence[Figure]) -> dict[str, str]:
    """The text of each promise's cell."""
    by_name: dict[str, dict[tuple[str, str], list[float]]] = {}
    for figure in figures:
        names = by_name.setdefault(figure.promise, {})
        names.setdefault((figure.name, figure.unit), []).append(figure.value)
    return {
        promise: "; ".join(_told(name, unit, values) for (name, unit), values in names.items())
        for promise, names in by_name.items()
    }


def _told(name: str, unit: str, values: Sequence[float]) -> str:
    if not unit:
        return f"{sum(values):,.0f} {name}"
    least, greatest = f"{min(values):,.3g}", f"{max(values):,.3g}"
    return f"{name} {least if least == greatest else f'{least} to {greatest}'} {unit}"


def filled(page: str, found: dict[str, str]) -> str:
    """The page with the cells in its table.

    Raises:
        ValueError: the page has no such table, or no row of a promise.
    """
    before, start, rest = page.partition(START)
    table, stop, after = rest.partition(STOP)
    if not stop:
        raise ValueError(f"there is no table between {START} and {STOP}")
    lines = table.splitlines()
    head = next(line for line in lines if line.startswith("|"))
    place = [cell.strip() for cell in head.split("|")].index(COLUMN)
    missing = set(found)
    for at, line in enumerate(lines):
        row = line.split("|")
        promise = row[1].strip() if len(row) > place else ""
        if promise in found:
            row[place] = f" {found[promise]} "
            lines[at] = "|".join(row)
            missing.discard(promise)
    if missing:
        raise ValueError(f"the table has no row for {', '.join(sorted(missing))}")
    return "".join((before, start, "\n".join(lines), "\n", stop, after))


def main(arguments: Sequence[str]) -> int:
    """Put a file's figures into the page."""
    (path,) = arguments
    figures = read(Path(path).read_text(encoding="utf-8").splitlines())
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), cells(figures)), encoding="utf-8")
    print(f"{len(figures)} figures of {len({f.promise for f in figures})} promises in {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
