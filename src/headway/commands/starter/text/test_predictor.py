"""What the predictor promises (run: python -m pytest)."""

import pytest
from predictor import Topic

import headway as hw


@pytest.mark.parametrize(
    ("text", "topic"),
    [("I want my money back", "billing"), ("it crashes", "technical"), ("my login", "account")],
)
def test_the_topic_is_found(text: str, topic: str) -> None:
    with hw.load(Topic) as ask:
        answer = ask(text=text)
    assert max(answer, key=answer.get) == topic


def test_an_empty_text_is_refused() -> None:
    predictor = Topic()
    predictor.load()
    assert isinstance(predictor.predict([" "])[0], hw.Reject)
