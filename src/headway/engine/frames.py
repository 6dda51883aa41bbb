"""What travels between a gateway and one slot of a worker: length-prefixed frames, a msgpack header, raw buffers.

    u32 length of the rest | u32 length of the header | header (msgpack) | buffers, back to back

Pure: bytes in, messages out. Every message names its requests by id; nothing is matched by order.
"""

from collections.abc import Sequence
from struct import Struct as Layout

import msgspec

_LENGTHS = Layout("<II")
_LENGTH = Layout("<I")
LIMIT_BYTES = 2**31


class FrameError(Exception):
    """The other end of the link does not speak our frames."""


class Question(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a request's head asks; requests with equal heads share one, in the gateway and in a grab."""

    codec: str
    op: str
    headers: dict[str, str] | None = None
    """Only those that the codec or the predictor declares."""
    query: str = ""
    priority: int = 1
    timeout_s: float | None = None
    is_fed: bool = False
    """Its caller sends on while it is answered (`Feed`)."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One request of a grab; its body is the buffer of `size` bytes at its place."""

    id: int
    size: int
    budget_s: float
    """Time that is left until the deadline."""
    request_id: str
    question: int = 0
    """Which of the grab's questions it asks."""
    is_alone: bool = False
    """It was in a worker that died: it must share a batch with nobody."""


class Answer(msgspec.Struct, array_like=True, gc=False):
    """One answer, or a part of a streamed one; its bytes are the buffer of `size` bytes at its place."""

    id: int
    part: int
    size: int
    outcome: int = 0
    status: int = 200
    content_type: str = ""
    headers: list[tuple[str, str]] | None = None
    is_mixed: bool = False
    """Some of its rows have errors in the place of answers."""


WHOLE, HEAD, CHUNK, END = range(4)
"""Parts of an answer: all of it, or the start, a piece and the end of a stream."""


class Grab(msgspec.Struct, array_like=True, tag=1, gc=False):
    """Gateway to slot: what the slot takes at once. An empty one is a probe. It spends the slot's credit."""

    entries: list[Entry]
    questions: list[Question]


class Want(msgspec.Struct, array_like=True, tag=2, gc=False):
    """Gateway to slot: requests wait here, and the slot's credit is lent elsewhere."""


class Return(msgspec.Struct, array_like=True, tag=3, gc=False):
    """Gateway to slot: the answer to Recall, the credit comes back unspent."""


class Credit(msgspec.Struct, array_like=True, tag=4, gc=False):
    """Slot to gateway: the slot is free, and this gateway may send it one grab."""


class Recall(msgspec.Struct, array_like=True, tag=5, gc=False):
    """Slot to gateway: another gateway has work; return the credit if it is unspent."""


class Replies(msgspec.Struct, array_like=True, tag=6, gc=False):
    """Slot to gateway: some answers of the grab under way."""

    answers: list[Answer]
    is_credit: bool = False
    """The grab is done, and the gateway may send the next one."""
    is_last: bool = False
    """The grab is done; the credit may have gone elsewhere."""
    batches: list[int] | None = None
    """Rows of each model call since the last Replies."""
    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    shortages: int = 0
    """Model calls that memory did not hold."""
    recalled: int = 0
    """Rows whose answers the worker had."""


class Begun(msgspec.Struct, array_like=True, tag=7, gc=False):
    """Slot to gateway: a suspect is alone in the worker now, and runs. Until then its worker's death is not its own."""


class Feed(msgspec.Struct, array_like=True, tag=8, gc=False):
    """Gateway to slot: the next item of a request that is under way, in the buffer; or that there is none."""

    id: int
    kind: int


TEXT, BINARY, LAST, GONE = range(4)
"""Kinds of Feed: an item as text or as bytes, the end of the items, and that the caller has left."""

Message = Grab | Want | Return | Credit | Recall | Replies | Begun | Feed

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)

Buffer = bytes | bytearray | memoryview


def encode(message: Message, buffers: Sequence[Buffer] = ()) -> bytes:
    """Write one frame."""
    return b"".join(pieces(message, buffers))


def pieces(message: Message, buffers: Sequence[Buffer] = ()) -> list[Buffer]:
    """Write one frame without joining it, for buffers that are worth no copy."""
    header = _encoder.encode(message)
    size = len(header)
    rest = 4 + size + sum(map(len, buffers)) if buffers else 4 + size
    return [_LENGTHS.pack(rest, size), header, *buffers]


def decode(frame: memoryview) -> tuple[Message, memoryview]:
    """Read one frame (without its first length) into a message and its buffers.

    Raises:
        FrameError: the frame is not one of ours.
    """
    if len(frame) < 4:
        raise FrameError("a frame is too short for its header's length")
    (size,) = _LENGTH.unpack_from(frame)
    if size > len(frame) - 4:
        raise FrameError("a frame's header is longer than the frame")
    try:
        return _decoder.decode(frame[4 : 4 + size]), frame[4 + size :]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise FrameError(f"a frame's header can't be read: {e}") from e


class Framer:
    """Cuts a byte stream into frames, whatever pieces it comes in."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._pieces: list[Buffer] = []
        self._have = 0
        self._need = 4

    @property
    def missing(self) -> int:
        """Bytes that the next frame still lacks, as far as is known."""
        return self._need - self._have

    def feed(self, data: bytes) -> list[memoryview]:
        """Take what was read; give the frames that are whole now.

        Raises:
            FrameError: a frame announces more than the limit.
        """
        if self._have:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._pieces)
        return self._cut(data)

    def _cut(self, data: bytes) -> list[memoryview]:
        view, at, end = memoryview(data), 0, len(data)
        frames = []
        self._need = 4
        while end - at >= 4:
            (rest,) = _LENGTH.unpack_from(data, at)
            if rest > self._limit:
                raise FrameError(f"a frame announces {rest} bytes; the limit is {self._limit}")
            if end - at - 4 < rest:
                self._need = 4 + rest
                break
            frames.append(view[at + 4 : at + 4 + rest])
            at += 4 + rest
        self._pieces = [data[at:]] if at < end else []
        self._have = end - at
        return frames
