"""A run as one SVG, and as a page that needs nothing from elsewhere. Pure."""

from collections.abc import Callable, Sequence
from html import escape

from headway.traffic.picture import Stretch, rows, stretches
from headway.traffic.plan import Run
from headway.traffic.units import duration, figures

_WIDTH, _LEFT, _RIGHT = 760, 90, 90
_PLOT = _WIDTH - _LEFT - _RIGHT
_HEIGHT = 130
_ROW = 18
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#667}.title{font-weight:600;font-size:14px}"
    ".axis{stroke:#99a3}rect{fill:#3b7dd8}polyline{fill:none;stroke-width:1.5}"
    ".a{stroke:#3b7dd8}.b{stroke:#e4572e}"
)
_PAGE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2em auto;padding:0 1em;"
    "background:#fff;color:#223}td{padding:.1em 1.5em .1em 0}svg{max-width:100%;height:auto}"
    "@media(prefers-color-scheme:dark){body{background:#14171c;color:#dde}}"
)
Value = Callable[[Stretch], float]


def svg(run: Run) -> str:
    """The histogram, then latency and answers over time; every scale of these begins at 0."""
    parts: list[str] = []
    y = 10
    for drawn, height in (
        _histogram(run),
        _lines("Latency over time", run, ("p50", lambda s: s.p50_ns), ("p99", lambda s: s.p99_ns), duration),
        _lines("Answers a second", run, ("", lambda s: s.answered / s.width_s), None, figures),
    ):  # fmt: skip
        parts.append(f'<g transform="translate(0,{y})">{drawn}</g>')
        y += height
    size = f'viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{_STYLE}</style>'
    return f"{head}{''.join(parts)}</svg>\n"


def page(run: Run, table: Sequence[tuple[str, str]]) -> str:
    """A page with a table and the picture."""
    lines = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in table)
    title = escape(f"headway bench {run.target}")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/><title>{title}</title>'
        f"<style>{_PAGE}</style></head><body><h1>{title}</h1><p>{escape(run.at)}</p>"
        f"<table>{lines}</table>{svg(run)}</body></html>\n"
    )


def _text(x: float, y: float, words: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {extra}>{escape(words)}</text>'


def _histogram(run: Run) -> tuple[str, int]:
    found = rows(run.latency, 20)
    most = max((count for _, _, count in found), default=1)
    parts = [_text(8, 14, "Latency", 'class="title"')]
    for place, (start, _, count) in enumerate(found):
        top = 24 + place * _ROW
        width = count / most * _PLOT
        parts += [
            _text(_LEFT - 8, top + 12, f"from {duration(start)}", 'text-anchor="end"'),
            f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_ROW - 3}"/>',
            _text(_LEFT + width + 6, top + 12, str(count)),
        ]
    return "".join(parts), 40 + len(found) * _ROW


def _lines(
    title: str,
    run: Run,
    first: tuple[str, Value],
    second: tuple[str, Value] | None,
    write: Callable[[float], str],
) -> tuple[str, int]:
    """One or two lines over time."""
    spans = stretches(run, 300)
    drawn = [(*first, "a"), *([(*second, "b")] if second else [])]
    most = max((value(s) for _, value, _ in drawn for s in spans), default=0.0) or 1.0
    bottom = 24 + _HEIGHT
    parts = [
        _text(8, 14, title, 'class="title"'),
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{bottom}" y2="{bottom}"/>',
        _text(_LEFT - 8, 34, write(most), 'text-anchor="end"'),
        _text(_LEFT - 8, bottom, "0", 'text-anchor="end"'),
        _text(_LEFT, bottom + 16, "0 s"),
        _text(_LEFT + _PLOT, bottom + 16, f"{run.elapsed_s:.0f} s", 'text-anchor="end"'),
    ]
    for name, value, style in drawn:
        places = [
            (
                _LEFT + _PLOT * (s.start_s + s.width_s / 2) / max(run.elapsed_s, 1e-9),
                bottom - _HEIGHT * value(s) / most,
            )
            for s in spans
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="{style}" points="{points}"/>')
        if places:
            parts.append(_text(_LEFT + _PLOT + 8, places[-1][1] + 4, name))
    return "".join(parts), bottom + 34
