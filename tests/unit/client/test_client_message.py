"""Answers in pieces of any size, and addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.client.address import read_address
from headway.client.message import MAX_HEAD_BYTES, Reader, check_headers, write_head
from headway.errors import BadAnswer, ConfigError, HeadwayError, Unreachable

CHUNKED = b"4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n"
WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde",
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKED,
    "continued": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx: 1\r\ncontent-length: 5\r\n\r\nabcde",
}


def read(*pieces: bytes) -> Reader:
    reader = Reader("http://here")
    for piece in pieces:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_the_same_whole_and_byte_by_byte(name: str) -> None:
    data = WHOLE[name]
    for reader in (read(data), read(*(data[i : i + 1] for i in range(len(data))))):
        assert (reader.status, reader.take()) == (200, b"abcde")
        assert reader.is_done
        assert reader.is_reusable


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_is_cut_off_anywhere_is_told(name: str) -> None:
    data = WHOLE[name]
    for end in range(len(data)):
        reader = Reader("http://here")
        if end:
            reader.feed(data[:end])
        with pytest.raises(Unreachable):
            reader.feed(b"")


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\nabc", b"de", b"")
    assert reader.is_done
    assert reader.take() == b"abcde"
    assert not reader.is_reusable


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"junk", b"\r\n\r\n!"]
)
def test_a_connection_that_says_more_than_its_answer_is_not_used_again(more: bytes) -> None:
    for reader in (read(WHOLE["length"] + more), read(WHOLE["length"], more)):
        assert reader.is_done
        assert reader.take() == b"abcde"
        assert not reader.is_reusable


def test_a_server_that_closes_is_not_asked_again_on_the_same_connection() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx")
    assert reader.is_done
    assert not reader.is_reusable


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.9\r\n", b"\x15\x03\x01\x00\x02", b"220 hi\r\n"]
)
def test_what_is_no_http_is_told(data: bytes) -> None:
    with pytest.raises(BadAnswer, match="http://here"):
        read(data)


def test_a_head_that_does_not_end_is_refused() -> None:
    lines = [b"a: " + b"x" * 1000 + b"\r\n"] * (MAX_HEAD_BYTES // 1000 + 3)
    with pytest.raises(BadAnswer):
        read(b"HTTP/1.1 200 OK\r\n", *lines)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error_of_the_tree(data: bytes) -> None:
    reader = Reader("http://here")
    try:
        reader.feed(data or b"x")
        reader.feed(b"")
    except HeadwayError:
        return
    assert reader.is_done


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, "", False, "")),
        ("http://127.0.0.1:8000/", ("127.0.0.1", 8000, "", False, "")),
        ("https://models.example.org", ("models.example.org", 443, "", True, "")),
        ("https://a.example/b/c/", ("a.example", 443, "", True, "/b/c")),
        ("http://[::1]:9", ("::1", 9, "", False, "")),
        ("http+unix:///run/x.sock", ("", 0, "/run/x.sock", False, "")),
        ("http+unix://%2Frun%2Fx.sock", ("", 0, "/run/x.sock", False, "")),
        ("unix:/run/x.sock", ("", 0, "/run/x.sock", False, "")),
    ],
)
def test_an_address_is_read(url: str, wanted: tuple[object, ...]) -> None:
    found = read_address(url)
    assert (found.host, found.port, found.unix, found.is_tls, found.prefix) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "localhost",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/?a=1",
        "http+unix://",
    ],
)
def test_what_is_no_address_is_refused_in_words(url: str) -> None:
    with pytest.raises(ConfigError, match="server's URL"):
        read_address(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as told:
        read_address("http://me:secret@here")
    assert "secret" not in told.value.message


@pytest.mark.parametrize(
    "headers",
    [
        {"a\r\nb": "c"},
        {"a": "b\r\nc: d"},
        {"host": "x"},
        {"Content-Length": "1"},
        {"": "x"},
        {"a": "\u20ac"},
    ],
)
def test_a_header_can_not_become_another_one(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        check_headers(headers)


def test_a_head_has_the_prefix_of_its_address() -> None:
    head = write_head(read_address("http://a/b"), "GET", "/models", [("x", "y")], 0)
    assert head == b"GET /b/models HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n"
