"""Calls that memory does not hold are cut smaller, with the real exceptions of a real runtime (P9)."""

import math
import resource
from pathlib import Path

from harness.figures import Figures
from needed import need
from serving import serving

PREDICTOR = """
import resource

import numpy as np

import headway as hw

class Wide(hw.Predictor):
    examples = ({"number": 1.0, "width": 4},)

    def load(self) -> None:
        self.model = self.open_model("wide.onnx")
        self.ask(np.ones((1, 1), np.float32), 4)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = used + 256 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def ask(self, x, width):
        return self.model(x=x, width=np.array([width], np.int64))

    def predict(self, number: hw.Batch[float], width: int = 4) -> hw.Batch[float]:
        return self.ask(np.array(number, np.float32)[:, None], width)[:, 0].tolist()
"""
MIB = 2**18
"""As many float32 make a MiB, of which a row has two at a time."""


def write_wide(path: Path) -> None:
    """The square root of x[batch, 1], by way of `width` copies of it and of its root."""
    onnx = need("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    x = helper.make_tensor_value_info("x", kinds.FLOAT, ["batch", 1])
    width = helper.make_tensor_value_info("width", kinds.INT64, [1])
    y = helper.make_tensor_value_info("y", kinds.FLOAT, ["batch", 1])
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "width"], ["shape"], axis=0),
        helper.make_node("Expand", ["x", "shape"], ["copies"]),
        helper.make_node("Sqrt", ["copies"], ["roots"]),
        helper.make_node("ReduceMax", ["roots"], ["y"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "wide", [x, width], [y])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def test_P9_rows_that_memory_does_not_hold_together_are_answered_apart_and_what_fits_is_learnt(
    tmp_path: Path, figures: Figures
) -> None:
    need("onnxruntime")
    assert resource.RLIM_INFINITY in resource.getrlimit(resource.RLIMIT_AS)
    (tmp_path / "wide.py").write_text(PREDICTOR)
    write_wide(tmp_path / "wide.onnx")
    flags = ("--workers", "1", "--max-batch", "64", "--max-rows", "64")
    with serving(tmp_path, "wide.py:Wide", *flags) as server:
        before = server.workers("wide")
        rows = [{"number": float(n * n), "width": 4 * MIB} for n in range(64)]
        answer = server.ask("wide", rows)
        assert answer.json == [float(n) for n in range(64)], "each his own, though 64 do not fit"
        short = server.metric("memory_shortages_total", model="wide")
        assert 1 <= short <= math.log2(64)
        figures("rows of a call that did not fit, all answered", len(rows))
        figures("calls that did not fit", short)
        assert all(r["rows"] > r["cap"] for r in server.records("memory_short"))
        assert server.ask("wide", rows).status == 200
        assert server.metric("memory_shortages_total", model="wide") == short, "it has learnt"
        greedy = server.ask_later("wide", {"number": 4.0, "width": 512 * MIB})
        others = [server.ask_later("wide", {"number": 4.0, "width": 4 * MIB}) for _ in range(20)]
        assert [o.result(20).json for o in others] == [2.0] * 20
        told = greedy.result(20)
        assert (told.status, told.code) == (500, "out_of_memory")
        assert b"buffer of size" not in told.body, "what the library said is in the log alone"
        assert server.workers("wide") == before
