"""What the predictor promises (run: python -m pytest)."""

import json
from pathlib import Path

import numpy as np
import pytest
from predictor import Shape

import headway as hw

BAR = np.zeros((8, 8))
BAR[:, 3:5] = 1


@pytest.mark.parametrize(("picture", "shape"), [(np.eye(8), "cross"), (BAR / 2, "bar")])
def test_the_shape_is_found(picture: np.ndarray, shape: str) -> None:
    with hw.load(Shape) as ask:
        answer = ask(pixels=picture.tolist())
    assert max(answer, key=answer.get) == shape


def test_the_question_is_answered() -> None:
    question = json.loads(Path(__file__).with_name("question.json").read_text())
    with hw.load(Shape) as ask:
        assert ask(**question)["ring"] > 0.9


def test_a_blank_picture_is_refused_and_harms_no_other() -> None:
    predictor = Shape()
    predictor.load()
    blank, fine = predictor.predict(np.stack([np.zeros((8, 8)), BAR]).astype(np.float32))
    assert isinstance(blank, hw.Reject)
    assert fine["bar"] == 1.0
