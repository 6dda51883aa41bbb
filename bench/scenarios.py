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
    guests: tuple[str, ...] = ()
    """Peers that are slow to start and to answer: in the first `guest_repeats` rounds alone."""
    guest_repeats: int = 1
    model: str = "tiny"
    connections: int = 1
    seconds: float = 5.0
    repeats: int = 3
    load: float = 0.0
    """Open loop: the share of the reference peer's maximum."""
    rate_per_s: float = 0.0
    """Open loop: a rate that does not depend on the machine, in place of `load`."""
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
"""Who can answer at the rate of the open loops: beyond its own maximum a server only queues."""
_GUESTS = ("triton:v2", "ray", "kserve:v2", "mlserver", "bentoml", "litserve")
_ALL_SERVE_PER_S = 400.0
"""Half of what the slowest of all peers can, on two cores."""
_IMAGES = (
    "in-process",
    "headway:v2-binary",
    "mosec:binary",
    "fastapi:binary",
    "headway:v2",
    "mosec:msgspec",
    "fastapi:json",
)
_IMAGE_GUESTS = (
    "triton:v2-binary",
    "triton:v2",
    "ray:binary",
    "ray:json",
    "kserve:v2-binary",
    "kserve:v2",
    "mlserver",
    "bentoml",
    "litserve",
)

SCENARIOS = (
    Scenario(
        "tiny", "Tiny model, one JSON row a request, 64 connections", "closed",
        _SMALL, CLOSED, _GUESTS, guest_repeats=2, connections=64, repeats=4,
    ),
    Scenario(
        "tiny1", "Tiny model, one JSON row a request, 1 connection", "closed",
        _SMALL, CLOSED, _GUESTS, seconds=3, repeats=2, bar="p50_ms",
    ),
    Scenario(
        "text16", "MiniLM, 128 tokens, 16 connections", "closed",
        _TEXT, CLOSED, _GUESTS, model="minilm", connections=16, seconds=6,
    ),
    Scenario(
        "text64", "MiniLM, 128 tokens, 64 connections", "closed",
        _TEXT, CLOSED, ("triton:v2", "kserve:v2", "litserve"), model="minilm", connections=64,
        seconds=10, repeats=2, is_small=False,
    ),
    Scenario(
        "open50", "Tiny model, open loop at 50 % of mosec's maximum", "open",
        _RIVALS, OPEN, ("triton:v2",), guest_repeats=2, connections=256, load=0.5, repeats=2, bar="p99_ms",
    ),
    Scenario(
        "open80", "Tiny model, open loop at 80 % of mosec's maximum", "open",
        _RIVALS, OPEN, ("triton:v2",), guest_repeats=2, connections=256, load=0.8, repeats=2, bar="p99_ms",
    ),
    Scenario(
        "open400", "Tiny model, open loop at 400 requests/s, which every peer can answer", "open",
        ("headway:native", "headway:v2", "mosec:json", "fastapi"), OPEN, _GUESTS,
        guest_repeats=1, connections=256, rate_per_s=_ALL_SERVE_PER_S, seconds=12, repeats=3,
        bar="p99_ms",
    ),
    Scenario(
        "image", "MobileNetV2, float32 [1, 3, 224, 224], 8 connections", "closed",
        _IMAGES, CLOSED, _IMAGE_GUESTS, model="mobilenet", connections=8, seconds=4, repeats=2,
    ),
    Scenario(
        "start", "Cold start to the first right answer, and idle memory (tiny model)", "start",
        ("headway:native", "mosec:json", "fastapi"), ("start_s", "pss_mb"),
        _GUESTS, repeats=3, bar="start_s",
    ),
    Scenario(
        "import", "import headway", "import",
        ("headway",), ("import_ms", "has_numpy"), repeats=7, bar="import_ms",
    ),
    Scenario(
        "size", "Installed size (headway-core: without onnxruntime; the others with it and numpy)",
        "size", ("headway-core", "headway", "mosec", "fastapi"), ("installed_mb",),
        tuple(guest.partition(":")[0] for guest in _GUESTS), repeats=1, bar="installed_mb", is_small=False,
    ),
)  # fmt: skip

GROUPS = {
    "text": ("text16", "text64"),
    "open": ("open50", "open80", "open400"),
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
