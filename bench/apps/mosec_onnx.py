"""A mosec service around an ONNX file: one worker class for each way in."""

import os
from typing import Any

import msgspec
import numpy as np
from mosec import Server, Worker
from session import Session

BATCH = int(os.environ["BENCH_BATCH"])


class Onnx(Worker):
    """Stack the items of a batch, run the session, give each item its row."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()

    def forward(self, data: Any) -> Any:
        """A list of items if there is batching, else one item."""
        return self.answer(data) if BATCH > 1 else self.answer([data])[0]

    def answer(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows in, rows out."""
        return self.session.rows(items)


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
        found = self.session({"image": np.stack([item["image"] for item in items])})
        return [row.tobytes() for row in found["logits"]]


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
