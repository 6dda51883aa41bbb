"""Turn sentences into vectors: texts in, one array out; similar texts have similar vectors."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import headway as hw

LONGEST = 256
"""Tokens of a text that count, as the model was trained; the rest is cut off."""
CALL = 8
"""Texts a call: on a CPU more gain nothing."""

Vectors = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 384)]


class Embeddings(hw.Predictor):
    """Sentences to vectors of length one (all-MiniLM-L6-v2): their product is their similarity."""

    thread_safe = True
    examples = (
        {"text": "A joy from start to end."},
        {"text": "The parcel came two days late, and the box was torn open on one side."},
    )

    def load(self) -> None:
        """Open the network, and the tokenizer (Rust), once in each worker."""
        self.net = self.open_model("encoder.onnx")
        self.tokenizer = Tokenizer.from_file(str(self.path("tokenizer.json")))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.no_padding()

    def predict(self, text: hw.Batch[str]) -> Vectors:
        """Encode texts of about one length together, so that little is padded; answer in order."""
        found = self.tokenizer.encode_batch(text)
        vectors = np.empty((len(text), 384), np.float32)
        order = sorted(range(len(text)), key=lambda i: len(found[i].ids))
        for start in range(0, len(order), CALL):
            members = order[start : start + CALL]
            vectors[members] = self.encode([found[i].ids for i in members])
        return vectors

    def encode(self, rows: list[list[int]]) -> NDArray[np.float32]:
        """Ask the network; zeros stand where a text is shorter, and the mask says so."""
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        answer: NDArray[np.float32] = self.net(input_ids=ids, attention_mask=mask)
        return answer
