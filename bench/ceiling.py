"""What the machine can do without a server: onnxruntime called in a loop.

Run as a process of its own (`python -m bench.ceiling MODEL FORM SECONDS`), prints one JSON line.
A form is `PxTxI@B`: P processes, each with T Python threads on one shared session, I threads
inside a call, batches of B.
"""

import json
import multiprocessing
import sys
import threading
import time
from multiprocessing.synchronize import Barrier

import numpy as np
import onnxruntime

from bench.models import MODELS

FORMS = {
    "minilm": ("1x2x1@1", "1x2x1@4", "2x1x1@1", "1x1x2@16"),
    "mobilenet": ("1x2x1@1", "1x2x1@4", "2x1x1@1", "1x1x2@1"),
}
"""The ways that have won on some machine; the best of them is the ceiling."""


def parse(form: str) -> tuple[int, int, int, int]:
    """Processes, Python threads, threads inside a call, batch."""
    left, batch = form.split("@")
    processes, threads, inner = left.split("x")
    return int(processes), int(threads), int(inner), int(batch)


def session_of(model: str, inner: int) -> onnxruntime.InferenceSession:
    """A session as a careful user makes it: no spinning, since others share the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = inner
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = MODELS[model].path
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_process(
    model: str, form: str, seconds: float, start: Barrier, rates: "list[float]"
) -> None:
    """One process of a form: warm up, wait for the others, count; appends rows per second."""
    _, threads, inner, batch = parse(form)
    session = session_of(model, inner)
    items = MODELS[model].items()
    feed = {
        name: np.stack([items[i % len(items)][name] for i in range(batch)]) for name in items[0]
    }
    session.run(None, feed)
    start.wait()
    counts = [0] * threads
    begin = time.perf_counter()

    def work(index: int) -> None:
        while time.perf_counter() - begin < seconds:
            session.run(None, feed)
            counts[index] += 1
        ends[index] = time.perf_counter()

    ends = [0.0] * threads
    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rates.append(sum(n * batch / (end - begin) for n, end in zip(counts, ends, strict=True)))


def measure(model: str, form: str, seconds: float) -> float:
    """Rows per second of one form."""
    processes = parse(form)[0]
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(processes)
    with multiprocessing.Manager() as manager:
        rates = manager.list()
        arguments = (model, form, seconds, start, rates)
        children = [spawn.Process(target=run_process, args=arguments) for _ in range(processes)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        return float(sum(rates))


if __name__ == "__main__":
    print(json.dumps({"rows_per_s": measure(sys.argv[1], sys.argv[2], float(sys.argv[3]))}))
