"""Rows that memory does not hold together are answered apart, and how many it holds is remembered for a while."""

import math
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway import plugins
from headway.engine.blame import is_short_of_memory, told
from headway.engine.cap import RETRY_S, Cap
from headway.engine.grab import Run
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.errors import ModelFailed
from headway.model.opening import Opened, open_predictor
from headway.protocols import Ask, Codec

NATIVE: Codec = plugins.load("protocols", "native")
GREEDY = -1


# The cap itself


@given(
    st.integers(1, 64),
    st.lists(st.tuples(st.integers(1, 64), st.floats(0, 100), st.integers(1, 64)), max_size=40),
)
def test_whatever_memory_holds_the_cap_follows_and_is_tried_upwards_once_a_minute(
    most: int, calls: list[tuple[int, float, int]]
) -> None:
    """Each call asks for some rows after some seconds, while memory holds some number of them."""
    cap, now = Cap(most), 0.0
    last_try = -RETRY_S
    for wanted, later_s, holds in calls:
        now += later_s
        total = min(wanted, most)
        before = cap.rows
        room = total if total <= cap.rows else cap.room(now)
        assert 1 <= before <= most
        assert room <= most
        if room > before:
            assert room <= 2 * before
            assert now >= last_try + RETRY_S, "it was tried upwards not long ago"
            last_try = now
        rows = min(room, total)
        if rows <= holds:
            assert cap.fitted(rows, now) == (rows > before)
            assert cap.rows == max(before, rows)
        elif rows > 1:
            cap.failed(rows, now)
            last_try = now
            assert cap.rows <= max(1, (rows + 1) // 2)


def test_what_was_learnt_is_forgotten_in_doublings_of_a_minute_each() -> None:
    cap = Cap(64)
    assert cap.failed(64, 0.0)
    assert cap.failed(32, 0.0)
    assert cap.failed(16, 0.0)
    assert cap.rows == 8
    assert not cap.failed(16, 0.0), "another slot saw the same"
    seen = []
    for minute in range(1, 5):
        now = minute * RETRY_S
        assert cap.room(now - 0.1) == cap.rows
        room = cap.room(now)
        assert cap.room(now) == cap.rows, "one call tries, and not its neighbour too"
        cap.fitted(room, now)
        seen.append(cap.rows)
    assert seen == [16, 32, 64, 64]


# A grab under it


class Narrow(hw.Predictor):
    """Holds so many rows at once; a greedy number fits nowhere."""

    holds = 64

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.short = 0

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        self.calls.append(list(number))
        if len(number) > self.holds or GREEDY in number:
            self.short += 1
            raise MemoryError
        return [2 * n for n in number]


class NarrowOnce(Narrow):
    idempotent = False


def make(id: int, inputs: object) -> Ticket:
    ask = Ask("predict", "m", "1", msgspec.json.encode(inputs), {}, request_id=f"r{id}")
    return Ticket(id, NATIVE, ask, time.monotonic() + 60)


def perform(
    opened: Opened, tickets: Sequence[Ticket], cap: Cap
) -> tuple[dict[int, Any], list[Timing]]:
    """The answers, or the codes of errors, by ticket, and what it took."""
    answers: dict[int, Any] = {}
    timings: list[Timing] = []

    def say(said: list[Said], timing: Timing, is_last: bool) -> None:
        timings.append(timing)
        for one in said:
            assert one.id not in answers
            answers[one.id] = one.error.code if one.error else msgspec.json.decode(one.body)

    Run(opened, Bounds(cap, 2**20, 30.0), say).run(tickets)
    return answers, timings


def narrow(holds: int, what: type[Narrow] = Narrow) -> tuple[Opened, Narrow]:
    opened = open_predictor(what)
    owner: Narrow = opened.predict.__self__  # type: ignore[attr-defined]
    owner.holds = holds
    return opened, owner


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 64),
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.sampled_from([1, 7, 64]),
)
def test_each_row_that_fits_is_answered_at_a_logarithm_of_calls(
    holds: int, sizes: list[int], most: int
) -> None:
    opened, owner = narrow(holds)
    cap, n = Cap(most), sum(sizes)
    tickets = [make(i, [{"number": 100 * i + j} for j in range(s)]) for i, s in enumerate(sizes)]
    answers, timings = perform(opened, tickets, cap)
    assert answers == {i: [2 * (100 * i + j) for j in range(size)] for i, size in enumerate(sizes)}
    assert owner.short <= math.ceil(math.log2(most)) if most > holds else owner.short == 0
    assert sum(t.shortages for t in timings) == owner.short
    held = [len(call) for call in owner.calls if len(call) <= holds]
    assert sum(held) == n, "no row was computed twice"
    assert cap.rows == most if owner.short == 0 else holds / 2 < cap.rows <= holds
    if short := owner.short:
        perform(opened, [make(1, [{"number": 1}] * 64)], cap)
        assert owner.short == short, "it has learnt"


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 64), st.sets(st.integers(0, 63), max_size=3))
def test_only_a_row_that_does_not_fit_alone_is_out_of_memory_and_it_teaches_nothing(
    n: int, greedy: set[int]
) -> None:
    opened, owner = narrow(64)
    cap, greedy = Cap(64), {i for i in greedy if i < n}
    tickets = [make(i, {"number": GREEDY if i in greedy else i}) for i in range(n)]
    answers, _ = perform(opened, tickets, cap)
    assert answers == {i: "out_of_memory" if i in greedy else 2 * i for i in range(n)}
    assert cap.rows == 64, "whose batch is fine without him must not make all others' small"
    assert len(owner.calls) <= 1 + 2 * len(greedy) * math.ceil(math.log2(n) if n > 1 else 0)


