"""Onnxruntime: dtypes, strings, outputs, free dimensions, devices, and files that stay shut."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.onnx import OnnxModel, open_model

onnx = need("onnx")
ort = need("onnxruntime")

Shape = Sequence[str | int | None]
Value = tuple[str, int, Shape]

FLOAT, DOUBLE, INT64, STRING = 1, 11, 7, 8


def save(
    path: Path, nodes: Sequence[Any], inputs: Sequence[Value], outputs: Sequence[Value], **more: Any
) -> Path:
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs], **more
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def node(op: str, inputs: list[str], outputs: list[str], **more: Any) -> Any:
    return onnx.helper.make_node(op, inputs, outputs, **more)


def open_one(tmp_path: Path, op: str, shape: Shape, dtype: int = FLOAT, **more: Any) -> OnnxModel:
    """A model of one node, x to y, of the same shape."""
    made = node(op, ["x"], ["y"], **more)
    path = save(tmp_path / "m.onnx", [made], [("x", dtype, shape)], [("y", dtype, shape)])
    return open_model(path, Options())


def test_one_output_is_an_array_and_several_are_named(tmp_path: Path) -> None:
    x = np.array([[1, -2]], dtype=np.float32)
    nodes = [node("Neg", ["x"], ["minus"]), node("Abs", ["x"], ["size"])]
    two = save(
        tmp_path / "two.onnx",
        nodes,
        [("x", FLOAT, ["n", 2])],
        [("minus", FLOAT, ["n", 2]), ("size", FLOAT, ["n", 2])],
    )

    one = open_one(tmp_path, "Neg", ["n", 2])(x)
    several = open_model(two, Options())(x=x)

    np.testing.assert_array_equal(one, [[-1, 2]])
    assert list(several) == ["minus", "size"]
    np.testing.assert_array_equal(several["size"], [[1, 2]])


@pytest.mark.parametrize(
    ("shape", "expected", "has_rows"),
    [
        (["n", 3], (3,), True),
        ([None, 3], (3,), True),
        (["n"], (), True),
        (["n", "time", 4], (-1, 4), True),
        ([1, 3, 4], (1, 3, 4), False),
        ([1, "w"], (1, -1), False),
        ([], (), False),
    ],
)
def test_a_free_first_dimension_is_a_candidate_for_rows(
    tmp_path: Path, shape: Shape, expected: tuple[int, ...], has_rows: bool
) -> None:
    spec = open_one(tmp_path, "Neg", shape).inputs[0]

    assert (spec.shape, spec.has_rows) == (expected, has_rows)


def test_only_exact_casts_are_made(tmp_path: Path) -> None:
    model = open_one(tmp_path, "Neg", ["n"], INT64)

    assert model(np.array([3], dtype=np.int32)).dtype == np.int64
    assert model(np.array([3], dtype=">i8")).tolist() == [-3]
    assert model([3, 4]).tolist() == [-3, -4]
    with pytest.raises(TypeError, match=r"input 'x': expected int64, found float32"):
        model(np.array([3.5], dtype=np.float32))


def test_float64_is_not_rounded_to_float32_in_silence(tmp_path: Path) -> None:
    model = open_one(tmp_path, "Neg", ["n"])

    with pytest.raises(TypeError, match="expected float32, found float64"):
        model(np.array([0.1]))


def test_an_input_may_not_be_given_twice(tmp_path: Path) -> None:
    x = np.zeros(1, dtype=np.float32)

    with pytest.raises(TypeError, match="by position and by name"):
        open_one(tmp_path, "Neg", ["n"])(x, x=x)


def test_strings_are_taken_as_str_and_as_utf_8(tmp_path: Path) -> None:
    model = open_one(tmp_path, "Identity", ["n"], STRING)

    assert model.inputs[0].dtype == "bytes"
    assert model(["häuser".encode(), "two"]).tolist() == ["häuser", "two"]
    assert model(np.array(["a", "b"])).tolist() == ["a", "b"]
    with pytest.raises(TypeError, match="expected a string, found int"):
        model([3])


def test_probabilities_as_dicts_become_an_array(tmp_path: Path) -> None:
    classifier = node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=[1.0, -1.0],
        intercepts=[0.0, 0.0],
        classlabels_ints=[4, 7],
        post_transform="SOFTMAX",
    )
    zipped = node("ZipMap", ["scores"], ["chances"], domain="ai.onnx.ml", classlabels_int64s=[4, 7])
    helper = onnx.helper
    chances = helper.make_value_info(
        "chances",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
        ),
    )
    label = helper.make_tensor_value_info("label", INT64, ["n"])
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 1])
    graph = helper.make_graph([classifier, zipped], "g", [x], [label, chances])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    path = tmp_path / "zip.onnx"
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(made.SerializeToString())

    model = open_model(path, Options())
    answer = model(np.array([[0.0], [2.0], [-2.0]], dtype=np.float32))

    assert answer["label"].tolist() == [4, 4, 7]
    assert answer["chances"].dtype == np.float32
    np.testing.assert_allclose(answer["chances"][1], [0.98201376, 0.01798624], rtol=1e-5)
    assert (model.outputs[1].dtype, model.outputs[1].shape) == ("float32", (-1,))


def test_zero_rows_are_answered(tmp_path: Path) -> None:
    assert open_one(tmp_path, "Neg", ["n", 2])(np.zeros((0, 2), dtype=np.float32)).shape == (0, 2)


def test_time_on_the_first_axis_is_not_taken_for_rows(tmp_path: Path) -> None:
    axis = onnx.helper.make_tensor("axis", INT64, [], [0])
    shape: Shape = ["time", 2]
    path = save(
        tmp_path / "sum.onnx",
        [node("CumSum", ["x", "axis"], ["y"])],
        [("x", FLOAT, shape)],
        [("y", FLOAT, shape)],
        initializer=[axis],
    )
    model = open_model(path, Options())

    assert model.inputs[0].has_rows
    assert prove_rows(model) == "output 'y' of a row changes with the rows beside it"


def test_rows_are_proven_for_a_model_of_several_free_dimensions(tmp_path: Path) -> None:
    shape: Shape = ["n", "words", 4]

    assert prove_rows(open_one(tmp_path, "Softmax", shape, axis=-1)) is None
    assert prove_rows(open_one(tmp_path, "Softmax", shape, axis=0)) is not None


def test_threads_and_spinning_are_what_was_decided(tmp_path: Path) -> None:
    model = open_one(tmp_path, "Neg", ["n"])
    options = model.native.get_session_options()

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_device_that_is_not_here_is_said(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("Neg", ["x"], ["y"])],
        [("x", FLOAT, ["n"])],
        [("y", FLOAT, ["n"])],
    )
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        with pytest.raises(BundleError, match="this onnxruntime has no CUDA"):
            open_model(path, Options(device="cuda:0"))
    with pytest.raises(BundleError, match="device 'tpu' is not known here"):
        open_model(path, Options(device="tpu"))


def save_external(folder: Path, **entries: str) -> Path:
    """A model whose four weights are in `weights.bin`, or where `entries` say."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    weights = onnx.TensorProto(name="w", data_type=FLOAT, dims=[4])
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (
        {"location": "weights.bin", "offset": "0", "length": "16"} | entries
    ).items():
        weights.external_data.add(key=key, value=value)
    return save(
        folder / "m.onnx",
        [node("Add", ["x", "w"], ["y"])],
        [("x", FLOAT, ["n", 4])],
        [("y", FLOAT, ["n", 4])],
        initializer=[weights],
    )


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    model = open_model(save_external(tmp_path / "m"), Options())

    assert model(np.ones((1, 4), dtype=np.float32)).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"location": "/etc/hostname"}, "leaves the model's folder"),
        ({"location": "../secret.bin"}, "leaves the model's folder"),
        ({"location": "junk/../../secret.bin"}, "leaves the model's folder"),
        ({"location": "C:/secret.bin"}, "leaves the model's folder"),
        ({"location": "..\\secret.bin"}, "is not a file name"),
        ({"location": ""}, "is not a file name"),
        ({"location": "nothing.bin"}, "can't be read"),
        ({"location": "folder"}, "is not a regular file"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "can't be read"),
        ({"location": "link.bin"}, "symbolic link"),
        ({"location": "linked/secret.bin"}, "symbolic link"),
        ({"location": "hard.bin"}, "hard link"),
        ({"offset": "-1"}, "offset '-1'"),
        ({"offset": "1e3"}, "offset '1e3'"),
        ({"length": "٣"}, "is not a whole number"),
        ({"offset": "17", "length": "0"}, "reach past the 16 bytes"),
        ({"offset": "4", "length": "16"}, "reach past the 16 bytes"),
        ({"length": "9" * 19}, "reach past the 16 bytes"),
        ({"length": "9" * 400}, "is not a whole number"),
        ({"__class__": "x"}, "unknown key '__class__'"),
    ],
)
def test_external_data_that_is_not_honest_is_refused(
    tmp_path: Path, entries: dict[str, str], reason: str
) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\0" * 16)
    folder = tmp_path / "m"
    path = save_external(folder, **entries)
    (folder / "folder").mkdir()
    (folder / "link.bin").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    os.link(secret, folder / "hard.bin")

    with pytest.raises(BundleError, match="external data is refused") as caught:
        open_model(path, Options())

    assert reason in caught.value.message


def hide_in_constant(tensor: Any) -> Any:
    return node("Constant", [], ["c"], value=tensor)


def hide_in_branch(tensor: Any) -> Any:
    info = onnx.helper.make_tensor_value_info("c", FLOAT, [4])
    branch = onnx.helper.make_graph([hide_in_constant(tensor)], "b", [], [info])
    return node("If", ["is_on"], ["c"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize("hide", [hide_in_constant, hide_in_branch])
def test_external_data_is_found_wherever_it_hides(
    tmp_path: Path, hide: Callable[[Any], Any]
) -> None:
    tensor = onnx.TensorProto(name="c", data_type=FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    path = save(
        tmp_path / "m.onnx",
        [hide(tensor)],
        [("is_on", onnx.TensorProto.BOOL, [])],
        [("c", FLOAT, [4])],
    )

    with pytest.raises(BundleError, match="leaves the model's folder"):
        open_model(path, Options())


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = save_external(tmp_path / "m")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(model.SerializeToString())

    with pytest.raises(BundleError, match="twice"):
        open_model(path, Options())
