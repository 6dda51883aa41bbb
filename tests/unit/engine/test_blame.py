"""What a caller is told of an exception, and what is let go for a second try."""

import weakref

import pytest

from headway.engine.blame import internal, is_short_of_memory, let_go, told
from headway.errors import BadInput, InternalError, ModelFailed, OutOfMemory, Rejected
from headway.model.marks import Reject


@pytest.mark.parametrize(
    ("error", "wanted"), [(KeyError("x"), InternalError), (MemoryError(), OutOfMemory)]
)
def test_a_bug_is_ours_unless_memory_was_short(error: Exception, wanted: type[Exception]) -> None:
    failure = internal(error)
    assert type(failure) is wanted
    assert failure.__cause__ is error


class Large:
    """What a frame holds."""


def fail(kept: "list[weakref.ref[Large]]") -> None:
    held = Large()
    kept.append(weakref.ref(held))
    raise MemoryError


def fail_of_it(kept: "list[weakref.ref[Large]]") -> None:
    held = Large()
    kept.append(weakref.ref(held))
    try:
        fail(kept)
    except MemoryError as e:
        raise ValueError("no room") from e


def test_what_the_frames_of_an_exception_and_of_its_cause_held_is_freed() -> None:
    kept: list[weakref.ref[Large]] = []
    try:
        fail_of_it(kept)
    except ValueError as e:
        assert [ref() is not None for ref in kept] == [True, True]
        let_go(e)
        assert [ref() for ref in kept] == [None, None]


class OutOfMemoryError(RuntimeError):
    """As PyTorch and CuPy name theirs."""


def after(cause: BaseException) -> Exception:
    """An exception that another led to, without a word of it."""
    try:
        try:
            raise cause
        except type(cause):
            raise KeyError("late")  # noqa: B904  (its context is what is meant)
    except KeyError as e:
        return e


def silenced(cause: BaseException) -> Exception:
    """An exception whose author says that nothing led to it."""
    try:
        raise after(cause) from None
    except KeyError as e:
        e.__context__ = cause
        return e


@pytest.mark.parametrize(
    ("error", "is_short"),
    [
        (MemoryError(), True),
        (OutOfMemoryError(), True),
        (RuntimeError("out of memory"), False),
        (after(MemoryError()), True),
        (silenced(MemoryError()), False),
    ],
)
def test_memory_was_short_where_an_exception_or_what_led_to_it_says_so(
    error: BaseException, is_short: bool
) -> None:
    assert is_short_of_memory(error) is is_short
    assert type(told(error)) is (OutOfMemory if is_short else ModelFailed)


def test_causes_that_lead_in_a_circle_are_followed_to_an_end() -> None:
    first, second = KeyError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_short_of_memory(first)


def test_the_longest_chain_is_followed_to_its_twentieth() -> None:
    def chain(length: int) -> Exception:
        error: Exception = MemoryError()
        for _ in range(length - 1):
            error, cause = KeyError(), error
            error.__cause__ = cause
        return error

    assert is_short_of_memory(chain(20))
    assert not is_short_of_memory(chain(21))


def test_a_refusal_and_an_error_of_our_tree_are_told_as_they_are() -> None:
    rejected = told(Reject("no text"))
    assert (type(rejected), rejected.message) == (Rejected, "no text")
    bad = BadInput(where="x", expected="a", found="b")
    assert told(bad) is bad
    failed = ModelFailed()
    assert told(failed) is failed
    failed.__cause__ = MemoryError()
    assert type(told(failed)) is OutOfMemory
    assert told(failed).__cause__ is failed
