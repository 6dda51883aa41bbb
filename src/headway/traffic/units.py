"""Durations, shares and rates as people write and read them: 30s, 1.5 ms, 0.1%. Pure."""

import math
import re

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-zµ%]*)")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}  # fmt: skip


def seconds(text: str) -> float:
    """Read `30s`, `500ms`, `2m`, `1h`, or a bare number of seconds. Raises ValueError."""
    found = _NUMBER.fullmatch(text.strip())
    if not found or found[2] not in _SECONDS:
        raise ValueError(f"expected a duration such as 30s, 500ms or 2m, found {text!r}")
    return float(found[1]) * _SECONDS[found[2]]


def share(text: str) -> float:
    """Read `0.1%`, or a bare share from 0 to 1. Raises ValueError."""
    found = _NUMBER.fullmatch(text.strip())
    value = float(found[1]) / (100 if found[2] == "%" else 1) if found else math.nan
    if not found or found[2] not in ("", "%") or not 0 <= value <= 1:
        raise ValueError(f"expected a share such as 0.1% or 0.001, found {text!r}")
    return value


def duration(ns: float) -> str:
    """Write nanoseconds in three digits: 850 µs, 1.25 ms, 31.2 s."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= size * 0.9995:
            return f"{figures(ns / size)} {unit}"
    return f"{ns:.0f} ns"


def figures(value: float) -> str:
    """Write a number in three digits, thousands in full: 0.0123, 1.23, 123, 12300."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def percent(value: float) -> str:
    """Write a share as a percentage: 0, 0.012 %, 12.3 %."""
    return f"{figures(value * 100)} %" if value else "0"
