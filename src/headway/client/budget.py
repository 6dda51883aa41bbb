"""Whether a request may be tried again, so that a client's retries never add up to a load of their own.

Pure, told the time. Within the last `WINDOW_S` seconds no more than `SHARE` of the requests, or `LEAST`, are
retries. A server that refuses everything is asked at most a fifth more than it would be without retries.

    a request or a retry counts in the second in which it happened; seconds older than the window are forgotten
"""

WINDOW_S = 10
SHARE = 0.2
LEAST = 3


class Budget:
    """What retries may cost; the counts of the last seconds, one slot a second."""

    __slots__ = ("_requests", "_retries", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._requests = [0] * WINDOW_S
        self._retries = [0] * WINDOW_S

    def ask(self, now: float) -> None:
        """A request is made for the first time.

        Args:
            now: seconds of the monotonic clock.
        """
        self._turn(now)
        self._requests[self._second % WINDOW_S] += 1

    def spend(self, now: float) -> bool:
        """Count a retry if there is one left, and say whether there was."""
        self._turn(now)
        if sum(self._retries) + 1 > max(LEAST, SHARE * sum(self._requests)):
            return False
        self._retries[self._second % WINDOW_S] += 1
        return True

    def _turn(self, now: float) -> None:
        """Forget the seconds that are over."""
        second = int(now)
        for past in range(max(self._second + 1, second - WINDOW_S + 1), second + 1):
            self._requests[past % WINDOW_S] = self._retries[past % WINDOW_S] = 0
        self._second = max(self._second, second)
