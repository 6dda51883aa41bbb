"""Whether a failed attempt is made again, and after what wait. Pure, told the time and a random number.

    what happened                                    tried again
    the connection could not be opened               yes
    429, not_ready, busy: nothing was computed       yes
    the connection broke before a whole answer came  if the model is idempotent
    another 503, or 502                              if the model is idempotent
    anything else: a 4xx, a 500, a deadline          no
    an answer that has begun to reach the caller     no (a stream)

The wait is a random part of a bound that doubles; a Retry-After is waited for in full first. No wait goes past
the deadline: then the caller is told at once what happened. All attempts count against a budget (`budget`).
"""

from dataclasses import dataclass
from typing import Final

from headway.errors import BadAnswer, BusyError, GivenUp, HeadwayError, Unreachable, WorkerError

FIRST_S: Final = 0.05
LONGEST_S: Final = 2.0


@dataclass(slots=True)
class Attempts:
    """The attempts at one request.

    Args:
        most: retries after the first attempt.
        deadline: when the caller wants to be told, whatever happened; seconds of the monotonic clock.
        is_idempotent: asking twice does no harm.
    """

    most: int
    deadline: float
    is_idempotent: bool
    failed: int = 0

    def wait_s(self, error: HeadwayError, now: float, chance: float) -> float | None:
        """How long to wait before the next attempt; None: there is none, and the error is the caller's.

        Args:
            error: of the attempt that has just failed.
            now: seconds of the monotonic clock.
            chance: a random number from 0 to 1.
        """
        if self.failed >= self.most or not may_retry(error, is_idempotent=self.is_idempotent):
            return None
        bound: float = min(LONGEST_S, FIRST_S * 2**self.failed)
        told = error.retry_after_s if isinstance(error, BusyError) else 0.0
        wait_s = told + chance * bound
        if now + wait_s >= self.deadline:
            return None
        self.failed += 1
        return wait_s


def may_retry(error: HeadwayError, *, is_idempotent: bool) -> bool:
    """Whether asking again can help, and does no harm."""
    if isinstance(error, BusyError):
        return is_idempotent or not error.fields.get("is_foreign", False)
    if isinstance(error, Unreachable):
        return is_idempotent or not error.fields.get("is_sent", True)
    if isinstance(error, GivenUp):
        return False
    if isinstance(error, BadAnswer):
        return is_idempotent and error.fields.get("status") == 502
    return is_idempotent and isinstance(error, WorkerError)
