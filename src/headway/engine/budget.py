"""Whether what was in a dead worker is tried again, so that retries never add up to a load of their own.

Pure, told the counts. Each model has one in each gateway; it is asked once for each death, for all that was in the
worker: either the whole of it is tried again or nothing.

    a retry owes 1; a good answer pays back `SHARE` of one
    a worker's requests are tried again while what is owed is no more than what the workers have now, or `LEAST`

So a death that nobody expects costs nobody an answer, however large the worker's grabs. Where all workers die again
and again, nothing is paid back, and after about two rounds of what they hold no request is tried twice any more.
Over any time, retries are at most a fifth of the good answers and those two rounds.
"""

SHARE = 0.2
LEAST = 3


class Budget:
    """What retries may cost.

    Args:
        answered: good answers so far.
    """

    __slots__ = ("_answered", "owed")

    def __init__(self, answered: float) -> None:
        self._answered = answered
        self.owed = 0.0
        """Retries that good answers have not paid back yet."""

    def allows(self, answered: float, active: int) -> bool:
        """Whether what was in a worker that has just died may be tried again.

        Args:
            answered: good answers so far.
            active: requests that were in workers just before it died, with its own.
        """
        self.owed = max(0.0, self.owed - SHARE * (answered - self._answered))
        self._answered = answered
        return self.owed <= max(LEAST, active)

    def spend(self) -> None:
        """A request is tried again."""
        self.owed += 1
