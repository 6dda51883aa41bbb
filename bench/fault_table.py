"""What was found under fault, as Markdown: one table a question, one row a server."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.results import shorten

Found = Mapping[str, Any]

KILL = (
    "kill -9 of one of two model processes, 16 clients",
    ("answered after it", "failed", "first answer to a new request", "longest silence",
     "process replaced after", "rate at the end, of before"),
)  # fmt: skip
CANCEL = (
    "One of four batch-mates leaves (each place, waiting and running)",
    ("the others", "latest answer", "largest batch", "computed though gone"),
)
OVERLOAD = (
    "Ten times the capacity for 10 s, clients that wait 3 s",
    ("capacity", "goodput", "not answered", "refused after", "accepted: p99", "recovered after",
     "memory: idle, most"),
)  # fmt: skip


def markdown(found: Mapping[str, Mapping[str, Found]]) -> str:
    """Three tables; why a cell is empty stands in its row."""
    parts: list[str] = []
    rows = {"kill": (KILL, _kill), "cancel": (CANCEL, _cancel), "overload": (OVERLOAD, _overload)}
    for question, ((title, columns), cells) in rows.items():
        parts += [f"**{title}**", "", _row(("server", *columns))]
        parts.append(_row(("---",) * (len(columns) + 1)))
        for who, answers in found.items():
            if question in answers:
                parts.append(_row((who, *_cells(answers[question], cells, len(columns)))))
        parts.append("")
    return "\n".join(parts)


def _cells(found: Found, cells: Any, count: int) -> Sequence[str]:
    """A server's cells, or the reason why there are none."""
    for word in ("not offered", "void"):
        if word in found:
            reason = shorten(str(found[word])).replace("|", "/")
            return (f"{word}: {reason}", *[""] * (count - 1))
    return cells(found)  # type: ignore[no-any-return]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _kill(found: Found) -> Sequence[str]:
    return (
        str(found["answered"]),
        _kinds(found["failed"]),
        _seconds(found["first_answer_s"]),
        _seconds(found["silence_s"]),
        _seconds(found["replaced_s"]),
        _share(found["rate_after"]),
    )


def _cancel(found: Found) -> Sequence[str]:
    return (
        _kinds(found["ended"]),
        _seconds(found["latest_s"]),
        str(found["largest_batch"]),
        f"{found['computed_though_gone']} of {found['gone_while_waiting']}",
    )


def _overload(found: Found) -> Sequence[str]:
    return (
        f"{found['capacity_per_s']:.0f} per s",
        _share(found["goodput"]),
        _kinds(found["refused"]),
        _seconds(found["refused_p50_s"]) if _is_refusing(found["refused"]) else "",
        _seconds(found["accepted_p99_s"]) if found["goodput"] else "",
        _seconds(found["recovered_s"]),
        f"{found['idle_mb']:.0f}, {found['most_mb']:.0f} MB",
    )


def _is_refusing(kinds: Mapping[str, int]) -> bool:
    return any(kind != "no answer" for kind in kinds)


def _kinds(kinds: Mapping[str, int]) -> str:
    """How many of each, or nobody."""
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) or "nobody"  # noqa: RUF001


def _seconds(value: float | None) -> str:
    """Two digits that matter; None was not seen while it was waited for."""
    if value is None:
        return "not seen"
    return f"{value * 1e3:.0f} ms" if value < 0.1 else f"{value:.2g} s"


def _share(value: float) -> str:
    return f"{value:.0%}"
