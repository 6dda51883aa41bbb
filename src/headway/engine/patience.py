"""How long a caller that is refused is asked to wait: until the queue has drained, and not all the same. Pure.

What drains is measured while callers are refused: requests that ended, over `WINDOW_S` or a little more. Without
such a measure it is `LEAST_S`. Callers who are refused together are spread over as long again, and a little more.
"""

import math

LEAST_S = 1
LONGEST_S = 30
"""Longest drain that is told; callers are spread over as long again."""
WINDOW_S = 1.0
STALE_S = 10.0
"""What was counted longer ago says nothing of now."""


class Patience:
    """The pace of one queue, and what follows for those whom it can't take."""

    __slots__ = ("_counted_at", "_ended", "_per_s")

    def __init__(self) -> None:
        self._counted_at = -math.inf
        self._ended = 0.0
        self._per_s = 0.0

    def seconds(self, queued: int, ended: float, now: float, luck: float) -> int:
        """Whole seconds, 1 or more, until a caller should ask again.

        Args:
            queued: requests that wait.
            ended: requests that have ended so far, without those that were refused.
            now: seconds of the monotonic clock.
            luck: of this caller, from 0 up to but not including 1.
        """
        since_s = now - self._counted_at
        if since_s >= WINDOW_S:
            self._per_s = (ended - self._ended) / since_s if since_s <= STALE_S else 0.0
            self._counted_at, self._ended = now, ended
        drain_s = queued / self._per_s if self._per_s else 0.0
        least_s = max(LEAST_S, math.ceil(min(drain_s, LONGEST_S)))
        return least_s + int(luck * (least_s + 2))
