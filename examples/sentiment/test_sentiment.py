"""What the author tests."""

from sentiment import Sentiment

import headway as hw


def test_praise_is_positive_and_a_complaint_is_not() -> None:
    model = Sentiment()
    model.load()
    praise, complaint = model.predict(["A joy from start to end.", "I want my money back."])
    assert isinstance(praise, dict)
    assert isinstance(complaint, dict)
    assert praise["positive"] > 0.7
    assert complaint["negative"] > 0.7


def test_an_empty_sentence_is_refused_and_its_neighbour_is_answered() -> None:
    model = Sentiment()
    model.load()
    answers = model.predict(["  ", "What a wonderful film!"])
    assert [type(answer) for answer in answers] == [hw.Reject, dict]


def test_a_request_is_answered_as_a_call_is() -> None:
    model = Sentiment()
    model.load()
    (expected,) = model.predict(["A joy from start to end."])
    with hw.load(Sentiment) as ask:
        assert ask(text="A joy from start to end.") == expected
