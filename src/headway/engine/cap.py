"""How many rows one model call may have, and what of that memory was seen to hold. Pure, told the time.

    failed ──▶ the cap falls to the half that fitted; after `RETRY_S` one call tries twice as many
    fitted ──▶ the cap rises to what was tried; at `most` it is gone

The slots of a worker share one, without a lock: each write is of one number, and a number that two of them write at
the same time is one that either has seen.
"""

RETRY_S = 60.0
"""So long after memory was short, or after more was tried, a call tries more rows than the cap."""


class Cap:
    """The rows of a call in one worker.

    Args:
        most: rows of a call where memory does not bound it.
    """

    __slots__ = ("_try_at", "most", "rows")

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows = most
        """A call of no more rows than this needs not to ask `room`."""
        self._try_at = 0.0

    def room(self, now: float) -> int:
        """Rows of the next call; more than `rows` when it is time to try."""
        if self.rows >= self.most or now < self._try_at:
            return self.rows
        self._try_at = now + RETRY_S  # one call tries, and not all of a grab
        return min(2 * self.rows, self.most)

    def failed(self, rows: int, now: float) -> bool:
        """Memory did not hold a call of so many rows, and held its halves; whether the cap has fallen."""
        self._try_at = now + RETRY_S
        half = max(1, rows - rows // 2)
        has_fallen = half < self.rows
        self.rows = min(self.rows, half)
        return has_fallen

    def fitted(self, rows: int, now: float) -> bool:
        """Memory held a call of so many rows; whether the cap has risen."""
        if rows <= self.rows:
            return False
        self.rows = rows
        self._try_at = now + RETRY_S
        return True
