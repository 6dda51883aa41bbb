"""Streaming text."""

from collections.abc import Iterator

import numpy as np

import headway as hw


class Story(hw.Predictor):
    """Go on with a story, word by word."""

    examples = ({"prompt": "Once upon a time", "max_words": 5},)

    def load(self) -> None:
        self.net = self.open_model("story.onnx")
        self.words = self.path("words.txt").read_text().split()

    def predict(self, prompt: str, context: hw.Context, max_words: int = 50) -> Iterator[str]:
        if not prompt.strip():
            raise hw.Reject("the prompt is empty")
        word = prompt.rsplit(maxsplit=1)[-1].lower()
        for _ in range(max_words):
            if context.cancelled:
                return
            known = self.words.index(word) if word in self.words else 0
            word = self.words[int(self.net(np.array([known], np.int64))[0])]
            yield word
