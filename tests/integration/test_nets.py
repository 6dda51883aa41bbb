"""Which predictors that are loaded could run where there is no Python, and why the others could not."""

from pathlib import Path

import pytest
from needed import need

from headway.commands._net import net_of_code, net_of_file
from headway.engine import local
from headway.targets import Net

HEAD = """
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Three = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 3)]
Whole = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", 3)]


class P(hw.Predictor):
    names = ("a", "b", "c")

    def load(self):
        self.net = self.open_model("net.onnx")
"""


def net_of(folder: Path, signature: str, line: str, dtype: str = "FLOAT") -> Net | str:
    onnx = need("onnx")
    helper, kind = onnx.helper, getattr(onnx.TensorProto, dtype)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", kind, ["n", 3])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    path = folder / "p.py"
    path.write_text(f"{HEAD}\n    def predict(self, {signature}:\n        return {line}\n")
    with local.load(f"{path}:P") as loaded:
        return net_of_code("p.py:P", path, loaded)


def test_a_predictor_is_its_file_and_what_is_done_before_and_after(tmp_path: Path) -> None:
    line = "[dict(zip(self.names, row)) for row in self.net(x=v / 2).tolist()]"
    net = net_of(tmp_path, "v: Three) -> hw.Batch[dict[str, float]]", line)
    assert isinstance(net, Net)
    assert (net.file, net.labels, net.files) == ("net.onnx", ["a", "b", "c"], ["net.onnx"])
    (given,) = net.inputs
    assert (given.spec.name, given.to, given.spec.has_rows) == ("v", "x", True)
    assert [(step.operator, step.number) for step in given.steps] == [("/", 2.0)]
    assert [(spec.name, spec.has_rows) for spec in net.outputs] == [("y", True)]


@pytest.mark.parametrize(
    ("signature", "line", "dtype", "told"),
    [
        ("v: Three) -> Three", "self.net(v)", "DOUBLE", "net.onnx takes float64, and v is float32"),
        ("v: Whole) -> Whole", "self.net(v * 2)", "INT64", "is given v after a calculation"),
        ("v: Three) -> Three", "self.net(z=v)", "FLOAT", "net.onnx has no input 'z'"),
        ("v: Three) -> Three", "self.net(v)['z']", "FLOAT", "has no one output 'z'"),
        ("v: Three) -> Three", "self.net(v).round()", "FLOAT", "anything else is Python"),
    ],
)
def test_what_can_not_be_done_elsewhere_is_told(
    tmp_path: Path, signature: str, line: str, dtype: str, told: str
) -> None:
    found = net_of(tmp_path, signature, line, dtype)
    assert isinstance(found, str)
    assert told in found


def test_a_file_of_another_runtime_is_told() -> None:
    class Loaded:
        opened = description = type("Opened", (), {"predict": None})

    assert net_of_file("m.skops", "sklearn", Loaded()) == (
        "m.skops is opened by sklearn, and only ONNX files run there"
    )
