"""How an error's docstring becomes its message."""

import pytest

from headway.errors import ConfigError


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("is wrong", "x: is wrong."),
        ("another said: no.", "x: another said: no."),
        ("one of a, b, ...", "x: one of a, b, ...."),
    ],
)
def test_a_sentence_ends_once(problem: str, said: str) -> None:
    assert ConfigError(where="x", problem=problem).message == said


def test_a_field_that_is_missing_shows_as_a_question_mark() -> None:
    assert ConfigError(where="x").message == "x: ?."
