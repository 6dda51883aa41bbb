"""Flow control of one HTTP/2 connection, both ways, without a socket: RFC 9113, sections 5.2 and 6.9."""

import struct

import pytest
from unit.server.http2_peer import Recorder, begun, frame, frames, headers, window

from headway.server.http2 import CONNECTION_WINDOW_BYTES, Session
from headway.server.http2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    Stream,
)
from headway.server.http2_out import Outgoing

ASKED = END_HEADERS | END_STREAM


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def initial(size: int) -> bytes:
    return setting(4, size)


def answering(session: Session, recorder: Recorder, id_: int, data: bytes) -> Stream:
    """A stream whose whole answer has been given to be sent."""
    session.receive(headers(id_, ASKED), 0.0)
    stream = recorder.streams[id_]
    session.out.answer(stream, b"h", data, b"e")
    return stream


def sent(session: Session) -> dict[int, int]:
    """Bytes of data by stream, of what is to be written now."""
    found: dict[int, int] = {}
    for kind, _, id_, payload in frames(session.out.take()):
        if kind == DATA:
            found[id_] = found.get(id_, 0) + len(payload)
    return found


def codes(session: Session) -> list[tuple[int, int, int]]:
    """Resets and goodbyes to be written now: kind, stream, code."""
    found = []
    for kind, _, id_, payload in frames(session.out.take()):
        if kind in (RST_STREAM, GOAWAY):
            at = 0 if kind == RST_STREAM else 4
            found.append((kind, id_, int.from_bytes(payload[at : at + 4], "big")))
    return found


# What is sent


def test_what_is_more_than_the_window_waits_and_goes_on_with_it() -> None:
    session, recorder = begun()
    session.receive(window(0, 10**6), 0.0)
    stream = answering(session, recorder, 1, bytes(100_000))
    assert sent(session) == {1: WINDOW_BYTES}
    assert stream.pending_bytes == 100_000 - WINDOW_BYTES
    session.receive(window(1, 1), 0.0)
    assert sent(session) == {1: 1}
    assert ("drained", 1) not in recorder.told
    session.receive(window(1, 10**6), 0.0)
    found = frames(session.out.take())
    assert sum(len(p) for k, _, _, p in found if k == DATA) == 100_000 - WINDOW_BYTES - 1
    assert found[-1] == (HEADERS, ASKED, 1, b"e")
    assert recorder.told[-1] == ("drained", 1)
    assert not session.open


def test_the_connections_window_is_everybodys() -> None:
    session, recorder = begun()
    session.receive(initial(10**6), 0.0)
    answering(session, recorder, 1, bytes(WINDOW_BYTES - 10))
    answering(session, recorder, 3, bytes(30))
    answering(session, recorder, 5, bytes(30))
    assert sent(session) == {1: WINDOW_BYTES - 10, 3: 10}
    session.receive(window(3, 1000) + window(5, 1000), 0.0)
    assert sent(session) == {}
    session.receive(window(0, 25), 0.0)
    assert sent(session) == {3: 20, 5: 5}
    session.receive(window(0, 25), 0.0)
    assert sent(session) == {5: 25}


def test_a_drop_of_window_is_offered_to_no_more_than_use_it() -> None:
    pushed: list[int] = []

    class Counting(Outgoing):
        def _push(self, stream: Stream) -> None:
            pushed.append(stream.id)
            super()._push(stream)

    out = Counting(lambda stream: None, lambda stream: None)
    streams = [Stream(id_, 10**6) for id_ in range(1, 200, 2)]
    for stream in streams:
        out.send(stream, bytes(WINDOW_BYTES))
    pushed.clear()
    out.open_connection(1)
    assert pushed == [3]


def test_who_is_reset_leaves_his_share_of_the_window_to_others() -> None:
    session, recorder = begun()
    session.receive(initial(10**6), 0.0)
    waiting = answering(session, recorder, 1, bytes(WINDOW_BYTES + 100))
    answering(session, recorder, 3, bytes(50))
    assert sent(session) == {1: WINDOW_BYTES}
    session.receive(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), 0.0)
    assert waiting.pending_bytes == 0
    session.receive(window(0, 50), 0.0)
    found = frames(session.out.take())
    assert {id_ for _, _, id_, _ in found} == {3}, "and nothing more is said on the other"
    assert [len(p) for k, _, _, p in found if k == DATA] == [50]


def test_other_settings_open_the_windows_that_are_there() -> None:
    session, recorder = begun()
    session.receive(initial(0) + window(0, 10**6), 0.0)
    answering(session, recorder, 1, bytes(100))
    assert sent(session) == {}
    session.receive(initial(60), 0.0)
    assert sent(session) == {1: 60}
    session.receive(initial(0), 0.0)  # 60 below nothing
    session.receive(window(1, 60), 0.0)
    assert sent(session) == {}
    session.receive(window(1, 30), 0.0)
    assert sent(session) == {1: 30}
    session.receive(initial(10), 0.0)
    assert sent(session) == {1: 10}
    assert not session.open


def test_settings_do_not_move_the_connections_window() -> None:
    session, recorder = begun()
    session.receive(initial(10**6), 0.0)
    answering(session, recorder, 1, bytes(10**5))
    assert sent(session) == {1: WINDOW_BYTES}


