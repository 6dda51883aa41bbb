"""When a failed attempt is made again: by what failed, the time that is left and the model's word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import errors
from headway.client.retry import LONGEST_S, Attempts, may_retry
from headway.errors import HeadwayError

REFUSED = errors.Unreachable(url="u", reason="refused", is_sent=False)
BROKEN = errors.Unreachable(url="u", reason="reset", is_sent=True)

TABLE: list[tuple[HeadwayError, bool, bool]] = [
    # error, retried if idempotent, retried if not
    (REFUSED, True, True),
    (BROKEN, True, False),
    (errors.QueueFull(model="m", limit=1), True, True),
    (errors.NotReady(model="m", reason="it loads"), True, True),
    (errors.BusyError("from a proxy", is_foreign=True), True, False),
    (errors.WorkerLost(why="so"), True, False),
    (errors.ServerStopped(), True, False),
    (errors.BadAnswer(url="u", found="502", status=502), True, False),
    (errors.BadAnswer(url="u", found="404", status=404), False, False),
    (errors.GivenUp(model="m", reason="broken"), False, False),
    (errors.DeadlineError(timeout_s=1), False, False),
    (errors.BadInput("no"), False, False),
    (errors.ModelFailed(), False, False),
    (errors.ModelCrashed(), False, False),
]


@pytest.mark.parametrize(
    ("error", "if_idempotent", "if_not"),
    TABLE,
    ids=[e.code + str(i) for i, (e, *_) in enumerate(TABLE)],
)
def test_only_what_can_help_and_harms_nobody_is_tried_again(
    error: HeadwayError, if_idempotent: bool, if_not: bool
) -> None:
    assert may_retry(error, is_idempotent=True) is if_idempotent
    assert may_retry(error, is_idempotent=False) is if_not


@given(st.floats(0, 1), st.integers(0, 9), st.floats(0.1, 100), st.integers(0, 30))
def test_no_wait_is_shorter_than_told_or_goes_past_the_deadline(
    chance: float, most: int, deadline: float, told_s: int
) -> None:
    attempts = Attempts(most, deadline, is_idempotent=True)
    error = errors.BusyError(retry_after_s=told_s)
    now, waits = 0.0, 0
    while (wait_s := attempts.wait_s(error, now, chance)) is not None:
        assert told_s <= wait_s <= told_s + LONGEST_S
        now += wait_s
        waits += 1
        assert now < deadline
    assert waits <= most


def test_waits_double_up_to_a_bound() -> None:
    attempts = Attempts(9, 1e6, is_idempotent=True)
    waits = [attempts.wait_s(REFUSED, 0, 1.0) for _ in range(9)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
