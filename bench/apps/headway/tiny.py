"""The tiny model as a Headway predictor: the questions under fault need it slower than it is."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from session import Session

import headway as hw

Row = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 30)]
Probabilities = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 2)]


class Tiny(hw.Predictor):
    """Tell how sure the model is of each class."""

    def load(self) -> None:
        """Open the model."""
        self.session = Session()

    def predict(self, x: Row) -> Probabilities:
        """Answer float32[batch, 2] for float32[batch, 30]."""
        found: Probabilities = self.session({"x": x})["probabilities"]
        return found
