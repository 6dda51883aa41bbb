"""The words of annotations, and what a request tells besides its inputs.

Marks are plain values: what they mean to the wire is read by `signature` and by the kinds.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta as Meta  # noqa: PLC0414  (a public name of ours)

BATCH_AXIS = "batch"


@dataclass(frozen=True, slots=True)
class BatchMark:
    """Says that a list is a whole batch, in the callers' order."""


BATCH = BatchMark()

if TYPE_CHECKING:
    Batch = list
else:

    class Batch:
        """`Batch[T]` has one T for each row of a batch; to a type checker it is `list[T]`."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[list[item], BATCH]


@dataclass(frozen=True, slots=True)
class Length:
    """A free length by which rows meet: those of one bucket are padded to the longest in the call.

    Each input that has the axis names it so, with the same buckets; in a row they are equally long. An
    output that has an axis of this name is cut back to each row's own length.
    """

    name: str
    buckets: tuple[int, ...]
    """The largest length of each, ascending; a longer row meets only rows of its very length."""
    pad: float = 0
    """What stands where a row has ended."""

    def bucket(self, length: int) -> int:
        """What must be equal for rows of two lengths to meet."""
        return next((limit for limit in self.buckets if length <= limit), length)


class Tensor:
    """Mark of an array: its dtype and shape on the wire.

    Args:
        dtype: numpy's name: "float32", "int64", "bool", ...
        shape: an int is a fixed length; "batch" names the batch axis, which comes first; None or
            another name is a free length, a `Length` one by which rows meet.
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: str, *shape: "int | str | Length | None") -> None:
        self.dtype = dtype
        self.shape = shape

    def __repr__(self) -> str:
        return f"Tensor({', '.join(map(repr, (self.dtype, *self.shape)))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and (self.dtype, self.shape) == (other.dtype, other.shape)

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))


@dataclass(frozen=True, slots=True)
class Rows:
    """Mark of a table: the type (dataclass, TypedDict or Struct) of one row."""

    row: type


@dataclass(frozen=True, slots=True)
class Image:
    """Mark of a picture: how it is read and answered. Without it a `PIL.Image.Image` comes as it was sent.

    On an array of uint8 the picture is [height, width, 3] for RGB, 4 for RGBA, and [height, width] for L.
    """

    mode: Literal["L", "RGB", "RGBA"] = "RGB"
    format: Literal["PNG", "JPEG", "WEBP"] = "PNG"
    """Of answers."""
    max_pixels: int = 64 * 2**20
    """A larger one is refused before it is decoded."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Mark of a sound: float32[samples] for one channel, else float32[samples, channels], from -1 to 1."""

    rate: int
    """Samples a second; a sound of another rate is resampled."""
    channels: int = 1
    """Several are mixed to one, one is copied to several; any other difference is refused."""
    max_s: float = 600.0
    """A longer one is refused before it is decoded."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was sent, or as it shall be answered."""

    content: bytes
    name: str = ""
    """As its sender calls it, or ""; never with a folder."""
    content_type: str = "application/octet-stream"
    """As its sender says; nobody has looked."""


class Reject(Exception):
    """The caller's item can't be answered: raised for one, returned in its place in a batch."""


class Context:
    """What is known of a request besides its inputs."""

    __slots__ = ("_deadline", "_left", "headers", "request_id")

    def __init__(
        self,
        request_id: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
        deadline: float | None = None,
    ) -> None:
        """Make the context of one request.

        Args:
            request_id: the id that the answer and every log line carry.
            headers: the request headers that the predictor declared, lower-case names.
            deadline: when the request's time is over, on the monotonic clock.
        """
        self.request_id = request_id
        self.headers = headers
        self._deadline = deadline
        self._left = threading.Event()

    @property
    def traceparent(self) -> str:
        """What to send on as W3C `traceparent` with calls that `predict` makes; "" where the caller sent none."""
        return self.headers.get("traceparent", "")

    @property
    def tracestate(self) -> str:
        """What to send on as W3C `tracestate` beside it; "" where the caller sent none."""
        return self.headers.get("tracestate", "")

    @property
    def trace_id(self) -> str:
        """The id of the trace that the request belongs to; "" where it belongs to none."""
        return self.traceparent[3:35]

    def remaining_s(self) -> float | None:
        """Seconds until the request's time is over, never below 0; None: it has no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """The caller has left, or the request's time is over: go no further."""
        return self._left.is_set() or self.remaining_s() == 0.0

    def cancel(self) -> None:
        """Say that the caller has left; safe from any thread."""
        self._left.set()
