"""How the C library's allocator treats what is freed: where bodies are large it is kept for the next. glibc alone.

By itself glibc raises its two thresholds as it sees large blocks freed, and stops where it happens to. What a request
with a body of a megabyte frees may then lie just above the second: it is given back each time, and the next request
pays for the same pages again. The thresholds set here are the highest that glibc comes to by itself, so that nobody
keeps more than might have been kept without them. A process that sees small bodies only is left as it is, since what
lies free at the end of its heap would grow slowly, from one peak to the next.
"""

import ctypes
from typing import Final

from headway import config

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Options of mallopt(3), as glibc's malloc.h numbers them."""

LARGE_BYTES: Final = 128 * 2**10
"""What glibc begins to take for large; smaller blocks don't move its thresholds."""
MMAP_BYTES: Final = 32 * 2**20
"""A block from this size on is a mapping of its own, and given back as soon as it is freed; glibc takes no more."""
TRIM_BYTES: Final = 2 * MMAP_BYTES
"""So much may lie free at the end of a heap before it is given back. A slot's thread has one, seldom two of them."""


class Allocator:
    """What one part of a process sees of large blocks. Who set the allocator by its own variables has the last word."""

    def __init__(self) -> None:
        self._is_settled = config.sets_allocator()

    def expect(self, size: int) -> None:
        """Such blocks come: from the first large one on, keep what is freed."""
        if size < LARGE_BYTES or self._is_settled:
            return
        self._is_settled = True
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
            library.mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES)


def give_back() -> None:
    """Give the system what a start has left over."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
