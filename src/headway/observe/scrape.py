"""Reads what `exposition` writes, and nothing else: other texts for Prometheus are refused. Pure."""

import re
from collections.abc import Iterator, Mapping

_SAMPLE = re.compile(r"headway_([a-z_]+)(?:\{(.*)\})? (-?[0-9][0-9.]*(?:e[+-]?[0-9]+)?)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")

Labels = Mapping[str, str]


class Scrape:
    """The counters of a server at one time.

    Args:
        text: what it answered at /metrics.

    Raises:
        ValueError: it is none of Headway's.
    """

    def __init__(self, text: str) -> None:
        self._samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for number, line in enumerate(text.split("\n"), 1):
            if line and not line.startswith("#"):
                self._take(line, number)
        if "info" not in self._samples:
            raise ValueError("there is no headway_info in it")

    def _take(self, line: str, number: int) -> None:
        found = _SAMPLE.fullmatch(line)
        labels = _labels(found[2] or "") if found else None
        if found is None or labels is None:
            raise ValueError(f"line {number} is none of Headway's: {line[:60]!r}")
        self._samples.setdefault(found[1], {})[labels] = float(found[3])

    def series(self, name: str, **wanted: str) -> Iterator[tuple[Labels, float]]:
        """The samples of a metric that have these labels, with all of theirs."""
        for labels, value in self._samples.get(name, {}).items():
            if wanted.items() <= set(labels):
                yield dict(labels), value

    def get(self, name: str, **wanted: str) -> float | None:
        """The sum of the samples that have these labels; None if there is none."""
        values = [value for _, value in self.series(name, **wanted)]
        return sum(values) if values else None

    def values(self, name: str, label: str) -> list[str]:
        """What a label of a metric says, in the text's order, each once."""
        return list(dict.fromkeys(labels[label] for labels, _ in self.series(name)))


def _labels(text: str) -> tuple[tuple[str, str], ...] | None:
    """Read the inside of the braces; None if it is not as `exposition` writes it."""
    labels, at = [], 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            return None
        labels.append((found[1], _ESCAPED.sub(_plain, found[2])))
        at = found.end()
    return tuple(labels)


def _plain(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]
