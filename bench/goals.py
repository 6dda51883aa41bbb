"""What Headway promises, against what was measured.

Ratios are taken within a round, so that the drift of the machine cancels out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from bench.results import Results, Spread, number
from bench.scenarios import SCENARIOS

_NO_PEERS = ("headway", "in-process", "echo")


@dataclass(frozen=True, slots=True)
class Side:
    """One metric of one server in one scenario."""

    scenario: str
    who: str
    metric: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A value, or the ratio of two, that is at least or at most a bound."""

    text: str
    left: Side
    bound: float
    right: Sequence[Side] = ()
    """The best of these: the most for a floor, the least for a ceiling. None: a plain value."""
    is_floor: bool = True
    """At least the bound, rather than at most."""

    def spread(self, results: Results) -> Spread | None:
        """The value, or the ratio round by round; None where it was not measured."""
        left = results.of(self.left.scenario, self.left.who, self.left.metric)
        if not self.right:
            return Spread.of(left.values())
        found = (results.of(side.scenario, side.who, side.metric) for side in self.right)
        rights = [values for values in found if values]
        if not rights:
            return None
        turns = left.keys() & set.intersection(*(set(values) for values in rights))
        best = max if self.is_floor else min
        return Spread.of(left[t] / best(values[t] for values in rights) for t in turns)

    def is_met(self, spread: Spread) -> bool:
        """Whether the median is on the right side."""
        return spread.median >= self.bound if self.is_floor else spread.median <= self.bound


def _rates(scenario: str, left: str, right: str, bound: float) -> Goal:
    """A throughput goal."""
    text = f"{scenario}: {left} at least {number(bound)} × {right}"  # noqa: RUF001
    return Goal(text, Side(scenario, left, "rate"), bound, [Side(scenario, right, "rate")])


def _latency(scenario: str, metric: str, left: str, right: str, bound: float) -> Goal:
    """A latency goal."""
    text = f"{scenario}: {left} {metric[:-3]} at most {number(bound)} × {right}"  # noqa: RUF001
    sides = Side(scenario, left, metric), Side(scenario, right, metric)
    return Goal(text, sides[0], bound, sides[1:], is_floor=False)


def _beside_all(scenario: str, metric: str, left: str, bound: float) -> Goal:
    """A goal against the best of every peer that was measured in the same rounds."""
    is_floor = metric == "rate"
    word = "at least" if is_floor else "at most"
    text = (
        f"{scenario}: {left} {metric.removesuffix('_ms')} {word} {number(bound)} × the best peer's"  # noqa: RUF001
    )
    row = next(row for row in SCENARIOS if row.name == scenario)
    is_binary = left.endswith("binary")
    rights = [
        Side(scenario, who, metric)
        for who in (*row.who, *row.guests)
        if not who.startswith(_NO_PEERS) and who.endswith("binary") == is_binary
    ]
    return Goal(text, Side(scenario, left, metric), bound, rights, is_floor)


def _cost(scenario: str, who: str, metric: str, bound: float, unit: str) -> Goal:
    """An absolute goal."""
    text = f"{who} {metric.rpartition('_')[0]} at most {number(bound)} {unit}"
    return Goal(text, Side(scenario, who, metric), bound, is_floor=False)


def _text(scenario: str) -> list[Goal]:
    """The text model's goals."""
    return [
        _rates(scenario, "headway:native", "in-process", 0.95),
        _rates(scenario, "headway:v2", "in-process", 0.95),
        _latency(scenario, "p99_ms", "headway:native", "mosec:json", 1.0),
    ]


GOALS: Sequence[Goal] = (
    _rates("tiny", "headway:native", "mosec:json", 3),
    _rates("tiny", "headway:native", "mosec:msgspec", 3),
    _rates("tiny", "headway:native", "fastapi", 5),
    _rates("tiny", "headway:v2", "mosec:json", 2.5),
    _rates("tiny", "headway:v2", "headway:native", 0.75),
    _latency("tiny", "p99_ms", "headway:native", "mosec:json", 1),
    _latency("tiny", "p99_ms", "headway:native", "fastapi", 1),
    _latency("tiny1", "p50_ms", "headway:native", "fastapi", 1),
    *_text("text16"),
    *_text("text64"),
    _latency("open50", "p99_ms", "headway:native", "mosec:json", 0.5),
    _latency("open80", "p99_ms", "headway:native", "mosec:json", 0.5),
    _rates("image", "headway:v2-binary", "in-process", 0.9),
    _rates("image", "headway:v2", "in-process", 0.5),
    _rates("tiny", "headway:v2", "triton:v2", 2),
    _beside_all("open50", "p99_ms", "headway:native", 1),
    _beside_all("open80", "p99_ms", "headway:native", 1),
    _beside_all("open400", "p99_ms", "headway:native", 1),
    _beside_all("text16", "p99_ms", "headway:native", 1),
    _beside_all("text64", "p99_ms", "headway:native", 1),
    _beside_all("image", "rate", "headway:v2", 1.5),
    _cost("start", "headway:native", "start_s", 0.6, "s"),
    _cost("start", "headway:native", "pss_mb", 110, "MB"),
    _cost("import", "headway", "import_ms", 80, "ms"),
    _cost("import", "headway", "has_numpy", 0, "(numpy among the modules of `import headway`)"),
    _cost("size", "headway-core", "installed_mb", 120, "MB"),
)


def judge(console: Console, results: Results) -> list[dict[str, object]]:
    """Print and answer every goal that could be judged."""
    judged: list[dict[str, object]] = []
    for goal in GOALS:
        if (spread := goal.spread(results)) is None:
            continue
        is_met = goal.is_met(spread)
        mark = "[green]met   [/]" if is_met else "[red]missed[/]"
        console.print(f"{mark} {goal.text}: {spread.text()}")
        judged.append({"goal": goal.text, "is_met": is_met, "measured": spread.median})
    return judged
