"""The predictors that the harness serves: each answer tells whose it is and who computed it.

A test may write this file anew with another VERSION.
"""

import os
import re
import signal
import time
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

VERSION = 1
FOLDER = Path(__file__).parent
_LEAK: list[bytes] = []


def suffer(text: str) -> None:
    """Do to this process what a text asks for."""
    if text.startswith("poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("sick"):
        raise ValueError("this text makes me sick")
    if text.startswith("leak"):
        _LEAK.append(text.encode() * 4)
    if text.startswith("spin"):
        re.match("(a*)*b", "a" * 40)  # in native code, with the interpreter
    if text.startswith("slow"):
        time.sleep(float(text.split()[1]))


class Text(hw.Predictor):
    """Answer each row with its id, the version and the text's checksum."""

    examples = ({"id_lo": 1, "id_hi": 0, "text": "a"},)

    def predict(
        self, id_lo: hw.Batch[int], id_hi: hw.Batch[int], text: hw.Batch[str], group: int = 0
    ) -> hw.Batch[list[int] | hw.Reject]:
        for one in text:
            suffer(one)
        time.sleep(0.0005 * (id_lo[0] // 8 % 5))
        return [
            hw.Reject("no") if one.startswith("rejected") else [lo, hi, VERSION, crc(one)]
            for lo, hi, one in zip(id_lo, id_hi, text, strict=True)
        ]


def crc(text: str) -> int:
    return zlib.crc32(text.encode())


Numbers = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", "length")]
Answers = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", 4)]


class Array(hw.Predictor):
    """The same over arrays of any length: id_lo, id_hi, then the text's bytes."""

    examples = ({"numbers": [1, 0, 97]},)

    def predict(self, numbers: Numbers) -> Answers:
        return np.array(
            [[row[0], row[1], VERSION, zlib.crc32(bytes(row[2:].tolist()))] for row in numbers],
            np.int64,
        )


class Once(Text):
    """The same, but it must be asked nothing twice."""

    idempotent = False
