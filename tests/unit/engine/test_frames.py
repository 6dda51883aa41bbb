"""Frames: any message survives any way in which its bytes arrive."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.engine import frames
from headway.engine.frames import Answer, Entry, FrameError, Framer, Grab, Question, Replies

entries = st.builds(
    Entry,
    id=st.integers(0, 2**40),
    size=st.just(0),
    budget_s=st.floats(0, 100),
    request_id=st.text(max_size=10),
    question=st.integers(0, 9),
    is_alone=st.booleans(),
)
questions = st.builds(
    Question,
    codec=st.sampled_from(["native", "v2"]),
    op=st.text(max_size=8),
    headers=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    query=st.text(max_size=5),
)
grabs = st.builds(
    Grab, entries=st.lists(entries, max_size=3), questions=st.lists(questions, max_size=2)
)
bodies = st.lists(st.binary(max_size=50), max_size=5)


def read(stream: bytes, cuts: list[int]) -> list[tuple[frames.Message, bytes]]:
    framer, found = Framer(), []
    places = sorted({min(c, len(stream)) for c in cuts})
    for start, stop in zip([0, *places], [*places, len(stream)], strict=True):
        for frame in framer.feed(stream[start:stop]):
            message, buffers = frames.decode(frame)
            found.append((message, bytes(buffers)))
    return found


@given(
    st.lists(st.tuples(grabs, bodies), max_size=4),
    st.lists(st.integers(0, 999)),
)
@example([(Grab([], []), [b"x" * 300]), (Grab([], []), [b"y" * 300])], [])
def test_messages_survive_however_their_bytes_are_cut(
    sent: list[tuple[Grab, list[bytes]]], cuts: list[int]
) -> None:
    stream = b"".join(frames.encode(g, b) for g, b in sent)

    assert read(stream, cuts) == [(g, b"".join(b)) for g, b in sent]


def test_a_stream_may_arrive_byte_by_byte() -> None:
    replies = Replies([Answer(7, frames.WHOLE, 3)], is_credit=True, batches=[1, 2])
    stream = frames.encode(replies, [b"abc"]) + frames.encode(frames.Credit())

    assert read(stream, list(range(len(stream)))) == [(replies, b"abc"), (frames.Credit(), b"")]


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    framer = Framer(limit_bytes=100)

    with pytest.raises(FrameError, match="announces 101 bytes"):
        framer.feed((101).to_bytes(4, "little"))


@given(st.binary(max_size=60))
def test_garbage_is_a_frame_error_and_nothing_else(data: bytes) -> None:
    try:
        frames.decode(memoryview(data))
    except FrameError:
        return
    # What can be read must be a message that we could have written.
    message, _ = frames.decode(memoryview(data))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=frames.Message) == message


def test_missing_tells_how_much_a_frame_still_lacks() -> None:
    stream = frames.encode(Grab([], []), [b"x" * 1000])
    framer = Framer()

    framer.feed(stream[:10])

    assert framer.missing == len(stream) - 10


def test_text_that_is_no_utf_8_is_no_frame_of_ours() -> None:
    grab = Grab([Entry(1, 0, 1.0, "id")], [Question("v2", "infer")])
    frame = frames.encode(grab).replace(b"v2", b"\x80\x80")

    with pytest.raises(FrameError, match="header can't be read"):
        frames.decode(memoryview(frame)[4:])
