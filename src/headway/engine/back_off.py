"""When a process that keeps dying may be started again. Pure, told the time.

The first death in a row costs nothing; from the second on, each wait is twice as long as the one before.
"""

from dataclasses import dataclass

FIRST_S = 0.1
LONGEST_S = 30.0
MAX_DEATHS = 5
"""So many deaths in a row, before anything ever worked, are a failure."""


@dataclass(slots=True)
class BackOff:
    """The deaths in a row of one process, or of several that stand for each other."""

    longest_s: float = LONGEST_S
    deaths: int = 0
    start_at: float = 0.0
    """Nobody is started before this."""

    def died(self, now: float) -> None:
        """One more death in a row."""
        self.deaths += 1
        if self.deaths > 1:
            # Not 2**deaths: a crash loop of days would be more than a float holds.
            doublings = min(self.deaths - 2, 20)
            self.start_at = now + min(FIRST_S * 2**doublings, self.longest_s)

    def lived(self) -> None:
        """It has worked: the row is over."""
        self.deaths = 0

    def reset(self, now: float) -> None:
        """What died is replaced by something else."""
        self.deaths, self.start_at = 0, now

    @property
    def is_hopeless(self) -> bool:
        """It has died so often in a row that trying again is vain."""
        return self.deaths >= MAX_DEATHS
