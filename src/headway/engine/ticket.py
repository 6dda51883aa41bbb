"""What a slot hands to a grab's run, and what it hears of it. Plain data, but for the cancel from another thread."""

from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from headway.engine.cap import Cap
from headway.engine.known import Known
from headway.errors import HeadwayError
from headway.model.call import Call, Result
from headway.model.marks import Context
from headway.protocols import Ask, Codec, Reply


class Ticket(Struct, eq=False):
    """One request of a grab."""

    id: int
    codec: Codec
    ask: Ask
    deadline: float
    timeout_s: float = 0.0
    """How long the answer could take, for the words of its error."""
    coding: str = ""
    is_alone: bool = False
    context: Context | None = None
    is_cancelled: bool = False
    call: Call | None = None
    keys: Sequence[Hashable] | None = None
    """The bucket key of each row; None where all rows may meet."""
    names: Sequence[bytes] = ()
    """What each row is known by (`known`); none where rows are not looked up."""
    parts: list[tuple[Sequence[int], Result]] = []
    errors: dict[int, HeadwayError] = {}
    answered: int = 0
    """Rows that have their answer or their error."""
    is_done: bool = False
    feed: Any = None
    """Where the items come from that its caller sends on (`inbox.Inbox`)."""

    def cancel(self) -> None:
        """The caller left; called from another thread."""
        self.is_cancelled = True
        if self.context is not None:
            self.context.cancel()

    def has_all(self, rows: Sequence[int]) -> bool:
        """Whether these are all rows of the request, in its caller's order."""
        return self.call is not None and type(rows) is range and len(rows) == self.call.rows


class Said(Struct):
    """Something to say to one caller: a whole answer or a part of a stream."""

    id: int
    part: int
    body: bytes
    error: HeadwayError | None = None
    reply: Reply | None = None
    is_mixed: bool = False
    """Some rows of the answer are errors."""


@dataclass(slots=True)
class Timing:
    """What a grab cost, in seconds, the rows of each of its model calls, and how many of them ran out of memory."""

    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    batches: list[int] = field(default_factory=list)
    shortages: int = 0
    """Model calls that memory did not hold."""
    recalled: int = 0
    """Rows that were known."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds for every grab of a worker."""

    cap: Cap
    """Rows of a model call."""
    max_body_bytes: int
    timeout_s: float
    known: Known | None = None
    """Rows whose answers are kept."""
    compress_bytes: int = 0
    """Answers of so many bytes or more are compressed for who takes that; 0: none are."""


AwaitAll = Callable[[Sequence[Coroutine[Any, Any, Any]]], list[Any]]
"""Runs coroutines and waits for all of their outcomes; an exception is returned in its place."""

Say = Callable[[list[Said], Timing, bool], None]

Piece = tuple[Ticket, Sequence[int]]
"""Some rows of one request."""
