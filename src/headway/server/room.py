"""How many bytes of bodies one gateway holds, and whether there is room for more. Pure.

Counted are bodies that arrive in parts, as they arrive, and bodies that wait for a worker. Not here: small ones that
came whole with their head, until they wait; what workers have already, which their number bounds.
"""

from collections.abc import Callable

from headway.server.http1 import FramingError

SMALL_BYTES = 64 * 2**10
"""A body that announces no more than this is let in unasked, and counted as it arrives."""


class Room:
    """The bound of one gateway. A body is always taken, whatever its size, while no other is held.

    Args:
        limit_bytes: of all bodies together.
        waiting: says how many bytes of bodies wait for a worker now.
    """

    def __init__(self, limit_bytes: int, waiting: Callable[[], int]) -> None:
        self.arriving = 0
        self.limit_bytes = limit_bytes
        self._waiting = waiting

    def expect(self, size: int) -> None:
        """Let a body in of which `size` bytes are announced. Raises FramingError."""
        if size > SMALL_BYTES:
            held = self.arriving + self._waiting()
            if held and held + size > self.limit_bytes:
                raise self._full()

    def take(self, size: int, own: int) -> None:
        """Count `size` more bytes of a body that has `own` by now. Raises FramingError: it is one too many."""
        self.arriving += size
        held = self.arriving + self._waiting()
        if held > self.limit_bytes and held > own:
            raise self._full()

    def give_back(self, size: int) -> None:
        """Count so many bytes no more: they wait now, or are gone."""
        self.arriving -= size

    def _full(self) -> FramingError:
        message = f"the server holds as many bodies as it may ({self.limit_bytes} bytes); try again in 1 s"
        return FramingError(503, message)
