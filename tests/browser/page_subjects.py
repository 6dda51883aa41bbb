"""Predictors with every kind of input and answer that the page has a widget or a view for."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import headway as hw

Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 1, 8, 8)]


@dataclass
class Passenger:
    name: str
    age: Annotated[float, hw.Meta(ge=0, le=120)] | None
    cabin: Literal["first", "second"] = "second"
    born: date = date(2000, 1, 1)


@dataclass
class Found:
    text: str
    box: tuple[float, float, float, float]


@dataclass
class Seen:
    found: list[Found]


@hw.predictor(
    examples=[{"text": "A joy from start to end."}, {"text": "<img src=x onerror=alert(1)>"}]
)
def shares(text: str) -> dict[str, float]:
    """Tell how long a text is.

    <script>alert(2)</script> is not run.
    """
    if not text:
        raise hw.Reject("no text")
    long = min(len(text) / 50, 1.0)
    return {"long": long, "short": 1 - long, "<b>bold</b>": 0.0}


@hw.predictor(
    examples=[
        {
            "passenger": {"name": "Ada", "age": 36.0},
            "tags": ["a"],
            "count": 2,
            "is_kind": True,
            "weights": {"a": 1.0},
        }
    ]
)
def everything(  # noqa: PLR0917  (one of each)
    passenger: Passenger,
    tags: list[str],
    count: Annotated[int, hw.Meta(ge=0, le=10)],
    is_kind: bool,
    weights: dict[str, float],
    others: list[Passenger] | None = None,
    long: int = 0,
) -> dict[str, str]:
    """Give all of it back as text."""
    person = f"{passenger.name} {passenger.age} {passenger.cabin} {passenger.born}"
    return {"said": f"{person} {tags} {count} {is_kind} {weights} {len(others or [])} {long}"}


def picture(photo: PIL.Image.Image) -> Seen:
    """Find a box in the middle."""
    w, h = photo.size
    return Seen([Found("middle", (w / 4, h / 4, 3 * w / 4, 3 * h / 4))])


def mirror(photo: PIL.Image.Image) -> PIL.Image.Image:
    """Turn a picture over."""
    return photo.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)


def digit(pixels: Pixels) -> Annotated[NDArray[np.float32], hw.Tensor("float32", "batch")]:
    """Add the pixels up."""
    return np.asarray(pixels.sum(axis=(1, 2, 3)), np.float32)


def listen(sound: Annotated[NDArray[np.float32], hw.Audio(16000)]) -> float:
    """Tell how many seconds a recording has."""
    return len(sound) / 16000


def words(text: str) -> Iterator[str]:
    """Say a text word by word."""
    for word in text.split():
        time.sleep(0.05)
        yield word + " "


def slow(seconds: float = 1.5) -> str:
    """Take a while."""
    time.sleep(seconds)
    return "done"


def double(number: int, name: str) -> dict[str, int | str]:
    """Double a number."""
    if number < 0:
        raise hw.Reject("number is below 0")
    return {"number": 2 * number, "name": name}
