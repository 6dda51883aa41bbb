"""Classify a photograph."""

from pathlib import Path

import numpy as np
from PIL import Image

import headway as hw


class Flowers(hw.Predictor):
    """Name what a photograph shows."""

    examples = ({"photo": Path("examples/tulip.jpg")},)

    def load(self) -> None:
        self.net = self.open_model("flowers.onnx")
        self.labels = self.path("labels.txt").read_text().splitlines()

    def predict(self, photo: hw.Batch[Image.Image]) -> hw.Batch[dict[str, float]]:
        pixels = np.stack([self.pixels(p) for p in photo])
        return [self.best(row) for row in self.net(pixels)]

    def pixels(self, photo: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        small = photo.convert("RGB").resize((8, 8))
        return (np.asarray(small, np.float32) / np.float32(255)).transpose(2, 0, 1)

    def best(self, row: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> dict[str, float]:
        top = row.argsort()[::-1][:2]
        return {self.labels[i]: float(row[i]) for i in top}
