"""Answers whole, byte by byte, and what is none."""

import pytest

from headway.traffic.answer import HEAD_BYTES, Answer, BadAnswer

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CASES = {
    "plain": (PLAIN, 200, b"hello", False),
    "capitals": (PLAIN.replace(b"content-length", b"Content-Length"), 200, b"hello", False),
    "no space": (PLAIN.replace(b": ", b":"), 200, b"hello", False),
    "lookalike": (
        PLAIN.replace(b"content", b"x-content-length: 9\r\ncontent"),
        200,
        b"hello",
        False,
    ),
    "chunked": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        200,
        b"hello",
        False,
    ),
    "closing": (PLAIN.replace(b"content", b"connection: close\r\ncontent"), 200, b"hello", True),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, 200, b"hello", False),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", False),
    "busy": (
        b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n",
        429,
        b"",
        False,
    ),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello", True),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_an_answer_is_whole_at_its_last_byte_and_not_before(name: str, step: int) -> None:
    data, status, body, is_last = CASES[name]
    answer = Answer(keeps_body=True)
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert (answer.status, answer.body, answer.is_last) == (status, body, is_last)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answer = Answer(keeps_body=True)
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not answer.feed(b"lo")
    assert answer.ends()
    assert answer.body == b"hello"


@pytest.mark.parametrize("cut", range(len(PLAIN)))
def test_an_answer_that_is_cut_off_is_not_whole(cut: int) -> None:
    answer = Answer(keeps_body=False)
    assert cut == 0 or not answer.feed(PLAIN[:cut])
    assert not answer.ends() or cut < PLAIN.index(b"content")


def test_the_time_to_ask_again_is_read() -> None:
    answer = Answer(keeps_body=False)
    answer.feed(CASES["busy"][0])
    assert answer.retry_after_s == 3


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        PLAIN + b"more",
        PLAIN + PLAIN,
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_garbage_is_told(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        Answer(keeps_body=True).feed(data)


def test_a_head_without_end_is_bounded() -> None:
    answer = Answer(keeps_body=False)
    answer.feed(b"HTTP/1.1 200 OK\r\n")
    lines = b"".join(b"x-%d: %s\r\n" % (turn, b"a" * 900) for turn in range(HEAD_BYTES // 1000))
    answer.feed(lines)
    with pytest.raises(BadAnswer):
        answer.feed(b"y: z\r\n" * 10_000)
