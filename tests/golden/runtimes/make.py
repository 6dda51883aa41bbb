"""Write the golden model files anew: `python tests/golden/runtimes/make.py`.

The answers beside them were worked out by hand, and stay.
"""

from importlib import import_module
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def write_onnx(path: Path) -> None:
    """Scores: x @ w + b, and the column that wins."""
    onnx = import_module("onnx")
    h, t = onnx.helper, onnx.TensorProto
    w = np.array([[1, -1], [2, 0], [0, 0.5]], dtype=np.float32)
    graph = h.make_graph(
        [
            h.make_node("Gemm", ["x", "w", "b"], ["scores"]),
            h.make_node("ArgMax", ["scores"], ["winner"], axis=1, keepdims=0),
        ],
        "scores",
        [h.make_tensor_value_info("x", t.FLOAT, ["rows", 3])],
        [
            h.make_tensor_value_info("scores", t.FLOAT, ["rows", 2]),
            h.make_tensor_value_info("winner", t.INT64, ["rows"]),
        ],
        [
            onnx.numpy_helper.from_array(w, "w"),
            onnx.numpy_helper.from_array(np.array([0.5, 0], dtype=np.float32), "b"),
        ],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_sklearn(path: Path) -> None:
    """A line through three points: y = 2 a - b + 1."""
    estimator = import_module("sklearn.linear_model").LinearRegression()
    estimator.fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 0.0])
    import_module("skops.io").dump(estimator, path)


if __name__ == "__main__":
    write_onnx(HERE / "onnx" / "model.onnx")
    write_sklearn(HERE / "sklearn" / "model.skops")
