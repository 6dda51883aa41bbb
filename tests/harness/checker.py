"""What is wrong with a run: its ledger, what its processes hold, what its metrics say. Pure: facts in, words out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.truth import NEVER, End, Mood

Counts = Counter[tuple[Mood, End, str]]
"""Requests by mood, class and code."""
Ways = Mapping[Mood, frozenset[str]]
"""By mood, how a request may end: "exact", "failed model_crashed"."""


def ways(**changes: str) -> Ways:
    """How requests end where nothing is broken but what they break themselves.

    Args:
        changes: more ways, by mood, separated by commas; `all` adds to each mood.
    """
    usual = {
        Mood.GOOD: "exact",
        Mood.LEAVER: "left",
        Mood.HURRIED: "exact,timeout deadline,timeout",
        Mood.POISON: "failed model_crashed",
        Mood.SICK: "failed model_failed",
        Mood.REJECTED: "client_error rejected",
        Mood.BAD: "client_error bad_input",
    }
    unknown = changes.keys() - {*Mood, "all"}
    assert not unknown, unknown
    return {
        mood: frozenset(",".join((text, changes.get(mood, ""), changes.get("all", ""))).split(","))
        for mood, text in usual.items()
    }


def complaints(counts: Counts, allowed: Ways) -> list[str]:
    """Ends that should not have been."""
    found = []
    for (mood, end, code), n in sorted(counts.items()):
        way = f"{end} {code}".strip()
        if end in NEVER:
            found.append(f"{n} {mood} requests ended {end}: {code}")
        elif way not in allowed[mood]:
            found.append(f"{n} {mood} requests ended {way!r}; allowed: {sorted(allowed[mood])}")
    return found


@dataclass(frozen=True, slots=True)
class Void:
    """When a run says nothing: too few requests, or a fault that did not happen."""

    least_per_s: float = 50.0
    least: int = 100
    """Exact answers in all."""

    def reasons(
        self, counts: Counts, took_s: float, missed: Sequence[str], still: Sequence[str]
    ) -> list[str]:
        """Why a run is void; [] if it counts.

        Args:
            counts: the ledger's.
            took_s: how long the load ran.
            missed: faults that were to strike, and did not.
            still: faults that were to strike and whose end was not seen.
        """
        exact = sum(n for (_, end, _), n in counts.items() if end is End.EXACT)
        found = [f"void: the fault did not happen: {what}" for what in missed]
        found += [f"void: the fault's end was not seen: {what}" for what in still]
        if exact < self.least:
            found.append(f"void: {exact} exact answers, needed {self.least}")
        if counts.total() < self.least_per_s * took_s:
            found.append(
                f"void: {counts.total()} requests in {took_s:.1f} s, needed {self.least_per_s:g}/s"
            )
        return found


_COUNTED = {
    "ok": (End.EXACT,),
    "caller": (End.CLIENT_ERROR,),
    "busy": (End.REFUSED,),
    "deadline": (End.TIMEOUT,),
    "model": (End.FAILED,),
    "worker": (End.FAILED,),
}


def metrics_complaints(counts: Counts, outcomes: Mapping[str, float]) -> list[str]:
    """Where /metrics and the ledger disagree.

    Who left, or whose connection broke, may have been counted as anything, or not at all: that much may differ.
    """
    ends: Counter[End] = Counter()
    for (_, end, code), n in counts.items():
        if code != "unconnected":
            ends[End.LEFT if code == "cut" else end] += n
    unknown = ends[End.LEFT]
    found = []
    for kinds, outcome_names in _grouped().items():
        seen = sum(ends[kind] for kind in kinds)
        told = sum(outcomes.get(name, 0.0) for name in outcome_names)
        if not seen <= told <= seen + unknown:
            found.append(
                f"metrics: {'+'.join(outcome_names)} is {told:g}, the ledger has {seen}"
                f" and {unknown} that nobody can know"
            )
    if outcomes.get("internal"):
        found.append(f"metrics: {outcomes['internal']:g} internal errors")
    told = sum(outcomes.values())
    if not ends.total() - unknown <= told <= ends.total():
        found.append(f"metrics: {told:g} requests in all, the ledger has {ends.total()}")
    return found


def _grouped() -> dict[tuple[End, ...], list[str]]:
    grouped: dict[tuple[End, ...], list[str]] = {}
    for name, kinds in _COUNTED.items():
        grouped.setdefault(kinds, []).append(name)
    return grouped


@dataclass(slots=True)
class Holdings:
    """What the processes of a server hold; by role, so that a successor compares with whom it replaced."""

    processes: Counter[str] = field(default_factory=Counter)
    descriptors: Counter[str] = field(default_factory=Counter)
    threads: Counter[str] = field(default_factory=Counter)
    memfd_bytes: int = 0
    files: frozenset[str] = frozenset()
    """In /dev/shm, the temporary folder and the server's own."""


def held_complaints(before: Holdings, after: Holdings) -> list[str]:
    """What is held now that was not before, or the other way round."""
    found = []
    for name in ("processes", "descriptors", "threads"):
        then: Counter[str] = getattr(before, name)
        now: Counter[str] = getattr(after, name)
        found += [
            f"{role}: {then[role]} {name} before, {now[role]} now"
            for role in sorted({*then, *now})
            if then[role] != now[role]
        ]
    if after.memfd_bytes != before.memfd_bytes:
        found.append(f"memfd: {before.memfd_bytes} bytes before, {after.memfd_bytes} now")
    if new := after.files - before.files:
        found.append(f"files left behind: {sorted(new)}")
    return found


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through samples."""

    per_unit: float
    error: float
    """Standard error of `per_unit`."""

    @property
    def upper(self) -> float:
        """Upper end of the 95 % interval."""
        return self.per_unit + 1.96 * self.error


def slope(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """Least squares, with the standard error of the slope."""
    n = len(xs)
    assert n == len(ys) >= 3
    mean_x, mean_y = sum(xs) / n, sum(ys) / n
    spread = sum((x - mean_x) ** 2 for x in xs)
    along = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - mean_y - along * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Slope(along, (rest / (n - 2) / spread) ** 0.5)
