"""Which workers may load now: as many at a time as there are cores, first come, first served. Pure, told the time.

Loads beside each other take each other's cores: none is ready sooner, and what each measures of its model, to decide
on batches and slots, would be the crowd's. A load that waits for a disk or a network gives its turn on after a while.
"""

from collections import deque

TURN_S = 3.0
"""A load that takes longer no longer keeps the next one waiting."""

Who = tuple[str, int]
"""A model and one of its workers."""


class Turns:
    """Who loads, and who waits.

    Args:
        most: turns at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Who] = deque()
        self._loading: dict[Who, float] = {}
        """Since when."""

    def ask(self, who: Who) -> None:
        """Wait for a turn."""
        self._waiting.append(who)

    def take(self, now: float) -> Who | None:
        """Who may load now, one after the other; None once nobody may."""
        for who, since in list(self._loading.items()):
            if now - since >= TURN_S:
                del self._loading[who]
        if not self._waiting or len(self._loading) >= self._most:
            return None
        who = self._waiting.popleft()
        self._loading[who] = now
        return who

    def end(self, who: Who) -> None:
        """A load has ended, one way or the other; who has no turn may say so too."""
        self._loading.pop(who, None)
