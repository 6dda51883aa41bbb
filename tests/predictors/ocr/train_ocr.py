"""Make the weights: how much ink is in a row of pixels, twice. And a picture."""

# pyright: basic

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


def ink(name: str, rows: str) -> None:
    one = numpy_helper.from_array(np.ones((), np.float32), "one")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels"], ["light"], axes=[1], keepdims=0),
            helper.make_node("Sub", ["one", "light"], ["ink"]),
        ],
        "ink",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [rows, "width"])],
        [helper.make_tensor_value_info("ink", TensorProto.FLOAT, [rows])],
        [one],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, name)


if __name__ == "__main__":
    Path("alphabet.txt").write_text("abcd")
    Path("examples").mkdir(exist_ok=True)
    picture = Image.new("L", (8, 4), 255)
    picture.paste(0, (0, 1, 6, 2))
    picture.save("examples/receipt.png")
    ink("det.onnx", "height")
    ink("rec.onnx", "batch")
