"""What the right answer is, and in which class a request ended. Pure.

A row's right answer is `[id_lo, id_hi, version, checksum]`: it tells whose it is, who computed it and from what.
Each request ends in exactly one class. `wrong`, `duplicate` and `hung` must never be seen.
"""

import json
import zlib
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

STEP = 8
"""Ids of requests are this far apart; the rows of a request have the ids in between."""
_LOW = 2**32 - 1


class End(StrEnum):
    """How a request ended."""

    EXACT = "exact"
    REFUSED = "refused"
    """429 or 503, with Retry-After."""
    CLIENT_ERROR = "client_error"
    FAILED = "failed"
    """5xx, or the connection broke."""
    TIMEOUT = "timeout"
    """504: the server kept its deadline."""
    HUNG = "hung"
    """No end by the deadline and a second."""
    WRONG = "wrong"
    DUPLICATE = "duplicate"
    LEFT = "left"
    """The client itself went away."""


NEVER = frozenset({End.HUNG, End.WRONG, End.DUPLICATE})


class Mood(StrEnum):
    """What a request is like."""

    GOOD = "good"
    LEAVER = "leaver"
    """Its client closes the connection before the answer."""
    HURRIED = "hurried"
    """Its deadline may be too short."""
    POISON = "poison"
    """It kills the worker."""
    SICK = "sick"
    """The model raises on it."""
    REJECTED = "rejected"
    BAD = "bad"
    """It does not fit the signature."""


@dataclass(slots=True)
class Asked:
    """One request, as it was sent."""

    id: int
    mood: Mood
    texts: Sequence[str]
    """One a row."""
    timeout_s: float
    versions: frozenset[int] = frozenset({1})
    """Versions that were live when it was sent."""
    is_v2: bool = False
    sent_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A whole answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def right_row(id: int, version: int, text: str) -> list[int]:
    """The right answer to one row."""
    return [id & _LOW, id >> 32, version, zlib.crc32(text.encode())]


def id_of(row: Sequence[int]) -> int:
    """Whose answer a row is."""
    return row[0] | row[1] << 32


def classify(
    asked: Asked, seen: Seen | None, live: Collection[int], answered: Container[int]
) -> tuple[End, str]:
    """In which class a request ended, and a word on it: the error's code, what was wrong.

    Args:
        asked: what was sent.
        seen: the answer; None if the connection broke before it was whole.
        live: versions that are live now.
        answered: ids of requests that were answered before.
    """
    if seen is None:
        return End.FAILED, "cut"
    if seen.status == 200:
        return _judge(asked, seen.body, {*asked.versions, *live}, answered)
    code = code_of(seen.body)
    if seen.status == 504:
        return End.TIMEOUT, code
    if seen.status in (429, 503) and "retry-after" in seen.headers:
        return End.REFUSED, code
    if 400 <= seen.status < 500:
        return End.CLIENT_ERROR, code
    return End.FAILED, code or str(seen.status)


def code_of(body: bytes) -> str:
    """The stable code of an error in our own dialect; "" in others."""
    try:
        found = json.loads(body)
    except ValueError:
        return "no JSON"
    return str(found.get("code", "")) if isinstance(found, dict) else "no object"


def _judge(
    asked: Asked, body: bytes, versions: Collection[int], answered: Container[int]
) -> tuple[End, str]:
    rows = _rows(asked, body)
    if rows is None:
        return End.WRONG, f"not an answer of ours: {body[:80]!r}"
    used = {row[2] for row in rows}
    wanted = [
        right_row(asked.id + i, row[2], text)
        for i, (row, text) in enumerate(zip(rows, asked.texts, strict=True))
    ]
    if rows == wanted and len(used) == 1 and used <= set(versions):
        return End.EXACT, ""
    whose = id_of(rows[0]) // STEP * STEP
    if whose != asked.id and whose in answered:
        return End.DUPLICATE, f"the answer of {whose}, which has had its own"
    return End.WRONG, f"{rows} for {asked.id}, versions {sorted(versions)}"


def _rows(asked: Asked, body: bytes) -> list[list[int]] | None:
    """The rows of an answer; None if it does not look like one of so many rows."""
    try:
        found: Any = json.loads(body)
        if asked.is_v2:
            (output,) = found["outputs"]
            flat = output["data"]
            found = [flat[i : i + 4] for i in range(0, len(flat), 4)]
        elif len(asked.texts) == 1:
            found = [found]
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    is_shaped = isinstance(found, list) and len(found) == len(asked.texts)
    is_ours = is_shaped and all(
        isinstance(row, list) and len(row) == 4 and all(isinstance(n, int) for n in row)
        for row in found
    )
    return found if is_ours else None
