"""How cost grows as a picture: four panels with logarithmic axes, one SVG, readable on light and dark grounds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Record = Mapping[str, Any]

WIDTH, HEIGHT, COLUMNS = 470, 330, 2
LEFT, RIGHT, TOP, BOTTOM = 56, 132, 34, 44
COLOURS = ("#e4572e", "#3b82c4", "#2a9d6f", "#b06fc4", "#c98a1b")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#667}.title{font-weight:600;font-size:14px}"
    ".grid{stroke:#8a94a6;stroke-opacity:.3}.axis{stroke:#8a94a6}"
    "polyline{fill:none;stroke-width:2}"
)
GAP = 14
"""Least distance of two labels at the lines' ends."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel."""

    label: str
    series: str
    metric: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One axis as a picture."""

    axis: str
    title: str
    unit: str
    lines: Sequence[Line]


PANELS = (
    Panel(
        "processes", "Workers and gateways: requests/s", "workers",
        [Line(s, s, "rate") for s in ("1 gateway", "2 gateways", "4 gateways")],
    ),
    Panel(
        "connections", "Connections", "connections",
        [
            Line("requests/s", "headway", "rate"),
            Line("p99 ms", "headway", "p99_ms"),
            Line("echo requests/s", "echo", "rate"),
            Line("echo p99 ms", "echo", "p99_ms"),
        ],
    ),
    Panel(
        "models", "Models in one server", "models",
        [
            Line("requests/s, all", "all of them", "rate"),
            Line("requests/s, one", "one of them", "rate"),
            Line("PSS MB", "all of them", "pss_mb"),
            Line("start s", "all of them", "start_s"),
        ],
    ),
    Panel(
        "bodies", "Size of a body: CPU a request, µs", "bytes",
        [
            Line("JSON, worker", "JSON", "worker_us"),
            Line("JSON, gateway", "JSON", "gateway_us"),
            Line("binary, worker", "binary", "worker_us"),
            Line("binary, gateway", "binary", "gateway_us"),
        ],
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Logarithms to pixels, between two powers of ten or two values."""

    least: float
    most: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The place of a value."""
        share = math.log10(value / self.least) / math.log10(self.most / self.least)
        return self.start + share * (self.stop - self.start)

    def decades(self) -> list[float]:
        """The powers of ten within."""
        first, last = (math.log10(v) for v in (self.least, self.most))
        return [10.0**e for e in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]


def draw(found: Sequence[Record]) -> str:
    """The panels that there are figures for."""
    shown = [p for p in PANELS if any(r["axis"] == p.axis for r in found)]
    rows = -(-len(shown) // COLUMNS)
    size = f'viewBox="0 0 {WIDTH * COLUMNS} {HEIGHT * rows}" width="{WIDTH * COLUMNS}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>"]
    for place, panel in enumerate(shown):
        x, y = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({x},{y})">', *_panel(panel, found), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, found: Sequence[Record]) -> list[str]:
    """One panel, at the origin."""
    lines = {line: _points(panel.axis, line, found) for line in panel.lines}
    lines = {line: points for line, points in lines.items() if points}
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = [y for points in lines.values() for _, y in points]
    across = Scale(xs[0], max(xs[-1], xs[0] * 1.01), LEFT, WIDTH - RIGHT)
    low = 10 ** math.floor(math.log10(min(ys)))
    high = max(10 ** math.ceil(math.log10(max(ys))), low * 10)
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="title" x="8" y="18">{escape(panel.title)}</text>']
    for value in up.decades():
        y = up.at(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
        )
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}"'
        f' y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    )
    parts += [
        f'<text x="{across.at(value):.1f}" y="{HEIGHT - BOTTOM + 16}"'
        f' text-anchor="middle">{_short(value)}</text>'
        for value in xs
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.unit)}</text>'
    )
    return parts + _lines(lines, across, up)


def _lines(
    lines: Mapping[Line, Sequence[tuple[float, float]]], across: Scale, up: Scale
) -> list[str]:
    """The lines and, at their ends, their names, moved apart where they would meet."""
    parts, ends = [], []
    for colour, (line, points) in zip(COLOURS, lines.items(), strict=False):
        places = [(across.at(x), up.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline stroke="{colour}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        ends.append((places[-1][1], colour, line.label))
    lowest = -math.inf
    for y, colour, label in sorted(ends):
        lowest = max(y + 4, lowest + GAP)
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{lowest:.1f}" style="fill:{colour}">{escape(label)}</text>'
        )
    return parts


def _points(axis: str, line: Line, found: Sequence[Record]) -> list[tuple[float, float]]:
    """A line's points that a logarithm has."""
    return sorted(
        (r["x"], r[line.metric])
        for r in found
        if (r["axis"], r["series"]) == (axis, line.series) and r[line.metric] > 0
    )


def _short(value: float) -> str:
    """1k, 10M, 0.1."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
