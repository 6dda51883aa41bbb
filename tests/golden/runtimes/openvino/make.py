"""Write the golden model anew: `python tests/golden/runtimes/openvino/make.py`; the answers stay."""

from importlib import import_module
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

if __name__ == "__main__":
    openvino, operators = import_module("openvino"), import_module("openvino.opset13")
    x = operators.parameter([-1, 2], np.float32, name="x")
    weights = operators.constant(np.array([[2, 0], [-1, 0.5]], np.float32))
    bias = operators.constant(np.array([1, 0], np.float32))
    scores = operators.add(operators.matmul(x, weights, False, False), bias)
    x.output(0).get_tensor().set_names({"x"})
    scores.output(0).get_tensor().set_names({"scores"})
    model = openvino.Model([scores], [x], "line")
    openvino.save_model(model, HERE / "model.xml", compress_to_fp16=False)
