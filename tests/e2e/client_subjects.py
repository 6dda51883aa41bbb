"""Predictors that the client's tests serve."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headway as hw

FOLDER = Path(__file__).parent


@dataclass
class Place:
    """Where something is."""

    x: float
    y: float = 0.0


@dataclass
class Report:
    """What was seen."""

    kind: Literal["near", "far"]
    place: Place
    tags: list[str] = field(default_factory=list)


class Echo(hw.Predictor):
    """Say it again.

    Louder each time.
    """

    examples = ({"text": "hello"},)

    def predict(self, text: str, times: int = 1, tone: Literal["low", "high"] = "low") -> str:
        """Repeat."""
        if text == "no":
            raise hw.Reject("this is not said here")
        return (text.upper() if tone == "high" else text) * times


class Locate(hw.Predictor):
    """Tell how far a place is."""

    def predict(
        self,
        place: Place,
        limit: Annotated[float, hw.Meta(ge=0, description="Nearer than this is near.")] = 1.0,
        note: str | None = None,
        tags: list[str] = [],  # noqa: B006  (it is the server's default, and nobody changes it)
    ) -> Report:
        """Measure."""
        is_near = abs(place.x) + abs(place.y) < limit
        return Report("near" if is_near else "far", place, [*tags, *([note] if note else [])])


class Story(hw.Predictor):
    """Count words."""

    def predict(self, prompt: str, most: int = 3, wait_s: float = 0.0) -> Iterator[str]:
        """Tell."""
        try:
            for i in range(most):
                if prompt == "break" and i == 2:
                    raise ValueError("secret")
                yield f"{prompt} {i}"
                time.sleep(wait_s)
        finally:
            with (FOLDER / "told.txt").open("a") as file:
                file.write(f"{prompt.replace(' ', '-')}\n")


Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None, 4)]
Sums = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 4)]


class Add(hw.Predictor):
    """Add rows up."""

    def predict(self, pixels: Pixels, scale: float = 1.0) -> Sums:
        """Add."""
        summed: Sums = pixels.sum(axis=1) * np.float32(scale)
        return summed


def size(picture: Image.Image) -> list[int]:
    """Tell a picture's size."""
    return [picture.width, picture.height]


def count(data: bytes) -> int:
    """Tell how many bytes there are."""
    return len(data)


class Slow(hw.Predictor):
    """Take a while; note who was answered."""

    def predict(self, number: int, wait_s: float = 0.0) -> int:
        """Wait."""
        with (FOLDER / "slow.txt").open("a") as file:
            file.write(f"{number}\n")
        time.sleep(wait_s)
        return number * 3


class Once(Slow):
    """As Slow, but never asked twice."""

    idempotent = False
