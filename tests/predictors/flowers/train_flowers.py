"""Make the weights: the mean of each colour names the flower. And a photograph."""

# pyright: basic

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from PIL import Image

if __name__ == "__main__":
    Path("labels.txt").write_text("rose\nleaf\ncornflower\n")
    Path("examples").mkdir(exist_ok=True)
    Image.new("RGB", (20, 10), "red").save("examples/tulip.jpg")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("Softmax", ["means"], ["scores"], axis=1),
        ],
        "flowers",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "flowers.onnx")
