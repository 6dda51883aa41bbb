"""Tell which shape a picture shows: the one in `shapes.txt` that it is most like.

Pixels arrive as an array with the whole batch in front. Replace the shapes by your own, or the
class by your model: `self.open_model("model.onnx")` in `load`, and call it in `predict`.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 8, 8)]


class Shape(hw.Predictor):
    """Tell which shape a picture of 8 by 8 pixels shows, 0 for paper and 1 for ink."""

    examples = ({"pixels": np.eye(8, dtype=np.float32)},)

    def load(self) -> None:
        """Read the shapes: a label, then eight lines of ink (#) and paper (.)."""
        shapes = self.path("shapes.txt").read_text(encoding="utf-8").strip().split("\n\n")
        self.labels = [shape.split("\n")[0] for shape in shapes]
        self.masks = np.stack([_unit(_drawn(shape.split("\n")[1:])) for shape in shapes])

    def predict(self, pixels: Pixels) -> hw.Batch[dict[str, float] | hw.Reject]:
        """Answer a whole batch: how like each shape each picture is, from 0 to 1."""
        likeness = np.einsum("nyx,syx->ns", _unit(pixels), self.masks).clip(0, 1)
        return [
            dict(zip(self.labels, row, strict=True)) if picture.any() else hw.Reject("it is blank")
            for row, picture in zip(likeness.round(4).tolist(), pixels, strict=True)
        ]


def _drawn(lines: list[str]) -> NDArray[np.float32]:
    return np.array([[mark == "#" for mark in line] for line in lines], np.float32)


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures of length one, so that faint and strong ink compare alike."""
    lengths = np.sqrt((pictures**2).sum(axis=(-2, -1), keepdims=True))
    return pictures / np.maximum(lengths, 1e-6)
