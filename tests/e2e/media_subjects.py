"""Predictors of pictures, sounds and files, for tests with a real server."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headway as hw

Pixels = Annotated[NDArray[np.uint8], hw.Image()]
Speech = Annotated[NDArray[np.float32], hw.Audio(rate=16000, max_s=10)]


@dataclass
class Album:
    title: str
    photos: list[Image.Image]


class Pictures(hw.Predictor):
    def predict(self, photo: hw.Batch[Pixels]) -> hw.Batch[list[int]]:
        return [list(p.shape) for p in photo]


class Negative(hw.Predictor):
    def predict(self, photo: hw.Batch[Pixels]) -> hw.Batch[Pixels]:
        return [255 - p for p in photo]


class Sounds(hw.Predictor):
    def predict(self, sound: hw.Batch[Speech]) -> hw.Batch[int]:
        return [len(s) for s in sound]


class Quiet(hw.Predictor):
    def predict(self, sound: Speech) -> Speech:
        return sound * np.float32(0.5)


class Files(hw.Predictor):
    def predict(self, file: hw.File, times: int = 1) -> hw.File:
        return hw.File(file.content * times, file.name, file.content_type)


class Albums(hw.Predictor):
    def predict(self, album: Album) -> Album:
        return Album(album.title.upper(), album.photos[::-1])


class Maybe(hw.Predictor):
    def predict(self, photo: Image.Image | None = None) -> str:
        return "none" if photo is None else f"{photo.width}x{photo.height}"
