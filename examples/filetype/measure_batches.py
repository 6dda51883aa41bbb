"""Time the network for one file alone and for eight together, and show how the score differs."""

import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from filetype import tokens_of

ROUNDS = 50


def main() -> None:
    """Ask about a file of nine 0xFF bytes, in batches of one and of eight."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    net = ort.InferenceSession(str(Path(__file__).with_name("filetype.onnx")), options)
    name = net.get_inputs()[0].name
    for size in (1, 8):
        batch = np.stack([tokens_of(b"\xff" * 9)] * size)
        scores = net.run(None, {name: batch})[0]
        started = time.perf_counter()
        for _ in range(ROUNDS):
            net.run(None, {name: batch})
        cost_ms = (time.perf_counter() - started) / ROUNDS / size * 1000
        print(f"batch of {size}: {cost_ms:.1f} ms a file, score {scores[0].max():.3f}")


if __name__ == "__main__":
    main()
