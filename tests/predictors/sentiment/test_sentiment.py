"""What the author tests."""

import pytest
from sentiment import Sentiment

import headway as hw


def test_praise_is_positive() -> None:
    with hw.load(Sentiment) as sentiment:
        assert sentiment(text="A joy from start to end.")["positive"] > 0.7


def test_a_batch_is_a_list() -> None:
    sentiment = Sentiment()
    sentiment.load()
    good, empty, bad = sentiment.predict(["What a joy", "  ", "What a waste"])
    assert not isinstance(good, hw.Reject)
    assert not isinstance(bad, hw.Reject)
    assert good["positive"] > bad["positive"]
    assert isinstance(empty, hw.Reject)


def test_an_empty_text_is_the_callers_mistake_and_harms_nobody() -> None:
    with hw.load(Sentiment) as sentiment:
        with pytest.raises(hw.errors.Rejected, match="text is empty"):
            sentiment(text=" ")
        assert len(sentiment.batch([{"text": "fine"}, {"text": "dull"}])) == 2
