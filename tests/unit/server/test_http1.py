"""The reader of requests: what it takes, however the bytes are cut, and what it refuses."""

import itertools
import runpy
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.server.http1 import FramingError, Head, Heads, Limits, Reader, Request

TABLE: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("framing_table.py")))
ROWS: dict[str, tuple[bytes, set[int]]] = TABLE["ROWS"]
GET: bytes = TABLE["GET"]
POST: bytes = TABLE["POST"]
CHUNKED: bytes = TABLE["CHUNKED"]
LIMITS = Limits(max_body_bytes=2**20)

GOOD: dict[str, tuple[bytes, bytes]] = {
    "no body": (GET + b"\r\n", b""),
    "length": (POST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "length with zeros": (POST + b"Content-Length: 0005\r\n\r\nhello", b"hello"),
    "length 0": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "body that looks like a request": (
        POST + b"Content-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ),
    "body on GET": (GET + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "chunks": (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "chunk extension": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
    "chunk size in capitals": (CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"hello"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b""),
    "an empty line first": (b"\r\n" + GET + b"\r\n", b""),
    "Upgrade, ignored": (GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", b""),
    "HTTP/1.0": (b"GET /x HTTP/1.0\r\n\r\n", b""),
    "absolute target": (b"GET http://Headway.test/x?y HTTP/1.1\r\nHost: headway.test\r\n\r\n", b""),
    "largest body": (POST + b"Content-Length: 1048576\r\n\r\n" + b"a" * 2**20, b"a" * 2**20),
    "100 headers": (GET + b"A: b\r\n" * 99 + b"\r\n", b""),
    "65,536 chunks": (CHUNKED + b"1\r\na\r\n" * 65_536 + b"0\r\n\r\n", b"a" * 65_536),
}


def read_all(raw: bytes, *cuts: int, heads: Heads | None = None) -> list[Request]:
    """Feed bytes cut at the places given, and take every request."""
    reader = Reader(heads or Heads(LIMITS))
    requests = []
    edges = [0, *sorted(cuts), len(raw)]
    for start, stop in itertools.pairwise(edges):
        reader.feed(raw[start:stop])
        while (request := reader.next_request()) is not None:
            requests.append(request)
    return requests


def read_one(raw: bytes) -> Head:
    ((head, _),) = read_all(raw)
    return head


@pytest.mark.parametrize("name", GOOD)
def test_good_request_is_read_whole(name: str) -> None:
    raw, body = GOOD[name]
    ((head, got),) = read_all(raw)
    assert head.path == "/x"
    assert got == body


@pytest.mark.parametrize("name", [name for name, (raw, _) in GOOD.items() if len(raw) < 2000])
def test_good_request_is_read_byte_by_byte(name: str) -> None:
    raw, body = GOOD[name]
    ((_, got),) = read_all(raw, *range(1, len(raw)))
    assert got == body


@pytest.mark.parametrize("name", [name for name, (raw, _) in GOOD.items() if len(raw) < 2000])
def test_no_request_is_given_before_its_last_byte(name: str) -> None:
    raw, _ = GOOD[name]
    assert read_all(raw[:-1], *range(1, len(raw) - 1)) == []


@given(
    names=st.lists(st.sampled_from(sorted(GOOD.keys() - {"largest body", "65,536 chunks"}))),
    data=st.data(),
)
@settings(max_examples=150)
def test_requests_are_the_same_wherever_the_bytes_are_cut(
    names: list[str], data: st.DataObject
) -> None:
    raw = b"".join(GOOD[name][0] for name in names)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=20))
    assert [body for _, body in read_all(raw, *cuts)] == [GOOD[name][1] for name in names]


@pytest.mark.parametrize("name", ROWS)
def test_bad_bytes_are_refused(name: str) -> None:
    raw, statuses = ROWS[name]
    with pytest.raises(FramingError) as caught:
        read_all(raw)
    assert caught.value.status in statuses
    assert caught.value.code
    assert caught.value.message


@pytest.mark.parametrize("name", [name for name, (raw, _) in ROWS.items() if len(raw) < 20_000])
def test_bad_bytes_are_refused_byte_by_byte(name: str) -> None:
    raw, statuses = ROWS[name]
    with pytest.raises(FramingError) as caught:
        read_all(raw, *range(1, len(raw)))
    assert caught.value.status in statuses


@pytest.mark.parametrize("name", ROWS)
def test_bad_bytes_after_a_good_request_are_refused(name: str) -> None:
    raw, statuses = ROWS[name]
    reader = Reader(Heads(LIMITS))
    reader.feed(GOOD["chunks"][0] + raw)
    request = reader.next_request()
    assert request is not None
    assert request[1] == b"hello"
    with pytest.raises(FramingError) as caught:
        reader.next_request()
    assert caught.value.status in statuses


@pytest.mark.parametrize("size", [2**10, 2**14, 2**16])
def test_head_without_end_is_refused_at_the_limit(size: int) -> None:
    reader = Reader(Heads(Limits(max_head_bytes=size, max_target_bytes=512)))
    reader.feed(GET + b"A: ")
    while reader.pending_bytes <= size:
        assert reader.next_request() is None
        reader.feed(b"b" * 7)
    with pytest.raises(FramingError) as caught:
        reader.next_request()
    assert caught.value.status == 431


def test_same_head_is_parsed_once() -> None:
    heads = Heads(LIMITS)
    first, second = read_all(GOOD["length"][0] * 2, heads=heads)
    assert first[0] is second[0]


def test_remembered_heads_are_bounded() -> None:
    heads = Heads(LIMITS)
    for i in range(5000):
        read_all(GET + b"X-Number: %d\r\n\r\n" % i, heads=heads)
    assert len(heads.known) <= 4096


def test_large_and_refused_heads_are_not_remembered() -> None:
    heads = Heads(LIMITS)
    read_all(GET + b"A: " + b"b" * 3000 + b"\r\n\r\n", heads=heads)
    for raw, _ in ROWS.values():
        if raw.count(b"\r\n\r\n") == 1:
            with pytest.raises(FramingError):
                read_all(raw, heads=heads)
    assert all(head.is_chunked for head in heads.known.values())


def test_head_says_what_was_asked() -> None:
    head = read_one(b"POST /a%2Fb?c=d&e=%20 HTTP/1.1\r\nHost: h\r\nX-Some:  thing \r\n\r\n")
    assert (head.method, head.path, head.query) == ("POST", "/a%2Fb", "c=d&e=%20")
    assert head.headers == {"host": "h", "x-some": "thing"}


def test_repeated_header_is_joined_by_a_comma() -> None:
    head = read_one(GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n")
    assert head.headers["authorization"] == "Bearer a, Bearer b"


@pytest.mark.parametrize("name", ["Content_Length", "transfer_encoding", "X_API_Key"])
def test_twin_of_a_framing_header_is_dropped(name: str) -> None:
    head = read_one(GET + name.encode() + b": 5\r\n\r\n")
    assert set(head.headers) == {"host"}
    assert head.content_length == 0


def test_connection_option_removes_no_header() -> None:
    head = read_one(GET + b"Connection: X-Auth, authorization\r\nAuthorization: Bearer k\r\n\r\n")
    assert head.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("start", "is_kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_connection_is_kept_as_the_versions_say(start: bytes, is_kept: bool) -> None:
    assert read_one(start + b"\r\n").is_keep_alive is is_kept


def test_options_may_ask_about_the_whole_server() -> None:
    assert read_one(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").path == "*"


def test_head_is_known_while_its_body_is_on_the_way() -> None:
    reader = Reader(Heads(LIMITS))
    reader.feed(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert reader.next_request() is None
    assert reader.head is not None
    assert reader.head.expects_continue
    assert not reader.is_empty
    reader.feed(b"hel")
    assert reader.next_request() is None
    assert reader.body_bytes == 3
    head = reader.head
    reader.feed(b"lo" + GET)
    assert reader.next_request() == (head, b"hello")
    assert reader.head is None
    assert reader.pending_bytes == len(GET)


def test_large_body_in_small_parts_costs_linear_time() -> None:
    size = 2**20
    reader = Reader(Heads(LIMITS))
    reader.feed(POST + b"Content-Length: %d\r\n\r\n" % size)
    part = b"ab"
    for _ in range(size // 2 - 1):
        reader.feed(part)
        assert reader.next_request() is None
    reader.feed(part)
    request = reader.next_request()
    assert request is not None
    assert request[1] == part * (size // 2)


@given(st.binary(max_size=300), st.integers(0, 300))
@settings(max_examples=300)
def test_noise_is_refused_or_waited_for_and_nothing_else(noise: bytes, at: int) -> None:
    raw = GOOD["chunks"][0]
    at = min(at, len(raw))
    with suppress(FramingError):
        read_all(raw[:at] + noise + raw[at:], at)
