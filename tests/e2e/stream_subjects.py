"""Predictors that stream, for tests of streams. Not a test."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import headway as hw

FOLDER = Path(__file__).parent
PIECE = "x" * 10_000


def note(name: str, *lines: object) -> None:
    """Append lines to a file in one write."""
    with (FOLDER / name).open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


class Endless(hw.Predictor):
    """Make pieces as fast as they are taken; note how many there were, and why it ended."""

    def predict(self, name: str, context: hw.Context) -> Iterator[str]:
        made = 0
        try:
            while True:
                yield PIECE
                made += 1
                if made % 10 == 0:
                    (FOLDER / f"{name}.made").write_text(str(made))
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
                    (FOLDER / f"{name}.made").write_text(str(made))
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
