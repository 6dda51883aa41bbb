"""MiniLM as a Headway predictor that says by which lengths its rows may meet; minilm.onnx lies beside it."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

TOKENS = hw.Length("tokens", (16, 32, 48, 64, 96, 128))
Tokens = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", TOKENS)]
Sentence = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 384)]
IDS = [101, 2023, 2003, 1037, 3185, 2008, 2003, 2204, 102]


class MiniLM(hw.Predictor):
    """Tell where a sentence lies."""

    examples = (
        {"input_ids": IDS * 3, "attention_mask": [1] * len(IDS) * 3},
        {"input_ids": IDS, "attention_mask": [1] * len(IDS)},
    )
    thread_safe = True

    def load(self) -> None:
        """Open the model."""
        self.model = self.open_model("minilm.onnx")

    def predict(self, input_ids: Tokens, attention_mask: Tokens) -> Sentence:
        """Answer float32[batch, 384]."""
        found: Sentence = self.model(input_ids=input_ids, attention_mask=attention_mask)
        return found
