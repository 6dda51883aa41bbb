"""Find and read the lines of a picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import headway as hw


@dataclass
class Line:
    """A line of text and where it stands."""

    text: str
    score: float
    box: tuple[int, int, int, int]


@dataclass
class Page:
    """What a picture holds."""

    lines: list[Line]
    preview: Image.Image


class Ocr(hw.Predictor):
    """Find and read the lines of a picture."""

    examples = ({"picture": Path("examples/receipt.png")},)

    def load(self) -> None:
        self.find = self.open_model("det.onnx")
        self.read = self.open_model("rec.onnx")
        self.alphabet = self.path("alphabet.txt").read_text()

    def predict(self, picture: Image.Image, min_score: float = 0.5) -> Page:
        grey = np.asarray(picture.convert("L"), np.float32) / np.float32(255)
        ink = self.find(grey)
        tops = [int(y) for y in np.flatnonzero(ink > 0.05)]
        if not tops:
            raise hw.Reject("no text was found in the picture")
        lines = [self.line(picture, y, grey[y]) for y in tops]
        return Page([line for line in lines if line.score >= min_score], picture)

    def line(
        self, picture: Image.Image, y: int, row: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
    ) -> Line:
        darkness = float(self.read(row[np.newaxis])[0])
        letter = self.alphabet[min(int(darkness * len(self.alphabet)), len(self.alphabet) - 1)]
        return Line(letter, darkness, (0, y, picture.width, y + 1))
