"""What the author tests."""

import json
from pathlib import Path

import numpy as np
from digits import Digits

import headway as hw

SEVEN = json.loads(Path(__file__).with_name("question.json").read_text())["pixels"]


def test_a_seven_is_read_as_one() -> None:
    model = Digits()
    model.load()
    (scores,) = model.predict(np.array([SEVEN], np.float32))
    assert scores.argmax() == 7
    assert abs(scores.sum() - 1) < 1e-5


def test_a_digit_is_read_the_same_alone_and_among_others() -> None:
    model = Digits()
    model.load()
    alone = model.predict(np.array([SEVEN], np.float32))
    among = model.predict(np.array([SEVEN, np.zeros((1, 28, 28)), SEVEN], np.float32))
    np.testing.assert_allclose(among[[0, 2]], np.repeat(alone, 2, axis=0), atol=1e-6)


def test_a_request_is_answered_as_a_call_is() -> None:
    model = Digits()
    model.load()
    (expected,) = model.predict(np.array([SEVEN], np.float32))
    with hw.load(Digits) as ask:
        np.testing.assert_allclose(ask(pixels=SEVEN), expected, atol=1e-6)
