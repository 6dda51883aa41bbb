"""Cancels that reach a worker before their requests do. No sockets, no locks: one thread writes, several take."""

from collections import deque

MOST = 1024
"""A cancel that came after its request's end is never taken; only so many are kept."""


class EarlyCancels:
    """Cancels that were read before their requests, on another socket by another thread.

    One that came too late instead stays until it is one of the oldest.
    """

    def __init__(self) -> None:
        self._keys: set[tuple[int, int]] = set()
        self._in_order: deque[tuple[int, int]] = deque()

    def note(self, gateway: int, id: int) -> None:
        """Keep a cancel; called from the main thread."""
        key = gateway, id
        self._keys.add(key)
        self._in_order.append(key)
        if len(self._in_order) > MOST:
            self._keys.discard(self._in_order.popleft())

    def take(self, gateway: int, id: int) -> bool:
        """Whether a request was cancelled before it came; called from a slot's thread."""
        if (gateway, id) not in self._keys:
            return False
        self._keys.discard((gateway, id))
        return True

    def forget(self, gateway: int) -> None:
        """Drop a gateway's cancels; called from the main thread."""
        for key in self._in_order:
            if key[0] == gateway:
                self._keys.discard(key)
