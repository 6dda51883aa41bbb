"""The last errors: numbered, bounded, and nothing but records."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.observe.error_log import ErrorLog, Keeper
from headway.observe.log import LINE_BYTES


def line(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


@given(st.integers(1, 8), st.integers(0, 30), st.integers(0, 40))
def test_the_last_ones_are_told_by_number(most: int, taken: int, after: int) -> None:
    errors = ErrorLog(most)
    for i in range(1, taken + 1):
        errors.take(line(str(i)))
    told = errors.after(after)
    assert [error["number"] for error in told] == list(range(1, taken + 1))[after:][-most:]
    assert all(error["message"] == str(error["number"]) for error in told)
    assert errors.count == taken


@pytest.mark.parametrize("bad", [b"", b"no JSON", b"[1]", b"\xff\xfe", b'{"message":', b"null"])
def test_what_is_no_record_is_left_out(bad: bytes) -> None:
    errors = ErrorLog()
    errors.take(line("before"))
    errors.take(bad)
    errors.take(line("behind"))
    assert [error["message"] for error in errors.after(0)] == ["before", "behind"]


def test_a_line_that_is_too_long_is_none_of_ours() -> None:
    errors = ErrorLog()
    errors.take(b"x" * (LINE_BYTES + 1))
    assert errors.count == 0


def test_own_errors_are_kept_in_bounds_and_without_secrets() -> None:
    errors = ErrorLog()
    logger = logging.Logger("alone")
    logger.addHandler(Keeper(errors, "supervisor"))
    logger.warning("not yet")
    logger.error("x" * 10_000, extra={"password": "open sesame"})
    (told,) = errors.after(0)
    assert len(told["message"]) < LINE_BYTES
    assert (told["password"], told["process"]) == ("***", "supervisor")


def test_a_record_that_cannot_be_written_is_nobodys_trouble() -> None:
    class Bad:
        def __str__(self) -> str:
            raise ValueError("no")

    errors = ErrorLog()
    logger = logging.Logger("alone")
    logger.addHandler(Keeper(errors, "supervisor"))
    logger.error("it", extra={"value": Bad()})
    assert errors.count == 0
