"""Predictors that the pictures of the docs show: small, and with answers that look like something."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import PIL.Image

import headway as hw

GOOD, BAD = {"joy", "fine", "thanks", "love"}, {"money", "broken", "never", "late"}


@dataclass
class Found:
    label: str
    box: tuple[float, float, float, float]


@hw.predictor(
    examples=[{"text": "A joy from start to end."}, {"text": "Broken, and I want my money back."}]
)
def sentiment(text: hw.Batch[str]) -> hw.Batch[dict[str, float]]:
    """Tell whether an English sentence is positive."""
    return [_judged(set(one.lower().replace(",", " ").replace(".", " ").split())) for one in text]


def _judged(words: set[str]) -> dict[str, float]:
    if words == {"fail"}:
        raise ValueError("no such word in the vocabulary")
    score = min(max(0.5 + 0.34 * (len(words & GOOD) - len(words & BAD)), 0.04), 0.96)
    return {"positive": score, "negative": 1 - score}


@hw.predictor(examples=[{"rooms": 3, "area": 72.0}])
def rent(
    rooms: Annotated[int, hw.Meta(ge=1, le=12)], area: Annotated[float, hw.Meta(gt=0, le=500)]
) -> dict[str, float]:
    """Tell the rent of a flat from its rooms and its area in square metres."""
    return {"rent": round(120 * rooms + 9.5 * area, 2)}


@hw.predictor(examples=[{"about": "a queue"}])
def story(about: str) -> Iterator[str]:
    """Tell a story, word by word."""
    text = f"Once there was {about} that nobody waited in, for whoever came was answered at once."
    for word in text.split():
        time.sleep(0.02)
        yield word + " "


def shapes(photo: PIL.Image.Image) -> list[Found]:
    """Find shapes in a picture."""
    w, h = photo.size
    return [
        Found("circle", (0.10 * w, 0.20 * h, 0.42 * w, 0.80 * h)),
        Found("square", (0.55 * w, 0.25 * h, 0.88 * w, 0.75 * h)),
    ]
