"""Tell the type of a file from its bytes: bytes in, a dataclass out."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import headway as hw

# What the network was trained to read.
BLOCK_BYTES = 4096
END_TOKENS = 1024
PADDING = 256
LEAST_BYTES = 8


@dataclass
class FileType:
    """What a file is, and how sure that is (from 0 to 1)."""

    label: str
    score: float
    group: str
    mime: str
    description: str


class Filetype(hw.Predictor):
    """Tell the type of a file from its bytes, among some two hundred."""

    thread_safe = True
    examples = ({"content": b"import sys\n\nfor line in sys.stdin:\n    print(line.upper())\n"},)

    def load(self) -> None:
        """Open the network and its words once in each worker."""
        self.net = self.open_model("filetype.onnx")
        words = json.loads(self.path("labels.json").read_text("utf-8"))
        self.types: dict[str, dict[str, str]] = words["types"]
        self.outputs: list[tuple[str, float, str]] = words["outputs"]

    def predict(self, content: bytes) -> FileType:
        """Ask the network, but for what is too short to tell.

        One file at a time: a batch would gain nothing with this network, and some of its scores
        would differ in the second digit (its layer norms subtract nearly equal numbers).
        """
        if is_short(content):
            return self.of_short(content)
        (scores,) = self.net(tokens_of(content)[np.newaxis])
        return self.of_scores(scores)

    def of_scores(self, scores: NDArray[np.float32]) -> FileType:
        """Name the best of the network's guesses, or what is safe to say where it is unsure."""
        best = int(scores.argmax())
        label, least_score, otherwise = self.outputs[best]
        score = float(scores[best])
        return self.named(label if score >= least_score else otherwise, score)

    def of_short(self, file: bytes) -> FileType:
        """Name a file that is too short for the network."""
        if not file:
            return self.named("empty", 1.0)
        try:
            file[:BLOCK_BYTES].decode()
        except UnicodeDecodeError:
            return self.named("unknown", 1.0)
        return self.named("txt", 1.0)

    def named(self, label: str, score: float) -> FileType:
        """Add the words for a label."""
        return FileType(label, score, **self.types[label])


def is_short(file: bytes) -> bool:
    """Tell whether a file's first block holds too little besides space around it."""
    return len(file) < LEAST_BYTES or len(file[:BLOCK_BYTES].lstrip()) < LEAST_BYTES


def tokens_of(file: bytes) -> NDArray[np.int32]:
    """Make int32[2048]: the first bytes and the last, without space around them."""
    first = file[:BLOCK_BYTES].lstrip()[:END_TOKENS]
    last = file[-BLOCK_BYTES:].rstrip()[-END_TOKENS:]
    tokens = np.full(2 * END_TOKENS, PADDING, np.int32)
    tokens[: len(first)] = np.frombuffer(first, np.uint8)
    tokens[2 * END_TOKENS - len(last) :] = np.frombuffer(last, np.uint8)
    return tokens
