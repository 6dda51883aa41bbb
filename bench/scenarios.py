"""What is measured, as one table: a scenario is a row. How it is measured is measure.py's."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["closed", "open", "start", "import", "size"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question to several servers."""

    name: str
    title: str
    kind: Kind
    who: tuple[str, ...]
    """`peer:variant` or `peer`; "in-process" is the model in a loop without a server."""
    columns: tuple[str, ...]
    """Metrics in the table."""
    model: str = "tiny"
    connections: int = 1
    seconds: float = 5.0
    repeats: int = 3
    load: float = 0.0
    """Open loop: the share of the reference peer's maximum."""
    bar: str = "rate"
    """The metric in the picture."""
    is_small: bool = True
    """Part of `--quick`."""


CLOSED = ("rate", "p50_ms", "p99_ms", "p999_ms", "per_cpu_s", "cores", "other_cores", "pss_mb")
OPEN = ("rate", "p50_ms", "p99_ms", "p999_ms", "late_p99_ms", "cores", "other_cores")
REFERENCE = "mosec:json"
"""Open loops run at shares of this peer's maximum."""

_SMALL = ("headway:native", "headway:v2", "mosec:json", "mosec:msgspec", "fastapi", "echo")
_TEXT = ("in-process", "headway:native", "headway:v2", "mosec:json", "fastapi")
_RIVALS = ("headway:native", "headway:v2", "mosec:json")
_IMAGES = (
    "in-process",
    "headway:v2-binary",
    "mosec:binary",
    "fastapi:binary",
    "headway:v2",
    "mosec:msgspec",
    "fastapi:json",
)

SCENARIOS = (
    Scenario(
        "tiny", "Tiny model, one JSON row a request, 64 connections", "closed",
        _SMALL, CLOSED, connections=64, repeats=5,
    ),
    Scenario(
        "tiny1", "Tiny model, one JSON row a request, 1 connection", "closed",
        _SMALL, CLOSED, seconds=3, bar="p50_ms",
    ),
    Scenario(
        "text16", "MiniLM, 128 tokens, 16 connections", "closed",
        _TEXT, CLOSED, model="minilm", connections=16, seconds=8,
    ),
    Scenario(
        "text64", "MiniLM, 128 tokens, 64 connections", "closed",
        _TEXT, CLOSED, model="minilm", connections=64, seconds=10, is_small=False,
    ),
    Scenario(
        "open50", "Tiny model, open loop at 50 % of mosec's maximum", "open",
        _RIVALS, OPEN, connections=256, load=0.5, bar="p99_ms",
    ),
    Scenario(
        "open80", "Tiny model, open loop at 80 % of mosec's maximum", "open",
        _RIVALS, OPEN, connections=256, load=0.8, bar="p99_ms",
    ),
    Scenario(
        "image", "MobileNetV2, float32 [1, 3, 224, 224], 8 connections", "closed",
        _IMAGES, CLOSED, model="mobilenet", connections=8, seconds=4,
    ),
    Scenario(
        "start", "Cold start to the first right answer, and idle memory (tiny model)", "start",
        ("headway:native", "mosec:json", "fastapi"), ("start_s", "pss_mb"),
        repeats=5, bar="start_s",
    ),
    Scenario(
        "import", "import headway", "import",
        ("headway",), ("import_ms", "has_numpy"), repeats=7, bar="import_ms",
    ),
    Scenario(
        "size", "Installed size (headway-core: without onnxruntime; the others with it and numpy)",
        "size", ("headway-core", "headway", "mosec", "fastapi"), ("installed_mb",),
        repeats=1, bar="installed_mb", is_small=False,
    ),
)  # fmt: skip

GROUPS = {
    "text": ("text16", "text64"),
    "open": ("open50", "open80"),
    "footprint": ("start", "import", "size"),
}
"""Short names for several scenarios."""


def choose(names: list[str]) -> list[Scenario]:
    """The scenarios of these names or groups, in the table's order; all for none."""
    known = {scenario.name for scenario in SCENARIOS}
    wanted = {name for given in names for name in GROUPS.get(given, (given,))}
    if unknown := wanted - known:
        places = ", ".join([*GROUPS, *(s.name for s in SCENARIOS)])
        raise SystemExit(f"no scenario is called {', '.join(sorted(unknown))}; there are {places}")
    return [scenario for scenario in SCENARIOS if not wanted or scenario.name in wanted]
