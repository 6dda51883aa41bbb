"""Read one handwritten digit: an array in, ten probabilities out."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 1, 28, 28)]
Scores = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 10)]


class Digits(hw.Predictor):
    """Read one handwritten digit, given as pixels from 0 (paper) to 255 (ink)."""

    thread_safe = True

    def load(self) -> None:
        """Open the network once in each worker."""
        self.net = self.open_model("digits.onnx")

    def predict(self, pixels: Pixels) -> Scores:
        """Give the chance of each digit, 0 to 9, for float32[batch, 1, 28, 28]."""
        scores: Scores = self.net(pixels / np.float32(255))
        return scores
