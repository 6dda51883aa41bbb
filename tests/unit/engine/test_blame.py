"""What a caller is told of an exception, and what is let go for a second try."""

import weakref

import pytest

from headway.engine.blame import internal, let_go
from headway.errors import InternalError, OutOfMemory


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
