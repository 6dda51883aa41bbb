"""A tensor in, probabilities out."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 1, 28, 28)]
Scores = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 10)]


class Digits(hw.Predictor):
    """Read one handwritten digit."""

    thread_safe = True

    def load(self) -> None:
        self.net = self.open_model("digits.onnx")

    def predict(self, pixels: Pixels) -> Scores:
        scores: Scores = self.net(pixels / np.float32(255))
        return scores
