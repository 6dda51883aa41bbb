"""How many requests may wait, learnt from callers who left before their turn. Pure.

A caller who waits longer than he wants leaves, or his time is over; what stood before him was served for nobody if it
left too. When more requests end so than are answered, the queue is longer than its callers' patience: from then on no
more may wait than are answered in half of the time that the leavers stayed. Who comes on top is refused at once and
may ask elsewhere. It is forgotten after `KEEP_S`, so that the bound is tried again. Callers who leave sooner than
`LEAST_S` teach nothing: they have other reasons, and nobody shall be able to close a queue by hanging up.
"""

import math
from statistics import median

WINDOW_S = 0.5
"""Ends are counted over this long, or until something has been answered."""
STALE_S = 10.0
"""A longer window says nothing of now."""
LEAST_S = 1.0
KEEP_S = 30.0
FEWEST = 8
"""So many have to leave in a window."""
UNBOUND = 1 << 62
_MOST_SAMPLES = 1024


class Leavers:
    """What one queue knows of its callers' patience.

    Attributes:
        most: requests that may wait; UNBOUND while nobody has left lately.
        patience_s: how long those who left had stayed, by their median.
    """

    __slots__ = ("_answered", "_left", "_since", "_stays_s", "_until", "most", "patience_s")

    def __init__(self) -> None:
        self.most = UNBOUND
        self.patience_s = math.inf
        self._stays_s: list[float] = []
        self._left = 0
        self._answered = 0.0
        self._since = -math.inf
        self._until = -math.inf

    def left(self, stay_s: float) -> None:
        """A caller has left, or his time was over, before his answer came."""
        if stay_s >= LEAST_S:
            self._left += 1
            if len(self._stays_s) < _MOST_SAMPLES:
                self._stays_s.append(stay_s)

    def judge(self, answered: float, least: int, now: float) -> bool:
        """Look at what has happened since the last time.

        Args:
            answered: requests that have been answered so far.
            least: so many may always wait, as the slots take at once.
            now: seconds of the monotonic clock.

        Returns:
            Whether a bound has been learnt that was not there before.
        """
        span_s = now - self._since
        done = answered - self._answered
        if span_s < WINDOW_S or (not done and span_s < STALE_S):
            return False
        was_unbound, is_fresh = self.most == UNBOUND, span_s < STALE_S
        if is_fresh and self._left >= FEWEST and self._left > done:
            self.patience_s = median(self._stays_s)
            self._until = now + KEEP_S
        if now >= self._until:
            self.most = UNBOUND
        elif is_fresh:
            self.most = max(least, int(done / span_s * self.patience_s / 2))
        self._since, self._answered, self._left = now, answered, 0
        self._stays_s.clear()
        return was_unbound and self.most != UNBOUND
