"""The checker: nothing bad is let pass, and a run that says nothing is void."""

from collections import Counter
from dataclasses import replace

from harness.checker import (
    Holdings,
    Void,
    complaints,
    held_complaints,
    metrics_complaints,
    slope,
    ways,
)
from harness.truth import NEVER, End, Mood

FINE = Counter({(Mood.GOOD, End.EXACT, ""): 990, (Mood.LEAVER, End.LEFT, ""): 10})


def test_a_clean_ledger_is_let_pass() -> None:
    assert complaints(FINE, ways()) == []


def test_wrong_duplicate_and_hung_are_never_let_pass() -> None:
    for end in NEVER:
        assert complaints(FINE + Counter({(Mood.GOOD, end, ""): 1}), ways(all=str(end)))


def test_an_end_is_allowed_for_its_mood_alone() -> None:
    cut = Counter({(Mood.GOOD, End.FAILED, "cut"): 1})

    assert complaints(cut, ways())
    assert complaints(cut, ways(poison="failed cut"))
    assert not complaints(cut, ways(good="failed cut"))
    assert not complaints(cut, ways(all="failed cut"))


def test_poison_that_is_answered_is_told() -> None:
    assert complaints(Counter({(Mood.POISON, End.EXACT, ""): 1}), ways())


def test_a_run_with_too_little_in_it_is_void() -> None:
    void = Void(least_per_s=50, least=100)

    assert void.reasons(FINE, 10.0, [], []) == []
    assert void.reasons(FINE, 30.0, [], [])
    assert void.reasons(Counter({(Mood.LEAVER, End.LEFT, ""): 1000}), 1.0, [], [])


def test_a_run_without_its_fault_is_void() -> None:
    assert Void().reasons(FINE, 1.0, ["kill"], [])
    assert Void().reasons(FINE, 1.0, [], ["kill"])


def test_metrics_may_differ_by_those_who_left_and_by_nobody_else() -> None:
    assert not metrics_complaints(FINE, {"ok": 990, "cancelled": 10})
    assert not metrics_complaints(FINE, {"ok": 995, "cancelled": 2})
    assert metrics_complaints(FINE, {"ok": 989, "cancelled": 10})
    assert metrics_complaints(FINE, {"ok": 1001})
    assert metrics_complaints(FINE, {"ok": 990, "cancelled": 11})
    assert metrics_complaints(FINE, {"ok": 990, "internal": 1})


def test_metrics_that_call_a_failure_a_success_are_told() -> None:
    counts = FINE + Counter({(Mood.SICK, End.FAILED, "model_failed"): 5})

    assert not metrics_complaints(counts, {"ok": 990, "model": 5})
    assert metrics_complaints(counts, {"ok": 995})


def test_who_never_connected_need_not_be_counted() -> None:
    counts = FINE + Counter({(Mood.GOOD, End.FAILED, "unconnected"): 5})

    assert not metrics_complaints(counts, {"ok": 990})


def test_what_is_held_must_be_what_was_held() -> None:
    before = Holdings(Counter(a=1), Counter(a=10), Counter(a=2), 4096, frozenset({"x"}))
    same = replace(before, files=frozenset())

    assert held_complaints(before, same) == []
    for change in (
        {"processes": Counter(a=2)},
        {"descriptors": Counter(a=11)},
        {"threads": Counter(a=1)},
        {"memfd_bytes": 8192},
        {"files": frozenset({"x", "y"})},
    ):
        assert held_complaints(before, replace(before, **change)), change


def test_a_slope_is_found_with_its_error() -> None:
    xs = [float(x) for x in range(100)]
    noise = [(-1) ** x * 50.0 for x in range(100)]

    found = slope(xs, [7 * x + n for x, n in zip(xs, noise, strict=True)])

    assert abs(found.per_unit - 7) < 0.3
    assert 7 < found.upper < 8
    assert slope(xs, [3.0] * 100).upper == 0
