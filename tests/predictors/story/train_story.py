"""Make the weights: a table that says which word follows which."""

# pyright: basic

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ["time", "there", "was", "a", "princess", "and", "then"]

if __name__ == "__main__":
    Path("words.txt").write_text("\n".join(WORDS))
    follows = np.roll(np.arange(len(WORDS)), -1).astype(np.int64)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["follows", "word"], ["next"])],
        "story",
        [helper.make_tensor_value_info("word", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("next", TensorProto.INT64, ["batch"])],
        [numpy_helper.from_array(follows, "follows")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "story.onnx")