def test_frames_are_as_large_as_the_client_takes_them() -> None:
    session, recorder = begun()
    session.receive(setting(5, 20_000), 0.0)
    session.out.take()
    answering(session, recorder, 1, bytes(50_000))
    sizes = [len(p) for k, _, _, p in frames(session.out.take()) if k == DATA]
    assert sizes == [20_000, 20_000, 10_000]


def test_an_empty_message_needs_no_window() -> None:
    session, recorder = begun()
    session.receive(initial(0), 0.0)
    session.out.take()
    answering(session, recorder, 1, b"")
    kinds = [(k, f) for k, f, _, _ in frames(session.out.take())]
    assert kinds[-1] == (HEADERS, ASKED)
    assert not session.open


@pytest.mark.parametrize("more", [MAX_WINDOW - WINDOW_BYTES + 1, MAX_WINDOW])
def test_a_window_beyond_the_largest_ends_its_stream_or_the_connection(more: int) -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    session.receive(window(1, more), 0.0)
    assert codes(session) == [(RST_STREAM, 1, FLOW_CONTROL_ERROR)]
    assert recorder.told[-1] == ("lost", 1)
    session.receive(window(0, more), 0.0)
    assert codes(session) == [(GOAWAY, 0, FLOW_CONTROL_ERROR)]
    assert session.is_over


def test_the_largest_window_is_taken() -> None:
    session, _ = begun()
    largest = MAX_WINDOW - WINDOW_BYTES
    session.receive(headers(1) + window(1, largest) + window(0, largest), 0.0)
    assert codes(session) == []
    session.receive(
        initial(WINDOW_BYTES + 1), 0.0
    )  # section 6.9.2: it may not overflow by settings
    assert codes(session) == [(GOAWAY, 0, FLOW_CONTROL_ERROR)]


def test_a_window_of_a_stream_that_is_over_is_nobodys() -> None:
    session, recorder = begun()
    answering(session, recorder, 1, b"x")
    session.out.take()
    session.receive(window(1, MAX_WINDOW) + window(1, 0), 0.0)
    assert codes(session) == []
    assert not session.is_over


# What comes


def test_data_beyond_its_streams_window_ends_the_stream() -> None:
    session, recorder = begun()
    session.receive(headers(1) + headers(3), 0.0)
    session.receive(frame(DATA, 0, 1, bytes(WINDOW_BYTES)), 0.0)
    assert codes(session) == []
    session.receive(frame(DATA, 0, 1, b"x"), 0.0)
    assert codes(session) == [(RST_STREAM, 1, FLOW_CONTROL_ERROR)]
    assert recorder.told[-1] == ("lost", 1)
    session.receive(frame(DATA, END_STREAM, 3, b"x"), 0.0)
    assert recorder.told[-1] == ("data", 3, b"x", True)


def test_data_may_come_as_far_as_it_was_granted() -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    session.receive(frame(DATA, 0, 1, bytes(WINDOW_BYTES)), 0.0)
    session.grant(recorder.streams[1], 10)
    assert (WINDOW_UPDATE, 0, 1, b"\0\0\0\n") in frames(session.out.take())
    session.receive(frame(DATA, 0, 1, bytes(10)), 0.0)
    assert codes(session) == []
    session.receive(frame(DATA, 0, 1, b"x"), 0.0)
    assert codes(session) == [(RST_STREAM, 1, FLOW_CONTROL_ERROR)]


def test_padding_counts_and_is_given_back() -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    stream = recorder.streams[1]
    session.receive(frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255)), 0.0)
    assert stream.receivable == WINDOW_BYTES - 1
    assert (WINDOW_UPDATE, 0, 1, b"\0\0\1\0") in frames(session.out.take())
    session.receive(frame(DATA, 0, 1, bytes(WINDOW_BYTES - 1 - 100)), 0.0)
    session.receive(frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255)), 0.0)
    assert codes(session) == [(RST_STREAM, 1, FLOW_CONTROL_ERROR)]


def test_a_grant_stops_at_the_largest_window_and_at_the_end() -> None:
    session, recorder = begun()
    session.receive(headers(1) + headers(3, ASKED), 0.0)
    for _ in range(3):
        session.grant(recorder.streams[1], MAX_WINDOW)
    session.grant(recorder.streams[3], 10)
    session.grant(recorder.streams[1], -5)
    more = [int.from_bytes(p, "big") for k, _, _, p in frames(session.out.take()) if k == 8]
    assert more[0] == MAX_WINDOW - WINDOW_BYTES
    assert sum(more) == MAX_WINDOW - WINDOW_BYTES
    assert recorder.streams[1].receivable == MAX_WINDOW


def test_what_is_thrown_away_counts_in_the_connections_window() -> None:
    session, recorder = begun()
    session.receive(headers(1), 0.0)
    session.reset(recorder.streams[1], 8)
    session.out.take()
    opened = 0
    for _ in range(CONNECTION_WINDOW_BYTES // 16384 + 1):  # what was under way when it was reset
        session.receive(frame(DATA, 0, 1, bytes(16384)), 0.0)
        opened += sum(
            int.from_bytes(p, "big")
            for k, _, i, p in frames(session.out.take())
            if (k, i) == (WINDOW_UPDATE, 0)
        )
    assert opened >= CONNECTION_WINDOW_BYTES // 2
    assert not session.is_over
