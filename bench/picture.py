"""The results as bars: one SVG, written by hand, readable on light and dark grounds."""

from html import escape

from bench.results import LABELS, Results, number
from bench.scenarios import Scenario

WIDTH, NAME, BAR, ROW, GAP = 760, 170, 420, 22, 34
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#667}"
    ".title{font-weight:600;font-size:14px}.us{fill:#e4572e}.them{fill:#8a94a6}"
    ".limit{fill:#b9c2cf}.range{stroke:#445;stroke-width:1.5}"
)


def draw(results: Results, scenarios: list[Scenario]) -> str:
    """An SVG with a group of bars for each scenario that was measured."""
    parts: list[str] = []
    y = 8
    for scenario in scenarios:
        group, height = _group(results, scenario, y)
        parts += group
        y += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>\n"])


def _group(results: Results, scenario: Scenario, y: int) -> tuple[list[str], int]:
    """The bars of one scenario from `y` down, and their height."""
    found = {
        who: results.spread(scenario.name, who, scenario.bar) for who in results.who(scenario.name)
    }
    spreads = {who: spread for who, spread in found.items() if spread}
    if not spreads:
        return [], 0
    scale = BAR / (max(spread.greatest for spread in spreads.values()) or 1)
    title = f"{scenario.title} ({LABELS[scenario.bar]})"
    parts = [f'<text class="title" x="8" y="{y + 16}">{escape(title)}</text>']
    for index, (who, spread) in enumerate(spreads.items()):
        top = y + 26 + index * ROW
        middle = top + ROW // 2 - 1
        left, right = (NAME + value * scale for value in (spread.least, spread.greatest))
        parts += [
            f'<text x="8" y="{top + 14}">{escape(who)}</text>',
            f'<rect class="{_class(who)}" x="{NAME}" y="{top}" height="{ROW - 4}"'
            f' width="{max(1.0, spread.median * scale):.1f}"/>',
            f'<line class="range" x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text x="{right + 8:.1f}" y="{top + 14}">{number(spread.median)}</text>',
        ]
    return parts, 26 + len(spreads) * ROW + GAP - ROW


def _class(who: str) -> str:
    """Headway, a limit, or a peer."""
    if who.startswith("headway"):
        return "us"
    return "limit" if who in ("echo", "in-process") else "them"
