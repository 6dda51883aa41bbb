"""Predictors that the corpus of bad inputs is sent to: each kind of input once, answers that can be told apart."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import headway as hw

Four = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 4)]
Half = Annotated[NDArray[np.float16], hw.Tensor("float16", "batch", 2)]
Free = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None)]
Loose = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None, None)]
Flags = Annotated[NDArray[np.bool_], hw.Tensor("bool", "batch", 2)]
Small = Annotated[NDArray[np.uint8], hw.Tensor("uint8", "batch", 2)]
Signed = Annotated[NDArray[np.int8], hw.Tensor("int8", "batch", 2)]
Whole = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", 2)]
Large = Annotated[NDArray[np.uint64], hw.Tensor("uint64", "batch", 2)]
Speech = Annotated[NDArray[np.float32], hw.Audio(rate=16000, max_s=10)]
Sums = Annotated[NDArray[np.float64], hw.Tensor("float64", "batch")]


def mix(number: int) -> int:
    """A number that tells which one was asked."""
    return (number * 2654435761 + 12345) % 2**32


class Number(hw.Predictor):
    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        return [mix(n) for n in number]


class Text(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[int]:
        return [len(t) for t in text]


class File(hw.Predictor):
    def predict(self, file: hw.Batch[bytes]) -> hw.Batch[int]:
        return [len(f) for f in file]


class Several(hw.Predictor):
    def predict(
        self,
        flag: hw.Batch[bool],
        ratio: hw.Batch[Annotated[float, hw.Meta(ge=0, le=1)]],
        word: hw.Batch[Literal["red", "blue"]],
        note: str = "",
    ) -> hw.Batch[str]:
        return [f"{f} {r:g} {w} {note}" for f, r, w in zip(flag, ratio, word, strict=True)]


class Anything(hw.Predictor):
    def predict(self, value: hw.Batch[dict[str, Any]]) -> hw.Batch[int]:
        return [len(v) for v in value]


class Arrays(hw.Predictor):
    def predict(self, four: Four) -> Four:
        return four * np.float32(2)


class Halves(hw.Predictor):
    def predict(self, half: Half) -> Half:
        return half * np.float16(2)


class Frees(hw.Predictor):
    def predict(self, free: Free) -> Sums:
        return np.asarray(free.sum(axis=1), np.float64)


class Looses(hw.Predictor):
    def predict(self, loose: Loose) -> Sums:
        return np.asarray(loose.sum(axis=(1, 2)), np.float64)


class Typed(hw.Predictor):
    def predict(
        self, flags: Flags, small: Small, signed: Signed, whole: Whole, large: Large
    ) -> Sums:
        return np.asarray(flags.sum(axis=1) + small.sum(axis=1), np.float64)


class Count(hw.Predictor):
    def predict(self, upto: Annotated[int, hw.Meta(le=1000)]) -> Iterator[int]:
        yield from range(upto)


class Parity(hw.Predictor):
    def predict(
        self, numbers: Iterator[int], of: Annotated[int, hw.Meta(gt=0)] = 2
    ) -> Iterator[int]:
        for number in numbers:
            yield number % of


class Odd(hw.Predictor):
    def predict(self, number: hw.Batch[int]) -> hw.Batch[float]:
        return [(float("nan"), float("inf"), float("-inf"))[n % 3] for n in number]


class Picture(hw.Predictor):
    def predict(self, photo: hw.Batch[PIL.Image.Image]) -> hw.Batch[int]:
        return [p.width * 1000 + p.height for p in photo]


class Sound(hw.Predictor):
    def predict(self, sound: hw.Batch[Speech]) -> hw.Batch[int]:
        return [len(s) for s in sound]


class Attachment(hw.Predictor):
    def predict(self, file: hw.File, note: str = "", times: int = 1) -> int:
        return len(file.content) * times


class Long(hw.Predictor):
    """Answer with much, for clients that are slow to take it."""

    def predict(self, size: int) -> str:
        return "a" * size
