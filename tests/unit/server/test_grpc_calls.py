"""What a gRPC call says in front of its messages, how these are cut, and how a call is ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput, TooLarge
from headway.protocols import Reply
from headway.server.grpc_heads import CallHead, CallHeads, Malformed, NotGrpc
from headway.server.grpc_messages import Messages, framed, refusal, status_of, trailers
from headway.server.hpack import Decoder, Fields
from headway.server.purse import Purse

CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "localhost"),
    ("content-type", "application/grpc+proto"),
)


def fields(*more: tuple[str, str], start: tuple[tuple[str, str], ...] = CALL) -> Fields:
    return Fields((*start, *more), is_too_large=False)


def read(*more: tuple[str, str]) -> tuple[CallHead, float | None]:
    return CallHeads(16_384).read(fields(*more))


def test_a_call_is_a_head_of_its_own_method() -> None:
    found, timeout_s = read(("a", "b"), ("a", "c"), ("te", "trailers"), ("grpc-timeout", "250m"))
    assert (found.head.method, found.head.path) == ("GRPC", "/a.B/C")
    assert found.head.headers == {"host": "localhost", "a": "b, c"}
    assert (found.error, found.deflated, timeout_s) == (None, None, 0.25)


def test_calls_that_differ_in_their_timeout_share_a_head() -> None:
    heads = CallHeads(16_384)
    first, _ = heads.read(fields(("grpc-timeout", "1S")))
    second, timeout_s = heads.read(fields(("grpc-timeout", "2S")))
    assert first.head is second.head
    assert timeout_s == 2.0
    heads.adapt(16_384)
    assert heads.read(fields(("grpc-timeout", "2S")))[0].head is not first.head


def test_a_compressed_message_has_a_head_with_its_coding() -> None:
    found, _ = read(("grpc-encoding", "gzip"), ("content-encoding", "br"))
    assert "content-encoding" not in found.head.headers
    assert found.deflated is not None
    assert found.deflated.headers["content-encoding"] == "gzip"
    assert read(("grpc-encoding", "identity"))[0].deflated is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600.0), ("2M", 120.0), ("99999999n", 0.099999999), ("0u", 0.0), ("3S", 3.0)],
)
def test_every_unit_of_a_timeout_is_known(text: str, seconds: float) -> None:
    assert read(("grpc-timeout", text))[1] == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1 S"])
def test_what_is_no_timeout_is_told(text: str) -> None:
    assert isinstance(read(("grpc-timeout", text))[0].error, BadInput)


@pytest.mark.parametrize("text", ["a", "YWI", "YWI=", "YWI=, YQ"])
def test_binary_metadata_is_base64_with_or_without_its_end(text: str) -> None:
    found, _ = read(("x-bin", text))
    assert (found.error is None) == (text != "a")


def test_what_is_no_grpc_is_told_from_what_is_no_request() -> None:
    with pytest.raises(NotGrpc):
        CallHeads(1).read(fields(start=(*CALL[:4], ("content-type", "application/grpcish"))))
    with pytest.raises(NotGrpc):
        CallHeads(1).read(fields(start=((":method", "GET"), *CALL[1:])))
    with pytest.raises(Malformed):
        CallHeads(1).read(fields(start=CALL[1:]))


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=6),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[bool, bytes]], sizes: list[int]
) -> None:
    data = b"".join(bytes([z]) + len(m).to_bytes(4, "big") + m for z, m in messages)
    cut, found, at, turn = Messages(1000), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        cut.feed(data[at : at + size])
        at, turn = at + size, turn + 1
        while (message := cut.next()) is not None:
            found.append(message)
    assert found == messages
    assert cut.is_empty


def test_a_message_is_refused_by_its_first_bytes() -> None:
    messages = Messages(10)
    messages.feed(b"\0\0\0\0\x0b")
    with pytest.raises(TooLarge):
        messages.next()
    messages = Messages(10)
    messages.feed(b"\2\0\0\0\0")
    with pytest.raises(BadInput):
        messages.next()


def test_a_message_of_more_pieces_than_anybody_sends_is_refused() -> None:
    messages = Messages(10**6)
    messages.feed(b"\0" + (10**6).to_bytes(4, "big"))
    for _ in range(65_535):
        messages.feed(b"x")
        messages.next()
    messages.feed(b"x")
    with pytest.raises(BadInput, match="pieces"):
        messages.next()


def test_what_is_missing_of_a_message_is_known() -> None:
    messages = Messages(1000)
    messages.feed(framed(b"x" * 100)[:25])
    assert messages.next() is None
    assert (messages.missing, messages.arrived, messages.is_empty) == (80, 20, False)


def test_a_status_is_told_in_what_a_header_can_hold() -> None:
    told = dict(
        Decoder(10**6, 100)
        .decode(trailers(3, "50 % größer\r\nx: y", (("retry-after", "1"),)))
        .pairs
    )
    assert told == {
        "grpc-status": "3",
        "grpc-message": "50 %25 gr%C3%B6%C3%9Fer%0D%0Ax: y",
        "retry-after": "1",
    }


def test_a_reply_without_a_status_has_that_of_its_http_status() -> None:
    assert status_of(Reply(200, b"", "", (("grpc-status", "5"), ("grpc-message", "x")))) == (5, "x")
    assert status_of(Reply(200, b"")) == (0, "")
    assert status_of(Reply(500, b"broken", "text/plain")) == (2, "broken")
    told = dict(Decoder(10**6, 100).decode(refusal(Reply(404, b"no"), "id")).pairs)
    assert (told[":status"], told["grpc-status"], told["x-request-id"]) == ("200", "12", "id")


def test_a_purse_fills_with_time_up_to_its_size() -> None:
    purse = Purse(10, 2, 0.0)
    assert purse.pay(10)
    assert not purse.pay(1)
    purse.fill(3.0)
    assert purse.pay(5)
    purse.fill(100.0)
    assert purse.pay(10)
    assert not purse.pay(1)
