"""One HTTP/2 connection without a socket: whatever comes, however it is cut."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.server.http2_peer import Recorder, begun, frame, frames, headers, window

from headway.server.http2 import CONNECTION_WINDOW_BYTES, FRAME_BYTES, Session
from headway.server.http2_frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    Limits,
)

PIECES = st.sampled_from(
    [
        headers(1),
        headers(3, END_HEADERS | END_STREAM),
        headers(5),
        frame(DATA, 0, 1, b"abc"),
        frame(DATA, END_STREAM, 1, b"def"),
        frame(DATA, 0, 5, b"x" * 1000),
        frame(RST_STREAM, 0, 5, b"\0\0\0\x08"),
        frame(PING, 0, 0, b"12345678"),
        frame(SETTINGS, ACK),
        window(0, 10),
        window(1, 10),
        frame(99, 0, 0, b"?"),
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES | st.binary(max_size=30), max_size=12), st.data())
def test_bytes_mean_the_same_however_they_are_cut(pieces: list[bytes], data: st.DataObject) -> None:
    stream = PREFACE + frame(SETTINGS) + b"".join(pieces)
    whole, cut = Recorder(), Recorder()
    one, two = Session(Limits(), whole, 0.0), Session(Limits(), cut, 0.0)
    one.receive(stream, 0.0)
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 40))
        two.receive(stream[at : at + size], 0.0)
        at += size
    assert cut.told == whole.told
    assert (two.is_over, two.problem) == (one.is_over, one.problem)
    # How windows of the connection are opened does not depend on it either, for so little.
    assert two.out.take() == one.out.take()


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_taken_or_end_the_connection(data: bytes) -> None:
    session, _ = begun()
    session.receive(data, 0.0)
    found = frames(session.out.take())
    assert session.is_over == any(kind == GOAWAY for kind, *_ in found)
    assert not session.is_over or not session.open


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 70_000), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from([0, 1, 3, 5, 7]), st.integers(1, 60_000)), max_size=30),
    st.integers(0, 100_000),
)
def test_data_never_exceeds_a_window_and_all_of_it_comes(
    sizes: list[int], updates: list[tuple[int, int]], initial: int
) -> None:
    session, recorder = begun()
    session.receive(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, initial)), 0.0)
    session.out.take()
    bodies = {2 * n + 1: bytes([n]) * size for n, size in enumerate(sizes)}
    for id_, body in bodies.items():
        session.receive(headers(id_, END_HEADERS | END_STREAM), 0.0)
        session.out.answer(recorder.streams[id_], b"h", body, b"e")
    allowed = {id_: initial for id_ in bodies}
    connection, got = WINDOW_BYTES, dict.fromkeys(bodies, b"")
    last = [(0, 10**6), *((id_, 10**6) for id_ in bodies)]
    for id_, more in [(0, 0), *updates, *last]:
        if more and (not id_ or id_ in session.open):
            session.receive(window(id_, more), 0.0)
            connection += more if not id_ else 0
            allowed[id_] = allowed.get(id_, 0) + more
        for kind, _, stream, payload in frames(session.out.take()):
            if kind == DATA:
                connection -= len(payload)
                allowed[stream] -= len(payload)
                got[stream] += payload
                assert len(payload) <= 16384
                assert allowed[stream] >= 0
        assert connection >= 0
    assert got == bodies
    assert not session.open


def test_a_smaller_window_may_leave_less_than_nothing() -> None:
    session, recorder = begun()
    session.receive(headers(1, END_HEADERS | END_STREAM), 0.0)
    session.out.send_head(recorder.streams[1], b"h")
    session.out.send(recorder.streams[1], b"x" * 60_000)
    session.receive(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 10)), 0.0)
    session.out.take()
    session.out.send(recorder.streams[1], b"yz", b"e")
    assert session.out.take() == b""
    session.receive(window(1, 59_991), 0.0)
    assert [p for k, _, _, p in frames(session.out.take()) if k == DATA] == [b"y"]


def test_the_window_of_the_connection_is_opened_again() -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    session.grant(recorder.streams[1], 4 * CONNECTION_WINDOW_BYTES)
    opened = 0
    for _ in range(3 * CONNECTION_WINDOW_BYTES // FRAME_BYTES):
        session.receive(frame(DATA, 0, 1, bytes(FRAME_BYTES)), 0.0)
        for kind, _, id_, payload in frames(session.out.take()):
            if kind == WINDOW_UPDATE and not id_:
                opened += int.from_bytes(payload, "big")
    assert opened >= 2 * CONNECTION_WINDOW_BYTES
    assert not session.is_over


def test_time_pays_for_pings() -> None:
    session, _ = begun()
    for second in range(100):
        session.receive(frame(PING, 0, 0, b"12345678") * 90, float(second))
    assert not session.is_over
    session.receive(frame(PING, 0, 0, b"12345678") * 1200, 100.0)
    assert session.is_over


def test_time_pays_for_blocks_that_say_too_much() -> None:
    """A byte may stand for a field: what is thrown away of it has cost us more than the client."""
    bomb = b"\x82" * 100_000
    session, _ = begun()
    for number in range(9):
        session.receive(frame(HEADERS, END_HEADERS, 2 * number + 1, bomb), 0.0)
    assert not session.is_over
    for number in range(9, 50):
        session.receive(frame(HEADERS, END_HEADERS, 2 * number + 1, bomb), number - 8.0)
    assert not session.is_over
    session.receive(frame(HEADERS, END_HEADERS, 101, bomb) * 10, 41.0)
    assert session.is_over
    assert frames(session.out.take())[-1][3][4:8] == b"\0\0\0\x0b"


def test_after_the_last_word_new_streams_are_refused_and_old_ones_go_on() -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    session.go_away(is_last=False)
    session.receive(headers(3, END_HEADERS | END_STREAM), 0.0)
    session.go_away(is_last=True)
    session.receive(headers(5) + frame(DATA, END_STREAM, 1, b"x"), 0.0)
    found = frames(session.out.take())
    lasts = [int.from_bytes(p[:4], "big") for k, _, _, p in found if k == GOAWAY]
    assert lasts == [2**31 - 1, 3]
    assert [(i, p) for k, _, i, p in found if k == RST_STREAM] == [(5, b"\0\0\0\7")]
    assert [t[:2] for t in recorder.told] == [("begun", 1), ("begun", 3), ("data", 1)]
