"""What the predictor promises (run: python -m pytest)."""

import pytest
from predictor import Story

import headway as hw


def test_each_word_has_followed_the_last_one() -> None:
    with hw.load(Story) as ask:
        words = ask(prompt="The old", max_words=8)
    assert len(words) == 8
    assert words[0] in {"sailor", "tree"}


def test_the_same_seed_tells_the_same_story() -> None:
    with hw.load(Story) as ask:
        assert ask(prompt="once", seed=7) == ask(prompt="once", seed=7)


def test_an_empty_prompt_is_refused() -> None:
    with hw.load(Story) as ask, pytest.raises(hw.errors.Rejected, match="empty"):
        ask(prompt=" ")
