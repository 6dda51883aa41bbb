"""Values that are kept by key, within so many bytes and so many seconds. Pure: it is told the time.

What is pushed out is chosen by SIEVE (Zhang et al., NSDI 2024): values lie in the order in which they came, a hand
walks from the oldest to the newest, spares once whoever was asked for since it last passed, and takes the first that
was not. So values that are asked for once leave soon, and those that are asked for often stay. Every byte counts,
also those of the key and of the tables around it. Not here: what a key is made of, and who may read a value.
"""

from typing import Any, Generic, TypeVar

from msgspec import Struct

Value = TypeVar("Value")

OVERHEAD_BYTES = 512
"""Of one value besides its own bytes: its key, its place in the table, the objects around it."""
LARGEST_PART = 8
"""One value takes at most this part of all bytes, so that none pushes out all others."""


class _Entry(Struct, eq=False):
    key: bytes
    value: Any
    size: int
    until: float
    is_wanted: bool = False
    """Asked for since the hand last passed."""
    newer: "_Entry | None" = None
    older: "_Entry | None" = None


class Cache(Generic[Value]):
    """Values by key.

    Args:
        limit_bytes: of all that is kept.
        ttl_s: no value is given after so many seconds.
    """

    def __init__(self, limit_bytes: int, ttl_s: float) -> None:
        self._limit = limit_bytes
        self._ttl_s = ttl_s
        self._entries: dict[bytes, _Entry] = {}
        self._newest: _Entry | None = None
        self._oldest: _Entry | None = None
        self._hand: _Entry | None = None
        self.bytes = 0
        """Kept now."""
        self.evictions = 0
        """Values that were pushed out before their time was over."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Value | None:
        """The value of a key; None where there is none, or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= now:
            self._drop(entry)
            return None
        entry.is_wanted = True
        value: Value = entry.value
        return value

    def put(self, key: bytes, value: Value, size: int, now: float) -> None:
        """Keep a value of so many bytes in the place of what the key had, unless it takes more than its share."""
        size += OVERHEAD_BYTES
        known = self._entries.get(key)
        if known is not None:
            self._drop(known)
        if size > self._limit // LARGEST_PART:
            return
        while self.bytes + size > self._limit:
            self._push_out(now)
        entry = _Entry(key, value, size, now + self._ttl_s, older=self._newest)
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = self._entries[key] = entry
        self.bytes += size

    def _push_out(self, now: float) -> None:
        """Walk on from where the hand is, and let one go; there must be one."""
        entry = self._hand or self._oldest
        assert entry is not None
        while entry.is_wanted and entry.until > now:
            entry.is_wanted = False
            entry = entry.newer or self._oldest
            assert entry is not None
        self._hand = entry
        self.evictions += entry.until > now
        self._drop(entry)

    def _drop(self, entry: _Entry) -> None:
        newer, older = entry.newer, entry.older
        if entry is self._hand:
            self._hand = newer
        if newer is None:
            self._newest = older
        else:
            newer.older = older
        if older is None:
            self._oldest = newer
        else:
            older.newer = newer
        entry.newer = entry.older = None
        del self._entries[entry.key]
        self.bytes -= entry.size
