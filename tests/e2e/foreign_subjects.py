"""What the clients of others ask, in tests. Each answer tells what was asked."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import headway as hw


def write_subjects(folder: Path) -> None:
    """Put this file into a folder."""
    shutil.copy(__file__, folder / "foreign_subjects.py")


@dataclass
class Mood:
    label: str
    score: float


class Sentiment(hw.Predictor):
    """How many of the letters are small, and which."""

    examples = ({"text": "Joy"},)

    def predict(self, text: hw.Batch[str], least: float = 0.0) -> hw.Batch[Mood | hw.Reject]:
        return [hw.Reject("no text") if not t else self._mood(t, least) for t in text]

    def _mood(self, text: str, least: float) -> Mood:
        share = sum(map(str.islower, text)) / len(text)
        return Mood("small" if share >= least else "large", share)

    def explain(self, text: hw.Batch[str]) -> hw.Batch[dict[str, float]]:
        """Tell the small letters."""
        return [{letter: 1.0 for letter in t if letter.islower()} for t in text]


class HalfPlusTwo(hw.Predictor):
    """TensorFlow Serving's own example: x/2 + 2."""

    examples = ({"x": 1.0},)

    def predict(self, x: hw.Batch[float]) -> hw.Batch[float]:
        return [number / 2 + 2 for number in x]


def echo(content: bytes) -> bytes:
    """What comes goes."""
    return content


def whole(number: hw.Batch[int]) -> hw.Batch[int]:
    """What comes goes."""
    return number
