"""Read a picture: three networks in a row, one picture in, lines of text and their boxes out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import headway as hw

# What the networks were trained with.
SIDE = 736
"""The shorter side of a picture is enlarged to this for the first network."""
LONGEST = 2016
STEP = 32
HEIGHT = 48
"""Of a line, for the other two networks."""
TURN_WIDTH = 192
BATCH = 6

TEXT_FROM = 0.3
"""Probability from which on a pixel belongs to text."""
BOX_FROM = 0.5
GROWTH = 1.6
"""The first network marks the middle of a line; the line itself is larger by this."""
TURNED_FROM = 0.9
LEAST_PIXELS = 3

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
Share = Annotated[float, hw.Meta(ge=0, le=1, description="lines that are less sure are left out")]


@dataclass
class Line:
    """A line of text; its box is left, top, right, bottom, in pixels of the picture."""

    text: str
    score: float
    box: Box


@dataclass
class Page:
    """The lines of a picture, from top to bottom."""

    lines: list[Line]


class Ocr(hw.Predictor):
    """Find and read the lines of a picture. They should be about level; upside down is fine."""

    examples = ({"picture": Path("receipt.png")},)

    def load(self) -> None:
        """Open the three networks, and the characters that the last one knows."""
        self.find = self.open_model("find.onnx")
        self.turn = self.open_model("turn.onnx")
        self.read = self.open_model("read.onnx")
        known = self.path("alphabet.txt").read_text("utf-8").split("\n")
        self.alphabet = np.array(["", *known, " "])

    def predict(self, picture: Image.Image, min_score: Share = 0.5) -> Page:
        """Find the lines, turn those that stand on their heads, read them."""
        picture = picture.convert("RGB")
        boxes = self.boxes(picture)
        lines = [picture.crop(box) for box in boxes]
        found: list[Line] = []
        # Lines of about one length are read together: a short one would be padded to a long one.
        order = sorted(range(len(lines)), key=lambda i: lines[i].width / lines[i].height)
        for start in range(0, len(order), BATCH):
            members = order[start : start + BATCH]
            upright = self.upright([lines[i] for i in members])
            for i, (text, score) in zip(members, self.texts(upright), strict=True):
                found.append(Line(text, score, boxes[i]))
        kept = [line for line in found if line.text and line.score >= min_score]
        return Page(sorted(kept, key=lambda line: (line.box[1], line.box[0])))

    def boxes(self, picture: Image.Image) -> list[Box]:
        """Ask the first network where text is; a box for each spot that hangs together."""
        small = picture.resize(fitting(*picture.size))
        (heat,) = self.find(pixels(small)[np.newaxis])[0]
        spots, _ = ndimage.label(ndimage.binary_dilation(heat > TEXT_FROM))
        scale = picture.width / small.width, picture.height / small.height
        boxes = []
        for spot, (rows, columns) in enumerate(ndimage.find_objects(spots), 1):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            inside = spots[rows, columns] == spot
            if min(height, width) < LEAST_PIXELS or heat[rows, columns][inside].mean() < BOX_FROM:
                continue
            margin = GROWTH * height * width / (2 * (height + width))
            corners = (columns.start, rows.start, columns.stop, rows.stop)
            boxes.append(grown(corners, margin, scale, picture.size))
        return boxes

    def upright(self, lines: list[Image.Image]) -> list[Image.Image]:
        """Ask the second network which lines stand on their heads, and turn those."""
        chances = self.turn(together(lines, TURN_WIDTH))
        return [
            line.rotate(180) if turned > TURNED_FROM else line
            for line, (_, turned) in zip(lines, chances, strict=True)
        ]

    def texts(self, lines: list[Image.Image]) -> list[tuple[str, float]]:
        """Ask the third network for the characters of each line, and how sure it is."""
        width = max(HEIGHT * line.width // line.height + 1 for line in lines)
        return [self.text(steps) for steps in self.read(together(lines, max(width, 320)))]

    def text(self, steps: Floats) -> tuple[str, float]:
        """Join a network's steps to a text: a character that repeats is one, the first class none."""
        best = steps.argmax(axis=1)
        is_new = np.append(True, best[1:] != best[:-1]) & (best > 0)
        if not is_new.any():
            return "", 0.0
        score = float(steps.max(axis=1)[is_new].mean())
        return "".join(self.alphabet[best[is_new]]), score


def fitting(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture is looked at: sides that the first network can divide."""
    scale = max(1.0, SIDE / min(width, height))
    scale = min(scale, LONGEST / max(width, height))
    return whole(width * scale), whole(height * scale)


def whole(side: float) -> int:
    """The nearest length that the first network can divide."""
    return max(STEP, round(side / STEP) * STEP)


def grown(corners: Box, margin: float, scale: tuple[float, float], size: tuple[int, int]) -> Box:
    """A box of the small picture, with a margin, in pixels of the whole one."""
    left, top, right, bottom = corners
    return (
        max(0, int((left - margin) * scale[0])),
        max(0, int((top - margin) * scale[1])),
        min(size[0], int((right + margin) * scale[0] + 1)),
        min(size[1], int((bottom + margin) * scale[1] + 1)),
    )


def pixels(picture: Image.Image) -> Floats:
    """Make float32[3, height, width], from -1 to 1; blue comes first, as in training."""
    values = np.asarray(picture, np.float32)[:, :, ::-1] / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def together(lines: list[Image.Image], width: int) -> Floats:
    """Make float32[lines, 3, 48, width]; a line that is shorter is followed by zeros."""
    made = np.zeros((len(lines), 3, HEIGHT, width), np.float32)
    for row, line in zip(made, lines, strict=True):
        own = min(width, -(-HEIGHT * line.width // line.height))
        row[:, :, :own] = pixels(line.resize((max(1, own), HEIGHT)))
    return made
