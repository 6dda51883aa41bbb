"""Predictors for the protocols of Cog and TorchServe. They wait for files that tests write."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import headway as hw

FOLDER = Path(__file__).parent
DOT = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""The smallest GIF."""


def wait_for(name: str) -> None:
    while name and not (FOLDER / name).exists():
        time.sleep(0.002)


def note(name: str, line: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(f"{line}\n")


class Onion(hw.Predictor):
    """Shout a prompt; note it; wait if told to; `fail` raises."""

    def predict(self, prompt: str = "", until: str = "") -> str:
        note("entered.txt", prompt)
        wait_for(until)
        if prompt == "fail":
            raise RuntimeError("a secret of the model's code")
        return prompt.upper()


class Tokens(hw.Predictor):
    """Words one after another; from the third on they wait for a file; `fail` raises there."""

    def predict(self, prompt: str, until: str = "") -> Iterator[str]:
        for number, word in enumerate(prompt.split()):
            if number == 2:
                wait_for(until)
            if word == "fail":
                raise RuntimeError("a secret of the model's code")
            yield word


class Pace(hw.Predictor):
    """Numbers, a hundredth of a second apart."""

    def predict(self, count: int) -> Iterator[int]:
        for number in range(count):
            time.sleep(0.01)
            yield number


class Sunglasses(hw.Predictor):
    """A picture of one pixel, and what was sent."""

    def predict(self, image: hw.File) -> hw.File:
        return hw.File(DOT + image.content, "", "image/gif")


class Numbers(hw.Predictor):
    """Sum up; not a number if there are none."""

    def predict(self, data: list[float]) -> float:
        return sum(data) if data else float("nan")

    def explain(self, data: list[float]) -> list[float]:
        """How much of the sum each is."""
        return [x / sum(data) for x in data]
