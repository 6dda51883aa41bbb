"""TensorFlow Serving over gRPC: tensors both ways, what is repeated, examples, the states of a model."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from headway.errors import BadInput, UnknownVersion
from headway.model.call import Call, Result, TensorSpec
from headway.model.marks import Batch, Tensor
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, Reply, tensorflow_grpc
from headway.protocols._protobuf import pack_varints, read, varints, write

message = tensorflow_grpc._message
NUMBERS = tuple(tensorflow_grpc._KINDS)
Json = dict[str, Any]


def tensor_of(array: Any, *, is_content: bool) -> Json:
    """A tensor as TensorFlow writes it: as it lies in memory, or as a list."""
    kind = tensorflow_grpc._KINDS[array.dtype.name]
    tensor: Json = {
        "dtype": kind.number,
        "tensor_shape": {"dim": [{"size": n} for n in array.shape]},
    }
    flat = array.reshape(-1)
    if is_content:
        return {**tensor, "tensor_content": flat.tobytes()}
    if array.dtype.name == "float16":
        return {**tensor, kind.field: flat.view(np.uint16).tolist()}
    return {**tensor, kind.field: flat.tolist()}


def request_of(tensors: Mapping[str, Json], **spec: Any) -> bytes:
    inputs = {name: write(tensorflow_grpc._TENSOR, tensor) for name, tensor in tensors.items()}
    told = {"model_spec": {"name": "it", **spec}, "inputs": inputs}
    return write(message("PredictRequest"), told)


def array_of(tensor: Mapping[str, Any]) -> Any:
    dtype = tensorflow_grpc._DTYPES[tensor["dtype"]]
    shape = [dim.get("size", 0) for dim in tensor["tensor_shape"].get("dim", ())]
    if dtype == "bytes":
        return np.array([bytes(v) for v in tensor.get("string_val", [])], object).reshape(shape)
    return np.frombuffer(tensor.get("tensor_content", b""), dtype).reshape(shape)


def outputs_of(reply: Reply) -> dict[str, Any]:
    found = read(message("PredictResponse"), reply.body)
    return {name: array_of(tensor) for name, tensor in found.get("outputs", {}).items()}


def answer_of(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if wire.signature.is_batched:
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    return Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])


def asked(function: Callable[..., Any], body: bytes, op: str = "predict") -> Reply:
    wire = Wire(read_signature(function), name="it")
    ask = Ask(op, "it", "", body, {})
    call = tensorflow_grpc.decode(ask, wire)
    return tensorflow_grpc.encode(ask, call, answer_of(function, wire, call), wire)


shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)


@settings(deadline=None)
@given(st.sampled_from([n for n in NUMBERS if n != "bytes"]), st.data(), st.booleans())
def test_numbers_come_back_as_they_went(dtype: str, data: st.DataObject, is_content: bool) -> None:
    array = data.draw(hnp.arrays(dtype, shapes))
    spec = TensorSpec("x", dtype, (-1,) * (array.ndim - 1))
    wire = Wire(of_tensors("it", [spec], [spec]), name="it")
    ask = Ask("predict", "it", "", request_of({"x": tensor_of(array, is_content=is_content)}), {})
    call = tensorflow_grpc.decode(ask, wire)
    arguments = wire.gather([(call, None)])
    np.testing.assert_array_equal(arguments["x"], array)
    reply = tensorflow_grpc.encode(ask, call, wire.scatter(arguments["x"], call.rows), wire)
    back = outputs_of(reply)["x"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=4))
def test_bytes_come_back_as_they_went(items: list[bytes]) -> None:
    def same(content: Batch[bytes]) -> Batch[bytes]:
        return content

    tensor = {"dtype": 7, "tensor_shape": {"dim": [{"size": len(items)}]}, "string_val": items}
    assert outputs_of(asked(same, request_of({"content": tensor})))["output"].tolist() == items


Pixels = Annotated[NDArray[np.float32], Tensor("float32", "batch", None)]


def same(x: Pixels) -> Pixels:
    return x


def listed(shape: Sequence[int], values: Sequence[float]) -> bytes:
    dims = [{"size": n} for n in shape]
    return request_of({"x": {"dtype": 1, "tensor_shape": {"dim": dims}, "float_val": values}})


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.5], [[1.5, 1.5], [1.5, 1.5]]), ([1, 2, 3], [[1, 2], [3, 3]]), ([], [[0, 0], [0, 0]])],
)
def test_a_short_list_repeats_its_last_element(values: list[float], expected: Any) -> None:
    assert outputs_of(asked(same, listed([2, 2], values)))["output"].tolist() == expected


def test_a_few_bytes_do_not_become_many() -> None:
    most = tensorflow_grpc.MAX_FILLED_BYTES // 4
    assert outputs_of(asked(same, listed([1, most], [1])))["output"].size == most
    for shape in ([1, most + 1], [2**40, 2**40], [0, 2**40, 2**40]):
        with pytest.raises(BadInput):
            asked(same, listed(shape, [1]))


def test_integers_of_a_type_are_checked_against_its_range() -> None:
    tensor = {"dtype": 6, "tensor_shape": {"dim": [{"size": 1}]}, "int_val": [200]}
    spec = TensorSpec("x", "int8", ())
    wire = Wire(of_tensors("it", [spec], [spec]), name="it")
    call = tensorflow_grpc.decode(Ask("predict", "it", "", request_of({"x": tensor}), {}), wire)
    with pytest.raises(BadInput):
        wire.gather([(call, None)])


def test_not_finite_numbers_are_exact() -> None:
    odd = outputs_of(asked(same, listed([1, 3], [math.nan, math.inf, -math.inf])))["output"]
    np.testing.assert_array_equal(odd, [[np.nan, np.inf, -np.inf]])


def feature(value: list[Any]) -> Json:
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    return {kinds[type(value[0])]: {"value": value}}


def examples_of(kind: str, examples: list[Json], context: Json | None = None) -> bytes:
    written = [
        {"features": {"feature": {name: feature(value) for name, value in example.items()}}}
        for example in [*examples, context or {}]
    ]
    told = {"examples": written[:-1], "context": written[-1]}
    piece = write(message("ExampleListWithContext"), told)
    given = write(message("Input"), {"example_list_with_context": piece})
    return write(message(f"{kind}Request"), {"model_spec": {"name": "it"}, "input": given})


def test_classify_and_regress_read_examples_with_their_context() -> None:
    def mood(text: str, numbers: list[float], count: int) -> dict[str, float]:
        return {text: numbers[0] + count, "é": math.inf}

    def price(text: str, numbers: list[float], count: int) -> float:
        return 1e300 if text == "é" else numbers[1] * count

    examples = [{"text": [b"a"], "numbers": [0.5, 2.0]}, {"text": ["é".encode()], "count": [7]}]
    context = {"numbers": [1.5, 1.0], "count": [-3]}
    classified = asked(mood, examples_of("Classification", examples, context), "classify")
    result = read(message("ClassificationResponse"), classified.body)["result"]
    assert [[(c["label"], c["score"]) for c in row["classes"]] for row in result["classifications"]] == [
        [("a", -2.5), ("é", math.inf)],
        [("é", math.inf)],
    ]  # fmt: skip
    regressed = asked(price, examples_of("Regression", examples, context), "regress")
    values = read(message("RegressionResponse"), regressed.body)["result"]["regressions"]
    assert [value["value"] for value in values] == [-6.0, math.inf]


def test_a_message_names_its_model_by_name_and_version_or_label() -> None:
    def target(**spec: Any) -> tuple[str, str]:
        return tensorflow_grpc.target(Ask("predict", "", "", request_of({}, **spec), {}))

    assert target() == ("it", "")
    assert target(version={"value": 3}) == ("it", "3")
    assert target(version={}) == ("it", "0")
    assert target(version_label="stable") == ("it", "")
    with pytest.raises(UnknownVersion):
        target(version_label="canary")
    with pytest.raises(BadInput):
        tensorflow_grpc.target(Ask("predict", "", "", b"\x0a\xff", {}))


def test_the_state_of_a_model_is_that_of_its_versions() -> None:
    described = {v: Wire(read_signature(same), name="it", version=v).description for v in ("1", "x", "2")}  # fmt: skip

    def states(facts: Facts, version: str = "") -> list[Json]:
        reply = tensorflow_grpc.answer(Ask("status", "it", version, b"", {}), facts)
        found = read(message("GetModelStatusResponse"), reply.body)
        told: list[Json] = found.get("model_version_status", [])
        return [{k: v for k, v in state.items() if v != {}} for state in told]

    ready = Facts({"it": described}, {"it": True}, True, {}, "0")
    assert states(ready) == [{"version": 2, "state": 30}, {"version": 1, "state": 30}]
    assert states(ready, "1") == [{"version": 1, "state": 30}]
    loading = Facts({"it": described}, {"it": False}, False, {}, "0")
    assert states(loading, "2") == [{"version": 2, "state": 20}]
    failed = Facts({"it": described}, {"it": False}, False, {}, "0", {"it": "it broke"})
    assert states(failed, "2")[0]["status"] == {"error_code": 14, "error_message": "it broke"}


def test_packed_numbers_that_are_cut_off_are_refused() -> None:
    for piece in (struct.pack("<f", 1)[:3], b"\xff"):
        tensor = {"dtype": 1 if len(piece) == 3 else 9, "tensor_shape": {"dim": [{"size": 1}]}}
        field = 5 if len(piece) == 3 else 10
        raw = write(tensorflow_grpc._TENSOR, tensor) + bytes([field << 3 | 2, len(piece)]) + piece
        body = write(message("PredictRequest"), {"inputs": {"x": raw}})
        with pytest.raises(BadInput):
            asked(same, body)
    assert varints(pack_varints([1])) == [1]
