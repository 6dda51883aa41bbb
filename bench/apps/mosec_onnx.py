"""A mosec service around an ONNX file: one worker class for each way in."""

import os
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from mosec import Server, Worker

MODEL = os.environ["BENCH_MODEL"]
BATCH = int(os.environ["BENCH_BATCH"])
DTYPES = {"tiny": np.float32, "minilm": np.int64, "mobilenet": np.float32}
OUTPUTS = {"tiny": ["label", "probabilities"], "minilm": ["sentence"], "mobilenet": ["logits"]}


class Onnx(Worker):
    """Stack the items of a batch, run the session, give each item its row."""

    def __init__(self) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.environ["BENCH_PATH"]
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def forward(self, data: Any) -> Any:
        """A list of items if there is batching, else one item."""
        return self.answer(data) if BATCH > 1 else self.answer([data])[0]

    def answer(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows in, rows out."""
        feed = {name: np.array([item[name] for item in items], DTYPES[MODEL]) for name in items[0]}
        columns = [column.tolist() for column in self.session.run(OUTPUTS[MODEL], feed)]
        return [dict(zip(OUTPUTS[MODEL], row, strict=True)) for row in zip(*columns, strict=True)]


class Quick(Onnx):
    """With msgspec's JSON in the place of the standard library's, which mosec indents."""

    def deserialize(self, data: bytes) -> Any:
        """Read JSON."""
        return msgspec.json.decode(data)

    def serialize(self, data: Any) -> bytes:
        """Write JSON."""
        return msgspec.json.encode(data)


class Binary(Onnx):
    """Raw float32 images in, raw scores out."""

    resp_mime_type = "application/octet-stream"

    def deserialize(self, data: bytes) -> Any:
        """View the image."""
        return {"image": np.frombuffer(data, np.float32).reshape(3, 224, 224)}

    def serialize(self, data: Any) -> bytes:
        """Write the scores."""
        return bytes(data)

    def answer(self, items: list[dict[str, Any]]) -> list[Any]:
        """Rows in, rows out."""
        (logits,) = self.session.run(["logits"], {"image": np.stack([i["image"] for i in items])})
        return [row.tobytes() for row in logits]


if __name__ == "__main__":
    ways = {"json": Onnx, "msgspec": Quick, "binary": Binary}
    server = Server()
    server.append_worker(
        ways[os.environ["BENCH_VARIANT"]],
        num=int(os.environ["BENCH_WORKERS"]),
        max_batch_size=BATCH,
        max_wait_time=int(os.environ["BENCH_WAIT_MS"]) if BATCH > 1 else 0,
    )
    server.run()
