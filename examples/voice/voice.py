"""Hear where speech begins and ends: sound in while it is made, times out while it comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

import headway as hw

# What the network was trained with.
RATE = 16000
WINDOW = 512
"""Samples that it hears at once, 32 ms."""
BEFORE = 64
"""Samples of the window before, which it hears again."""

Samples = Annotated[NDArray[np.int16], hw.Tensor("int16", None)]
Share = Annotated[float, hw.Meta(gt=0, lt=1, description="chance from which on it is speech")]
Seconds = Annotated[float, hw.Meta(ge=0, le=10, description="a shorter pause ends nothing")]


@dataclass
class Turn:
    """Speech has begun or ended, so many seconds after the sound did."""

    event: Literal["begin", "end"]
    at_s: float


class Voice(hw.Predictor):
    """Tell when speech begins and ends in sound of 16 kHz; chunks may have any length."""

    thread_safe = True
    examples = ({"chunks": [[0] * WINDOW]},)

    def load(self) -> None:
        """Open the network."""
        self.net = self.open_model("voice.onnx")

    def predict(
        self, chunks: Iterator[Samples], min_chance: Share = 0.5, pause_s: Seconds = 0.2
    ) -> Iterator[Turn]:
        """Follow one speaker's sound; what is remembered of it is in local variables."""
        is_speech = False
        end_s = now_s = 0.0
        for chance in self.chances(windows(chunks)):
            if chance >= min_chance:
                if not is_speech:
                    yield Turn("begin", round(now_s, 3))
                is_speech = True
                end_s = now_s + WINDOW / RATE
            now_s += WINDOW / RATE
            if is_speech and now_s - end_s > pause_s:
                yield Turn("end", round(end_s, 3))
                is_speech = False
        if is_speech:
            yield Turn("end", round(end_s, 3))

    def chances(self, heard: Iterator[NDArray[np.float32]]) -> Iterator[float]:
        """Ask the network for the chance of speech in each window; it remembers those before."""
        state = np.zeros((2, 1, 128), np.float32)
        before = np.zeros(BEFORE, np.float32)
        for window in heard:
            sound = np.concatenate([before, window])[np.newaxis]
            answer = self.net(input=sound, state=state, sr=np.array(RATE))
            state, before = answer["stateN"], window[-BEFORE:]
            yield float(answer["output"][0, 0])


def windows(chunks: Iterator[Samples]) -> Iterator[NDArray[np.float32]]:
    """Cut chunks of any length into float32[512], from -1 to 1; what is left at the end is under 32 ms."""
    kept = np.zeros(0, np.int16)
    for chunk in chunks:
        kept = np.concatenate([kept, chunk])
        count = len(kept) // WINDOW
        yield from kept[: count * WINDOW].reshape(count, WINDOW) / np.float32(32768)
        kept = kept[count * WINDOW :]
