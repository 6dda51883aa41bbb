"""A run as text: a histogram and a line over time in block characters. Pure; who prints it is told no colours."""

from collections.abc import Sequence

from headway.traffic.histogram import Histogram, lower
from headway.traffic.plan import Run
from headway.traffic.units import duration, figures

_BLOCKS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_ROWS = 14
_COLUMNS = 60


def rows(latency: Histogram, most: int = _ROWS) -> list[tuple[int, int, int]]:
    """A histogram in few rows, each as wide in proportion as the others: (from ns, to ns, count)."""
    if not latency.count:
        return []
    low, high = max(1, lower(min(latency.counts))), latency.most_ns + 1
    step = max((high / low) ** (1 / most), 1.02)
    edges = [low]
    while edges[-1] < high and len(edges) <= most:
        edges.append(max(edges[-1] + 1, round(low * step ** len(edges))))
    found = [0] * (len(edges) - 1)
    for bucket, count in latency.counts.items():
        place = next(
            (i for i, edge in enumerate(edges[1:]) if lower(bucket) < edge), len(found) - 1
        )
        found[place] += count
    return [(edges[i], edges[i + 1], count) for i, count in enumerate(found)]


def histogram(latency: Histogram, width: int = 50) -> list[str]:
    """Bars of equal scale; the axis of durations grows by a factor from row to row."""
    found = rows(latency)
    most = max((count for _, _, count in found), default=0)
    lines = []
    for start, end, count in found:
        label = f"{duration(start):>9} – {duration(end):<9}"  # noqa: RUF001  (a dash between two figures)
        lines.append(f"  {label} {bar(count / most, width)} {count}")
    return lines


def bar(share: float, width: int) -> str:
    """A bar of eighths of a character; what is not nothing shows."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[rest] if rest else "")


def over_time(run: Run) -> list[str]:
    """Answers a second, p50 and p99 of each stretch of time; each line's scale begins at 0."""
    spans = stretches(run, _COLUMNS)
    lines = []
    for name, values, write in (
        ("answers/s", [s.answered / s.width_s for s in spans], figures),
        ("p50", [s.p50_ns for s in spans], duration),
        ("p99", [s.p99_ns for s in spans], duration),
        ("errors", [float(s.errors) for s in spans], figures),
    ):
        if most := max(values, default=0.0):
            lines.append(f"  {name:>9}  {spark(values, most)}  0 to {write(most)}")
    if lines:
        end = f"{run.elapsed_s:.0f} s"
        lines.append(f"  {'':>9}  0{end.rjust(max(len(end) + 1, len(spans) - 1))}")
    return lines


class Stretch:
    """What ended within some neighbouring slices."""

    def __init__(self, run: Run, start: int, end: int) -> None:
        parts = run.slices[start:end]
        latency = Histogram()
        for part in parts:
            latency.merge(part.latency)
        self.start_s = start * run.slice_s
        self.width_s = max(min(end * run.slice_s, run.elapsed_s) - self.start_s, 1e-9)
        self.answered = sum(part.answered for part in parts)
        self.errors = sum(sum(part.errors.values()) for part in parts)
        self.p50_ns, self.p99_ns = latency.quantile(0.5), latency.quantile(0.99)
        self.most_ns = latency.most_ns


def stretches(run: Run, most: int) -> list[Stretch]:
    """The run in at most so many parts of equal length; the last may be shorter."""
    each = max(1, -(-len(run.slices) // most))
    starts = range(0, len(run.slices), each)
    found = [Stretch(run, start, min(start + each, len(run.slices))) for start in starts]
    # A sliver at the end has no rate worth showing.
    return found if len(found) < 2 or found[-1].width_s >= run.slice_s / 2 else found[:-1]


def spark(values: Sequence[float], most: float) -> str:
    """One character a value; a blank where it is 0."""
    return "".join(
        _HEIGHTS[min(7, max(0, int(value / most * 8 - 1e-9)))] if value > 0 else " "
        for value in values
    )
