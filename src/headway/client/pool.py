"""Which connections of a client are idle, and whether one may still be used. Pure, told the time."""

from collections import deque
from typing import Generic, Protocol, TypeVar

IDLE_S = 30.0
"""An idle connection older than this is not used again: a server or a proxy may be about to close it."""


class Closable(Protocol):
    """What a pool holds."""

    def close(self) -> None:
        """Close it at once."""
        ...

    def is_stale(self) -> bool:
        """The other end has closed it, or has said something unasked."""
        ...


C = TypeVar("C", bound=Closable)


class Pool(Generic[C]):
    """Idle connections, the one that was used last in front."""

    def __init__(self) -> None:
        self._idle: deque[tuple[C, float]] = deque()
        self.is_closed = False

    def take(self, now: float) -> C | None:
        """An idle connection that can be used; None where there is none."""
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread took the last
                return None
            if now - since < IDLE_S and not connection.is_stale():
                return connection
            connection.close()
        return None

    def put(self, connection: C, now: float) -> None:
        """Keep a connection for the next request; close those that are too old to be used."""
        if self.is_closed:
            connection.close()
            return
        self._idle.append((connection, now))
        while self._idle and now - self._idle[0][1] >= IDLE_S:
            try:
                self._idle.popleft()[0].close()
            except IndexError:
                return

    def close(self) -> None:
        """Close all that are idle, and from now on each that comes back."""
        self.is_closed = True
        self.drop()

    def drop(self) -> None:
        """Close all that are idle."""
        while self._idle:
            try:
                self._idle.pop()[0].close()
            except IndexError:
                return

    def __len__(self) -> int:
        return len(self._idle)
