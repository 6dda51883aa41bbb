"""What was measured: records, their medians, the table and the file. Decides nothing."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.scenarios import Scenario

REASON_CHARS = 600
"""Of why a run is void; the file has all of it."""

QUIET_CORES = 0.15
"""What an idle machine and its kernel use; more than that disturbs what is measured."""

LABELS = {
    "rate": "per s",
    "per_cpu_s": "per CPU-s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "late_p99_ms": "sent late p99 ms",
    "cores": "cores",
    "other_cores": "others' cores",
    "pss_mb": "PSS MB",
    "start_s": "start s",
    "import_ms": "import ms",
    "has_numpy": "imports numpy",
    "installed_mb": "MB installed",
}


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over the repeats, with its least and greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """None of nothing."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1]) if found else None

    def text(self) -> str:
        """The median, and the range where there is one."""
        if self.least == self.greatest:
            return number(self.median)
        return f"{number(self.median)} ({number(self.least)}–{number(self.greatest)})"  # noqa: RUF001


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(slots=True)
class Results:
    """All records of a run; a record is one server in one round of one scenario."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, scenario: str, who: str, turn: int, found: Mapping[str, Any]) -> None:
        """Keep one record: metrics, or `void` with the reason."""
        self.records.append({"scenario": scenario, "who": who, "round": turn, **found})

    def of(self, scenario: str, who: str, metric: str) -> dict[int, float]:
        """A metric by round, void rounds left out."""
        return {
            record["round"]: record[metric]
            for record in self.records
            if (record["scenario"], record["who"]) == (scenario, who) and metric in record
        }

    def spread(self, scenario: str, who: str, metric: str) -> Spread | None:
        """A metric over the rounds."""
        return Spread.of(self.of(scenario, who, metric).values())

    def who(self, scenario: str) -> list[str]:
        """Who took part, in order."""
        return list(dict.fromkeys(r["who"] for r in self.records if r["scenario"] == scenario))

    def voids(self, scenario: str, who: str) -> list[str]:
        """Why rounds were void."""
        return [
            record["void"]
            for record in self.records
            if (record["scenario"], record["who"]) == (scenario, who) and "void" in record
        ]

    def summary(self, scenarios: Sequence[Scenario]) -> dict[str, Any]:
        """Medians and ranges by scenario, server and metric."""
        found: dict[str, Any] = {}
        for scenario in scenarios:
            rows = found.setdefault(scenario.name, {})
            for who in self.who(scenario.name):
                spreads = {m: self.spread(scenario.name, who, m) for m in scenario.columns}
                rows[who] = {
                    metric: {"median": s.median, "min": s.least, "max": s.greatest}
                    for metric, s in spreads.items()
                    if s
                }
        return found


def show(console: Console, results: Results, scenario: Scenario) -> None:
    """Print the table of one scenario."""
    who = results.who(scenario.name)
    if not who:
        return
    console.print(f"\n{scenario.title}", style="bold")
    table = Table()
    table.add_column("server")
    shown = [m for m in scenario.columns if any(results.of(scenario.name, w, m) for w in who)]
    for metric in shown:
        table.add_column(LABELS[metric], justify="right")
    for name in who:
        cells = (results.spread(scenario.name, name, metric) for metric in shown)
        table.add_row(
            name, *(spread.text().replace(" (", "\n(") if spread else "" for spread in cells)
        )
    console.print(table)
    for name in who:
        for reason in dict.fromkeys(results.voids(scenario.name, name)):
            console.print(f"  void: {name}: {reason[:REASON_CHARS]}", style="red", markup=False)


def markdown(results: Results, scenarios: Sequence[Scenario]) -> str:
    """The tables of all scenarios, and why rounds were void."""
    lines: list[str] = []
    for scenario in scenarios:
        who = results.who(scenario.name)
        shown = [m for m in scenario.columns if any(results.of(scenario.name, w, m) for w in who)]
        if not shown:
            continue
        lines += [f"**{scenario.title}**", "", _row(("server", *(LABELS[m] for m in shown)))]
        lines.append(_row(("---", *("---:" for _ in shown))))
        for name in who:
            spreads = (results.spread(scenario.name, name, metric) for metric in shown)
            lines.append(_row((name, *(spread.text() if spread else "" for spread in spreads))))
        voids = ((name, reason) for name in who for reason in results.voids(scenario.name, name))
        lines += ["", *(f"Void: {name}: {shorten(reason)}" for name, reason in dict(voids).items())]
        lines.append("")
    return "\n".join(lines)


def shorten(reason: str) -> str:
    """One line of a reason: its beginning and, of a long one, its end, where the error is."""
    line = " ".join(reason.split())
    return line if len(line) <= 200 else f"{line[:60]} … {line[-130:]}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def warn(console: Console, results: Results, scenario: Scenario) -> None:
    """Say so if others used the machine meanwhile."""
    spreads = (results.spread(scenario.name, w, "other_cores") for w in results.who(scenario.name))
    most = max((spread.greatest for spread in spreads if spread), default=0.0)
    if most > QUIET_CORES:
        console.print(f"  others used up to {number(most)} cores meanwhile", style="yellow")


def machine() -> dict[str, Any]:
    """Where this was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