def test_what_must_not_be_asked_twice_is_not_and_the_next_call_is_smaller() -> None:
    opened, owner = narrow(3, NarrowOnce)
    cap = Cap(64)
    answers, _ = perform(opened, [make(i, {"number": i}) for i in range(6)], cap)
    assert answers == dict.fromkeys(range(6), "out_of_memory")
    assert len(owner.calls) == 1
    answers, _ = perform(opened, [make(i, {"number": i}) for i in range(6)], cap)
    assert answers == {i: 2 * i for i in range(6)}
    assert [len(call) for call in owner.calls] == [6, 3, 3]


def test_a_call_is_tried_larger_again_when_a_minute_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, owner = narrow(4)
    cap = Cap(32)
    sixteen = [make(1, [{"number": n} for n in range(16)])]
    perform(opened, sixteen, cap)
    assert cap.rows == 4
    later = time.monotonic() + RETRY_S
    monkeypatch.setattr("headway.engine.grab.time.monotonic", lambda: later)
    owner.calls.clear()
    answers, _ = perform(opened, [make_later(16, later)], cap)
    assert answers == {1: [2 * n for n in range(16)]}
    assert [len(call) for call in owner.calls] == [8, 4, 4, 4, 4], "one try, in vain"
    later += RETRY_S
    owner.holds = 64
    owner.calls.clear()
    perform(opened, [make_later(16, later)], cap)
    assert [len(call) for call in owner.calls] == [8, 8]
    assert cap.rows == 8


def make_later(rows: int, now: float) -> Ticket:
    ticket = make(1, [{"number": n} for n in range(rows)])
    ticket.deadline = now + 60
    return ticket


class Hoarder(hw.Predictor):
    """What a failed call had made must be gone when its half is tried."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[set[int]]] = []

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        assert not any(ref() for ref in self.made), "it is still there"
        made = set(number)
        self.made.append(weakref.ref(made))
        if len(number) > 1:
            self.fail(made)
        return number

    def fail(self, made: set[int]) -> None:
        also = {made.pop()}
        self.made.append(weakref.ref(also))
        raise MemoryError


def test_what_a_call_had_made_is_gone_before_its_half_is_tried() -> None:
    opened = open_predictor(Hoarder)
    answers, _ = perform(opened, [make(i, {"number": i}) for i in range(8)], Cap(8))
    assert answers == {i: i for i in range(8)}


# Whose exceptions speak of memory


class OutOfMemoryError(RuntimeError):
    """As PyTorch and CuPy name theirs."""


def _chained(cause: type[Exception]) -> Exception:
    try:
        try:
            raise cause
        except cause as e:
            raise ValueError("the model failed") from e
    except ValueError as e:
        return e


def _within(cause: type[Exception]) -> Exception:
    try:
        try:
            raise cause
        except cause:
            raise ValueError("while tidying up")  # noqa: B904
    except ValueError as e:
        return e


def _circle() -> Exception:
    error, other = ValueError(), ValueError()
    error.__cause__, other.__cause__ = other, error
    return error


SHORT: dict[str, Callable[[], Exception]] = {
    "Python's": MemoryError,
    "PyTorch's": OutOfMemoryError,
    "as a cause": lambda: _chained(OutOfMemoryError),
    "as a context": lambda: _within(MemoryError),
}


@pytest.mark.parametrize("how", SHORT)
def test_an_exception_that_comes_of_too_little_memory_is_told_so(how: str) -> None:
    error = SHORT[how]()
    assert is_short_of_memory(error)
    assert told(error).code == "out_of_memory"


@pytest.mark.parametrize("error", [ValueError(), _chained(KeyError), _circle(), ModelFailed()])
def test_other_exceptions_are_not(error: Exception) -> None:
    assert not is_short_of_memory(error)
    assert told(error).code == "model_failed"


def test_an_author_who_refuses_what_does_not_fit_has_the_last_word() -> None:
    error = hw.Reject("too large a picture")
    error.__context__ = MemoryError()
    assert told(error).code == "rejected"
