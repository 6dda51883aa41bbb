"""The model in a peer's process: the same onnxruntime session, whatever serves it.

`BENCH_MODEL` and `BENCH_PATH` say which model, `BENCH_THREADS` how many threads a call has. The questions
under fault need a model that is slow without using a core, and need to know what it was called
with: each call takes `BENCH_CALL_S` and each row of it `BENCH_ROW_S` seconds more, one call at a
time in a process, as on a device of its own; `BENCH_CALLS` names a file that gets a line with the
number of rows before each call.
"""

import os
import threading
import time

import numpy as np
from numpy.typing import NDArray

INPUTS = {
    "tiny": {"x": np.float32},
    "minilm": {"input_ids": np.int64, "attention_mask": np.int64},
    "mobilenet": {"image": np.float32},
}
OUTPUTS = {"tiny": ["label", "probabilities"], "minilm": ["sentence"], "mobilenet": ["logits"]}

Arrays = dict[str, NDArray[np.generic]]


class Session:
    """The model file, opened in this process and not before: imports stay cheap elsewhere."""

    def __init__(self) -> None:
        import onnxruntime  # noqa: PLC0415  (the front processes of a peer never need it)

        model = os.environ["BENCH_MODEL"]
        self.dtypes = INPUTS[model]
        self.outputs = OUTPUTS[model]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("BENCH_THREADS", "1"))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = os.environ["BENCH_PATH"]
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        self._turn = threading.Lock()
        self._call_s = float(os.environ.get("BENCH_CALL_S", "0"))
        self._row_s = float(os.environ.get("BENCH_ROW_S", "0"))
        calls = os.environ.get("BENCH_CALLS")
        self._calls = open(calls, "a", buffering=1) if calls else None  # noqa: SIM115

    def __call__(self, feed: Arrays) -> Arrays:
        """Call the model; inputs and outputs by name, with the batch in front."""
        if self._calls or self._row_s:
            self._delay(len(next(iter(feed.values()))))
        return dict(zip(self.outputs, self._session.run(self.outputs, feed), strict=True))

    def rows(self, items: list[dict[str, object]]) -> list[dict[str, object]]:
        """Stack items (lists or arrays by input name), call, give each its row as lists."""
        feed = {
            name: np.array([item[name] for item in items], dtype)
            for name, dtype in self.dtypes.items()
        }
        columns = [column.tolist() for column in self(feed).values()]
        return [dict(zip(self.outputs, row, strict=True)) for row in zip(*columns, strict=True)]

    def _delay(self, rows: int) -> None:
        """Write down the call and be slow, as the questions under fault want it."""
        if self._calls:
            self._calls.write(f"{rows}\n")
        with self._turn:
            time.sleep(self._call_s + rows * self._row_s)
