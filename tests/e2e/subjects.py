"""Predictors that tests serve: they note what they do in files, and wait for files that tests write."""

import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw
from headway.engine.ticket import Ticket

FOLDER = Path(__file__).parent


def note(name: str, *lines: object) -> None:
    """Append lines to a file in one write."""
    with (FOLDER / name).open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def wait_for(name: str) -> None:
    while name and not (FOLDER / name).exists():
        time.sleep(0.002)


def mix(number: int) -> int:
    """A number that tells which one was asked."""
    return (number * 2654435761 + 12345) % 2**32


class Mix(hw.Predictor):
    """Answer each number with its own."""

    examples = ({"number": 1},)

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        time.sleep(0.002)
        return [mix(n) for n in number]


class Gate(hw.Predictor):
    """Note each text, wait for a file if told to, answer in capitals.

    A text `poison` kills the process; `poison:NAME` does so unless the file NAME is there, and
    writes it.
    """

    def predict(self, text: hw.Batch[str], until: str = "") -> hw.Batch[str | hw.Reject]:
        note("entered.txt", *text)
        wait_for(until)
        for item in text:
            kind, _, name = item.partition(":")
            if kind == "poison" and not (name and (FOLDER / name).exists()):
                if name:
                    note(name, "died")
                os.kill(os.getpid(), signal.SIGKILL)
        note("computed.txt", *text)
        note("batches.txt", len(text))
        return [hw.Reject("no") if t == "no" else t.upper() for t in text]


class Hearing(Gate):
    """As Gate, but who waits for a file `...-heard` also waits until this process has heard that a caller left.

    A caller's leaving reaches the worker by another thread than that which computes, sooner or later.
    """

    def predict(self, text: hw.Batch[str], until: str = "") -> hw.Batch[str | hw.Reject]:
        answers = super().predict(text, until)
        while until.endswith("-heard") and not any(
            isinstance(o, Ticket) and o.is_cancelled for o in gc.get_objects()
        ):
            time.sleep(0.002)
        return answers


class Twins(Gate):
    """The same, in two slots of one process."""

    thread_safe = True


class Once(Gate):
    """As Gate, but it must not be asked twice."""

    idempotent = False


class Count(hw.Predictor):
    """Count up, slowly; note when it is told to stop."""

    def predict(self, upto: int, name: str, until: str = "") -> Iterator[int]:
        try:
            for number in range(upto):
                if number == 2:
                    wait_for(until)
                yield number
        finally:
            note("closed.txt", name)


class AsyncCount(hw.Predictor):
    """Count up without a thread of its own."""

    async def predict(self, upto: int, name: str) -> AsyncIterator[int]:
        try:
            for number in range(upto):
                yield number
        finally:
            note("closed.txt", name)


Numbers = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 4)]


class Double(hw.Predictor):
    """Double arrays; the first call may wait for a file."""

    def predict(self, numbers: Numbers) -> Numbers:
        note("entered.txt", *(f"double-{row[0]:g}" for row in numbers))
        if numbers[0, 0] < 0:
            wait_for("double")
        return numbers * np.float32(2)


def chatter(text: str) -> str:
    """A function is a predictor too; this one prints."""
    print("printed by the predictor:", text)
    os.write(1, b"written by the predictor\n")
    return text[::-1]
