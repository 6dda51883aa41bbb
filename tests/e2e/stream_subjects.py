"""Predictors that stream, for tests of streams. Not a test."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

FOLDER = Path(__file__).parent
PIECE = "x" * 10_000


def note(name: str, *lines: object) -> None:
    """Append lines to a file in one write."""
    with (FOLDER / name).open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def tell(name: str, made: int) -> None:
    """Write how many there were, whole or not at all, for who reads meanwhile."""
    aside = FOLDER / f"{name}.aside"
    aside.write_text(str(made))
    aside.replace(FOLDER / f"{name}.made")


class Endless(hw.Predictor):
    """Make pieces as fast as they are taken; note how many there were, and why it ended."""

    def predict(self, name: str, context: hw.Context) -> Iterator[str]:
        made = 0
        try:
            while True:
                yield PIECE
                made += 1
                if made % 10 == 0:
                    tell(name, made)
        except GeneratorExit:
            note("exits.txt", f"{name}:{context.cancelled}:{time.time()}")
            raise


class AsyncEndless(hw.Predictor):
    """The same on the worker's loop."""

    async def predict(self, name: str, context: hw.Context) -> AsyncIterator[str]:
        made = 0
        try:
            while True:
                yield PIECE
                made += 1
                if made % 10 == 0:
                    tell(name, made)
        except GeneratorExit:
            note("exits.txt", f"{name}:{context.cancelled}:{time.time()}")
            raise


class Together(hw.Predictor):
    """Go on once so many streams have begun."""

    def __init__(self) -> None:
        self.begun = 0

    async def predict(self, streams: int) -> AsyncIterator[int]:
        import asyncio

        self.begun += 1
        yield 0
        while self.begun < streams:
            await asyncio.sleep(0.005)
        yield self.begun


def length(text: str) -> int:
    """Something else that is served beside."""
    return len(text)


Samples = Annotated[NDArray[np.float32], hw.Tensor("float32", None)]


class Speech(hw.Predictor):
    """Tell where a sound begins and ends; the place is kept in the stream's own variables."""

    thread_safe = True

    def predict(
        self, chunks: Iterator[Samples], rate: int = 16000, loud: float = 0.5
    ) -> Iterator[dict[str, float | str]]:
        at, is_loud = 0, False
        try:
            for chunk in chunks:
                now = bool(np.abs(chunk).max(initial=0.0) > loud)
                if now != is_loud:
                    is_loud = now
                    yield {"event": "start" if now else "end", "at_s": at / rate}
                at += len(chunk)
            yield {"event": "over", "at_s": at / rate}
        finally:
            note("closed.txt", f"speech-{at}")


class Sums(hw.Predictor):
    """Add up what comes, answer each time; a word of it may stand still, fail, die or talk without an end."""

    thread_safe = True

    def predict(
        self, numbers: Iterator[int], context: hw.Context, name: str = "nobody"
    ) -> Iterator[int]:
        total = 0
        try:
            for number in numbers:
                if number == -1:
                    raise ValueError("a bug of the predictor")
                if number == -2:
                    os.kill(os.getpid(), signal.SIGKILL)
                while number == -3 and not (FOLDER / name).exists():
                    time.sleep(0.005)
                while number == -4:
                    yield total
                total += number
                yield total
        finally:
            note("closed.txt", f"{name}-{context.cancelled}")


class AsyncSums(hw.Predictor):
    """The same on the worker's loop."""

    async def predict(
        self, numbers: AsyncIterator[int], context: hw.Context, name: str = "nobody"
    ) -> AsyncIterator[int]:
        total = 0
        try:
            async for number in numbers:
                while number == -4:
                    yield total
                total += number
                yield total
        finally:
            note("closed.txt", f"{name}-{context.cancelled}")
