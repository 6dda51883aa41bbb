"""What is asked: questions from a file, and what a server tells of a model."""

import pytest

from headway.errors import ConfigError
from headway.traffic.questions import find_model, parse, words
from headway.traffic.target import read_target


@pytest.mark.parametrize("body", [b"{", b"3", b"[1]", b"[]", b"\xff"])
def test_a_question_that_is_no_object_is_told_by_its_number(body: bytes) -> None:
    with pytest.raises(ConfigError, match="question 2"):
        parse([b"{}", body])


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"{}"), (404, b"not here"), (200, b'{"inputs": 3}'), (200, b"[]")],
)
def test_a_server_that_is_not_headway_is_told(status: int, body: bytes) -> None:
    with pytest.raises(ConfigError, match="does not tell of a model"):
        find_model(read_target("http://h/models/m"), lambda path: (status, body))


def test_an_error_has_words_that_a_terminal_can_show() -> None:
    assert words(b'{"error": "no\\u001b[2J"}') == "no [2J"
    assert words(b"<html>") == ""
