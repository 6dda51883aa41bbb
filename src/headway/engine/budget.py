"""Whether what was in a dead worker is tried again, so that retries never add up to a load of their own.

Pure, told the counts. Each model has one in each gateway; it is asked once for each death, for all that was in the
worker: either the whole of it is tried again or nothing.

    a retry owes 1; a good answer pays back `SHARE` of one, and each second `PER_S`
    a worker's requests are tried again while what is owed is no more than `ROUNDS` times what the workers have
    now, or `LEAST`

So a death that nobody expects costs nobody an answer, however large the worker's grabs, and neither do a few that
come together. Where all workers die again and again, no good answer pays, and after `ROUNDS` + 1 times what they
hold hardly a request is tried twice any more.
"""

SHARE = 0.2
PER_S = 0.1
"""Where few ask, few answers pay, and a death a day must still cost nobody anything."""
ROUNDS = 4
LEAST = 10


class Budget:
    """What retries may cost.

    Args:
        answered: good answers so far.
        now: seconds of the monotonic clock.
    """

    __slots__ = ("_answered", "_paid_at", "owed")

    def __init__(self, answered: float, now: float) -> None:
        self._answered = answered
        self._paid_at = now
        self.owed = 0.0
        """Retries that good answers have not paid back yet."""

    def allows(self, answered: float, active: int, now: float) -> bool:
        """Whether what was in a worker that has just died may be tried again.

        Args:
            answered: good answers so far.
            active: requests that were in workers just before it died, with its own.
            now: seconds of the monotonic clock.
        """
        paid = SHARE * (answered - self._answered) + PER_S * (now - self._paid_at)
        self.owed = max(0.0, self.owed - paid)
        self._answered, self._paid_at = answered, now
        return self.owed <= max(LEAST, ROUNDS * active)

    def spend(self) -> None:
        """A request is tried again."""
        self.owed += 1
