"""The answers of single rows that a worker has given before: a row that is known again skips the model.

A row is known by its inputs as the predictor would get them, whatever the dialect and the spelling that they came in:
V2 with another id, JSON with other spaces, one of many in a batch. For predictors that are deterministic and ask for
no context, and cost more than it takes to look a row up. Slots share it.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from headway.config import ModelSettings
from headway.engine.cache import Cache
from headway.errors import HeadwayError
from headway.model.call import Call, Result
from headway.model.cut import Cut, whole
from headway.model.wire import Wire

log = logging.getLogger(__name__)

LEAST_ITEM_S = 100e-6
"""A row that the model answers faster is not looked up: a key takes 5 to 15 µs, and most rows are new."""
KEY_BYTES = 16

_encode = msgspec.msgpack.Encoder().encode


class Known:
    """Rows and their answers.

    Args:
        wire: tells rows apart.
        limit_bytes: of all that is kept.
        ttl_s: no answer is given for longer.
    """

    def __init__(self, wire: Wire, limit_bytes: int, ttl_s: float) -> None:
        self._wire = wire
        self._cache: Cache[Result] = Cache(limit_bytes, ttl_s)
        self._lock = threading.Lock()
        self._is_told = False

    def keys(self, call: Call) -> list[bytes]:
        """What each row is known by; empty where its inputs can't tell."""
        try:
            return [
                blake2b(_encode(self._wire.identity(call, row)), digest_size=KEY_BYTES).digest()
                for row in range(call.rows)
            ]
        except HeadwayError:  # the model's call tells of a bad row
            return []
        except Exception as e:  # noqa: BLE001  (of a kind, or of the author's types; told once, and the rows are asked)
            self._tell(e)
            return []

    def find(self, keys: Sequence[bytes], now: float) -> dict[int, Result]:
        """The answers of the rows that are known."""
        with self._lock:
            found = {row: self._cache.get(key, now) for row, key in enumerate(keys)}
        return {row: Result(_lent(r.values)) for row, r in found.items() if r is not None}

    def keep(self, key: bytes, single: Result, now: float) -> None:
        """Keep the answer of one row, as a copy that holds no more than it."""
        try:
            own = Result(_own(single.values))
            size = _size(own.values)
        except Exception as e:  # noqa: BLE001  (of the author's types, such as one that holds itself; told once)
            self._tell(e)
            return
        with self._lock:
            self._cache.put(key, own, size, now)

    def _tell(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("rows_not_kept", exc_info=error)


def known_of(wire: Wire, settings: ModelSettings, item_s: float | None) -> Known | None:
    """The known rows of a worker, where they are asked for, allowed, and pay."""
    is_apt = wire.description.is_cacheable and wire.signature.context is None
    is_quick = item_s is not None and item_s < LEAST_ITEM_S
    if not settings.cache_bytes or not is_apt or is_quick or not wire.signature.has_rows:
        return None
    return Known(wire, settings.cache_bytes, settings.cache_ttl_s)


def _own(values: Any) -> Any:
    if isinstance(values, Cut):
        return whole(values.array.copy())
    if isinstance(values, dict):
        return {name: _own(part) for name, part in values.items()}
    return [v.copy() if hasattr(v, "nbytes") or _is_picture(v) else v for v in values]


def _lent(values: Any) -> Any:
    """The same for one who asks: what is made of arrays to answer him, such as lists, is not kept with them."""
    if isinstance(values, Cut):
        return whole(values.array)
    if isinstance(values, dict):
        return {name: _lent(part) for name, part in values.items()}
    return values


def _is_picture(value: Any) -> bool:
    """Of Pillow, of which nothing is imported here."""
    return hasattr(value, "getbands")


def _size(value: Any) -> int:
    """Bytes that a value takes, roughly, with all that it holds."""
    if isinstance(value, Cut):
        value = value.array
    if hasattr(value, "nbytes"):
        return int(value.nbytes) + 256
    if _is_picture(value):
        return 4 * int(value.width * value.height) + 256
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(_size(k) + _size(v) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return size + sum(map(_size, value))
    if isinstance(value, msgspec.Struct):
        return size + sum(_size(getattr(value, name)) for name in value.__struct_fields__)
    held = getattr(value, "__dict__", None)
    return size + (_size(held) if held else 0)
