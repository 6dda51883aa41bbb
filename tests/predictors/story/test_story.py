"""What the author tests."""

import pytest
from story import Story

import headway as hw


def test_a_story_goes_on_word_by_word() -> None:
    story = Story()
    story.load()
    words = story.predict("Once upon a time", hw.Context(), max_words=3)
    assert list(words) == ["there", "was", "a"]


def test_nobody_listens_any_more() -> None:
    story = Story()
    story.load()
    context = hw.Context("id")
    words = story.predict("Once upon a time", context)
    assert next(words) == "there"
    context.cancel()
    assert list(words) == []


def test_a_client_gets_a_stream() -> None:
    with hw.load(Story) as story:
        assert list(story(prompt="Once upon a time", max_words=2)) == ["there", "was"]
        with pytest.raises(hw.errors.Rejected, match="prompt is empty"):
            list(story(prompt=" "))
