"""Read handwritten digits with a program that torch exported: an array in, a digit and its chance out."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Ink = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 8, 8)]


@dataclass
class Reading:
    """The digit that a picture most likely shows."""

    digit: int
    chance: float


class Handwriting(hw.Predictor):
    """Read one handwritten digit of 8 by 8 pixels, from 0 (paper) to 16 (ink)."""

    thread_safe = True

    def load(self) -> None:
        """Open the exported program: weights, layers and what prepares the pixels, in one file."""
        self.net = self.open_model("handwriting.pt2")

    def predict(self, ink: Ink) -> hw.Batch[Reading]:
        """Ask the network once for all pictures of the batch."""
        chances: NDArray[np.float32] = self.net(ink=ink)["chances"]
        return [Reading(int(row.argmax()), float(row.max())) for row in chances]
