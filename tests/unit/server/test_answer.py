"""The bytes of answers."""

from headway.protocols import Reply
from headway.server.answer import Answers, chunk


def lines(raw: bytes) -> list[str]:
    assert raw.endswith(b"\r\n\r\n")
    return raw.decode("latin-1").split("\r\n")[:-2]


def test_head_of_a_whole_answer_has_length_type_and_id() -> None:
    head = Answers().whole(Reply(200, b"hello", "text/plain", (("a", "b"),)), "id", "close")
    assert lines(head) == [
        "HTTP/1.1 200 OK",
        "x-content-type-options: nosniff",
        "content-type: text/plain",
        "content-length: 5",
        "x-request-id: id",
        "connection: close",
        "a: b",
    ]


def test_date_changes_what_is_remembered() -> None:
    answers = Answers("Mon")
    reply = Reply(200, b"")
    assert "date: Mon" in lines(answers.whole(reply, ""))
    answers.set_date("Tue")
    assert "date: Tue" in lines(answers.whole(reply, ""))


def test_answers_without_a_body_have_no_length() -> None:
    for status in (204, 304):
        assert not any("length" in line for line in lines(Answers().whole(Reply(status, b""), "")))


def test_status_that_python_does_not_know_is_written() -> None:
    assert lines(Answers().whole(Reply(499, b""), ""))[0] == "HTTP/1.1 499 Unknown"


def test_no_value_can_begin_another_line() -> None:
    reply = Reply(200, b"", "a\r\nb: c", (("d\n", "e\rf\x00"),))
    assert len(lines(Answers().whole(reply, "g\r\n\r\nh"))) == 6
    assert len(lines(Answers().stream(reply, "g\nh", "", is_chunked=True))) == 7


def test_text_outside_latin_1_is_replaced() -> None:
    assert "x-request-id: ?" in lines(Answers().whole(Reply(200, b""), "\u20ac"))


def test_stream_is_chunked_or_has_no_framing() -> None:
    chunked = Answers().stream(Reply(200, b""), "", "", is_chunked=True)
    assert "transfer-encoding: chunked" in lines(chunked)
    plain = Answers().stream(Reply(200, b""), "", "close", is_chunked=False)
    assert not any("transfer-encoding" in line for line in lines(plain))


def test_chunk_has_its_size_in_hex() -> None:
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
