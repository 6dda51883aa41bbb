"""How many lines the log of slow requests writes: so many a second, and a count of those left out. Pure."""

LINES_A_SECOND = 10


class SlowLines:
    """Says of each slow request whether it gets a line of its own."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._written = 0
        self._left_out = 0

    def admits(self, now: float) -> bool:
        """Whether one that ended now gets a line; else it is counted."""
        if now - self._began >= 1.0:
            self._began, self._written = now, 0
        if self._written >= LINES_A_SECOND:
            self._left_out += 1
            return False
        self._written += 1
        return True

    def take_left_out(self) -> int:
        """How many were left out since this was asked last."""
        left_out, self._left_out = self._left_out, 0
        return left_out
