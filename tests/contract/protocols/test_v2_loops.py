"""Random tensors over V2: what is written can be read and means the same, in JSON and binary."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headway.errors import BadInput
from headway.model.call import Block, Call, Description, Result, TensorSpec
from headway.protocols import Ask, v2, v2_grpc
from headway.protocols._protobuf import read, sized
from headway.protocols._schema import Schema
from headway.protocols._tensors import DATATYPES, LARGE_BYTES
from headway.protocols._v2_proto import PROTO

NUMBERS = [name for name in DATATYPES if name != "bytes"]
IN_JSON = [name for name in NUMBERS if name != "float16"]
LENGTH = "inference-header-content-length"
_RESPONSE = Schema(PROTO, lazy=("ModelInferResponse.outputs",)).message(
    "inference.ModelInferResponse"
)
"""Outputs as they lie in the message: an input tensor has the same fields by the same numbers."""


class Mirror:
    """A wire that hands blocks through, so that a codec can be seen alone."""

    max_rows = 2**40

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.notes: dict[Any, Any] = {}
        self.description = Description("m", "1", "", "test", specs, specs, {}, {})
        self.blocks: Mapping[str, Block] = {}

    def read_blocks(self, blocks: Mapping[str, Block]) -> Call:
        self.blocks = blocks
        return Call(1, {})

    def write_blocks(self, result: Result) -> list[tuple[str, Block]]:
        return list(self.blocks.items())

    def write_texts(self, result: Result) -> None:
        return None


def specs_of(arrays: Mapping[str, Any]) -> list[TensorSpec]:
    return [TensorSpec(n, a.dtype.name, a.shape[1:]) for n, a in arrays.items()]


def decoded(body: bytes, length: int | None, specs: Sequence[TensorSpec]) -> Mapping[str, Block]:
    wire: Any = Mirror(specs)
    headers = {} if length is None else {LENGTH: str(length)}
    v2.decode(Ask("infer", "m", "", body, headers), wire)
    blocks: Mapping[str, Block] = wire.blocks
    return blocks


def array_of(block: Block) -> Any:
    """An array from a block, as the contract of Block says."""
    is_bare = isinstance(block.data, memoryview) and not block.is_json
    if is_bare:
        return np.frombuffer(block.data, block.dtype).reshape(block.shape)
    return np.asarray(block.data, block.dtype).reshape(block.shape)


def tensors(dtypes: Sequence[str], *, finite: bool) -> st.SearchStrategy[Any]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    elements = {"allow_nan": False, "allow_infinity": False} if finite else {}

    def arrays(dtype: str) -> st.SearchStrategy[Any]:
        if dtype.startswith("float"):
            exact = st.floats(width=int(dtype[5:]), **elements)  # type: ignore[arg-type]
            return hnp.arrays(dtype, shapes, elements=exact)
        return hnp.arrays(dtype, shapes)

    return st.sampled_from(dtypes).flatmap(arrays)


def buffer_of(array: Any) -> Any:
    return memoryview(np.ascontiguousarray(array).reshape(-1))  # type: ignore[arg-type]


def as_input(name: str, array: Any, **members: Any) -> dict[str, Any]:
    datatype = DATATYPES[array.dtype.name]
    return {"name": name, "shape": list(array.shape), "datatype": datatype, **members}


@settings(deadline=None)
@given(tensors(IN_JSON, finite=True), st.booleans())
def test_json_is_read_exactly_whether_flat_or_nested(array: Any, is_nested: bool) -> None:
    data = array.tolist() if is_nested and array.ndim else array.reshape(-1).tolist()
    body = json.dumps({"inputs": [as_input("x", array, data=data)]}).encode()
    block = decoded(body, None, [])["x"]
    np.testing.assert_array_equal(array_of(block), array)
    assert (block.dtype, block.shape, block.is_json) == (array.dtype.name, array.shape, True)


@pytest.mark.parametrize("dtype", [d for d in IN_JSON if d != "bool"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_large_json_is_read_exactly_into_a_buffer(dtype: str, is_nested: bool) -> None:
    random = np.random.default_rng(7)
    if dtype.startswith("float"):
        array = random.normal(size=(3, 40, 200)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        array = random.integers(info.min, info.max, (3, 40, 200), dtype, endpoint=True)
    data = array.tolist() if is_nested else array.reshape(-1).tolist()
    body = json.dumps({"inputs": [as_input("x", array, data=data)]}).encode()
    assert len(body) > LARGE_BYTES
    block = decoded(body, None, [])["x"]
    assert isinstance(block.data, memoryview)
    np.testing.assert_array_equal(array_of(block), array)


@pytest.mark.parametrize("count", [10, 5000])
@pytest.mark.parametrize(
    "bad",
    [b"1.5", b'"1"', b"true", b"null", b"[1]", b"1e999", b"9223372036854775808", b"NaN", b"{}"],
)
def test_one_wrong_element_among_few_or_many_is_refused(count: int, bad: bytes) -> None:
    row = b",".join([b"12345"] * (count - 1) + [bad])
    head = b'{"inputs":[{"name":"x","shape":[%d],"datatype":"INT64","data":[' % count
    if bad == b"9223372036854775808" and count == 10:
        block = decoded(head + row + b"]}]}", None, [])["x"]
        assert block.data[-1] == 2**63
        return
    with pytest.raises(BadInput):
        decoded(head + row + b"]}]}", None, [])


@pytest.mark.parametrize("size", [2, 3000])
def test_nesting_unlike_the_shape_is_refused_however_large(size: int) -> None:
    rows = [[1.0] * size, [2.0] * size]
    right = decoded(request_of([2, size], rows), None, [])["x"]
    assert array_of(right).tolist() == rows
    for wrong in (
        [rows],
        [[1.0] * (size - 1), [2.0] * (size + 1)],
        [rows[0], *rows[1]],
        [*rows[0], rows[1]],
        [[*rows[0], rows[1][0]], rows[1][1:]],
        [[v] for v in rows[0] + rows[1]],
        [rows[0] + rows[1]],
        [rows[0], rows[1], []],
    ):
        with pytest.raises(BadInput):
            decoded(request_of([2, size], wrong), None, [])


def request_of(shape: list[int], data: Any) -> bytes:
    tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


shapes_of_ones = st.lists(st.integers(0, 3), min_size=1, max_size=3)
nests = st.recursive(st.just(1.0), lambda inner: st.lists(inner, max_size=3), max_leaves=9)


@settings(deadline=None)
@given(shapes_of_ones, st.lists(nests, max_size=3))
def test_data_is_read_only_flat_or_nested_as_its_shape(shape: list[int], data: list[Any]) -> None:
    def fits(value: Any, lengths: list[int]) -> bool:
        if not lengths:
            return isinstance(value, float)
        is_long = isinstance(value, list) and len(value) == lengths[0]
        return is_long and all(fits(v, lengths[1:]) for v in value)

    is_legal = fits(data, shape) or fits(data, [math.prod(shape)])
    try:
        decoded(request_of(shape, data), None, [])
    except BadInput:
        assert not is_legal
    else:
        assert is_legal


@settings(deadline=None)
@given(st.lists(tensors(NUMBERS, finite=False), min_size=1, max_size=4), st.data())
def test_what_is_encoded_can_be_decoded_again(arrays: list[Any], data: st.DataObject) -> None:
    named = {f"t{i}": a for i, a in enumerate(arrays)}
    binary = {n: data.draw(st.booleans()) or not is_exact_in_json(a) for n, a in named.items()}
    wire: Any = Mirror(specs_of({n: a for n, a in named.items() if a.ndim}))
    wire.blocks = {n: Block(a.dtype.name, a.shape, buffer_of(a)) for n, a in named.items()}
    memo = v2._Memo(flags=binary)
    reply = v2.encode(Ask("infer", "m", "", b"", {}), Call(1, {}, memo=memo), Result([]), wire)
    length = dict(reply.headers).get(LENGTH)
    head = json.loads(reply.body[: int(length)] if length else reply.body)
    assert (length is not None) == any(binary.values())
    assert sum(
        o["parameters"]["binary_data_size"] for o in head["outputs"] if "parameters" in o
    ) == (len(reply.body) - int(length) if length else 0)
    asked = json.dumps({"inputs": head["outputs"]}).encode()
    tail = reply.body[int(length) :] if length else b""
    back = decoded(asked + tail, len(asked) if length else None, [])
    for name, array in named.items():
        np.testing.assert_array_equal(array_of(back[name]), array)


@settings(deadline=None)
@given(st.lists(tensors(NUMBERS, finite=False), min_size=1, max_size=4), st.booleans())
def test_what_grpc_encodes_can_be_decoded_again_raw_and_typed(
    arrays: list[Any], is_raw: bool
) -> None:
    named = {f"t{i}": a for i, a in enumerate(arrays)}
    wire: Any = Mirror(specs_of({n: a for n, a in named.items() if a.ndim}))
    wire.blocks = {n: Block(a.dtype.name, a.shape, buffer_of(a)) for n, a in named.items()}
    call = Call(1, {}, memo=v2_grpc._Memo(is_raw=is_raw))
    reply = v2_grpc.encode(Ask("infer", "m", "", b"", {}), call, Result([]), wire)
    told = read(_RESPONSE, reply.body)
    assert ("raw_output_contents" in told) == (is_raw or any(a.dtype == "f2" for a in arrays))
    asked = [sized(5, bytes(output)) for output in told["outputs"]]
    asked += [sized(7, bytes(raw)) for raw in told.get("raw_output_contents", ())]
    v2_grpc.decode(Ask("infer", "m", "", sized(1, b"m") + b"".join(asked), {}), wire)
    assert wire.blocks.keys() == named.keys()
    for name, array in named.items():
        np.testing.assert_array_equal(array_of(wire.blocks[name]), array)


def is_exact_in_json(array: Any) -> bool:
    return array.dtype.name != "float16" and bool(np.isfinite(array).all())


def test_what_json_lacks_is_null_in_json_and_exact_in_binary() -> None:
    wire: Any = Mirror([TensorSpec("x", "float32", ())])
    data = np.array([1.5, np.nan, np.inf, -np.inf], "float32")
    wire.blocks = {"x": Block("float32", (4,), buffer_of(data))}
    ask = Ask("infer", "m", "", b"", {})
    text = v2.encode(ask, Call(1, {}, memo=v2._Memo()), Result([]), wire).body
    assert json.loads(text)["outputs"][0]["data"] == [1.5, None, None, None]
    binary = v2.encode(ask, Call(1, {}, memo=v2._Memo(is_binary=True)), Result([]), wire).body
    assert binary.endswith(data.tobytes())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=6))
def test_bytes_go_both_ways_in_binary_and_as_base64(items: list[bytes]) -> None:
    wire: Any = Mirror([TensorSpec("x", "bytes", ())])
    wire.blocks = {"x": Block("bytes", (len(items),), items)}
    for is_binary in (False, True):
        call = Call(1, {}, memo=v2._Memo(is_binary=is_binary))
        reply = v2.encode(Ask("infer", "m", "", b"", {}), call, Result([]), wire)
        length = int(dict(reply.headers).get(LENGTH, len(reply.body)))
        head = json.dumps({"inputs": json.loads(reply.body[:length])["outputs"]}).encode()
        back = decoded(head + reply.body[length:], len(head) if is_binary else None, [])
        assert back["x"].data == items


@pytest.mark.parametrize("nested", [[["a", "["], ["é", ""]], ["a", "[", "é", ""]])
def test_strings_are_read_flat_or_nested(nested: Any) -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "BYTES", "data": nested}
    block = decoded(json.dumps({"inputs": [tensor]}).encode(), None, [])["x"]
    assert block.data == ["a", "[", "é", ""]


@pytest.mark.parametrize(
    "nested", [[["a"], ["b", "c", "d"]], [["a", "b", "c", "d"]], [["a", 1], ["b", "c"]]]
)
def test_strings_nested_unlike_their_shape_are_refused(nested: Any) -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "BYTES", "data": nested}
    with pytest.raises(BadInput):
        decoded(json.dumps({"inputs": [tensor]}).encode(), None, [])


@pytest.mark.parametrize("shape", [[0, 2**40, 2**40], [2**40, 0, 2]])
@pytest.mark.parametrize("is_binary", [False, True])
def test_an_empty_tensor_of_a_shape_that_no_memory_holds_is_refused(
    shape: list[int], is_binary: bool
) -> None:
    tensor: dict[str, Any] = {"name": "x", "shape": shape, "datatype": "FP32"}
    empty: dict[str, Any] = {"parameters": {"binary_data_size": 0}} if is_binary else {"data": []}
    tensor |= empty
    body = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadInput, match="memory"):
        decoded(body, len(body) if is_binary else None, [])


def test_a_truth_of_2_is_refused_before_any_array_is_made() -> None:
    tensor = {"name": "x", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}}
    head = json.dumps({"inputs": [tensor]}).encode()
    assert array_of(decoded(head + b"\0\1\1", len(head), [])["x"]).tolist() == [False, True, True]
    with pytest.raises(BadInput):
        decoded(head + b"\0\1\2", len(head), [])


def _large(values: Sequence[float]) -> str:
    return json.dumps(list(values) * (LARGE_BYTES // (4 * len(values)) + 1))


@pytest.mark.parametrize("name", ["x", '"data":[1', "data", '\\"data\\": ['])
def test_large_arrays_are_lifted_out_of_any_surroundings(name: str) -> None:
    values = json.loads(_large([1.5, -2.25]))
    shape = [1, len(values)]
    first = {"name": name, "shape": shape, "datatype": "FP32", "data": values}
    second = {"name": "s", "shape": [1], "datatype": "BYTES", "data": ['"data": [1, 2']}
    third = {**first, "name": "z", "data": [v + 1 for v in values]}
    body = json.dumps({"id": '"data":[', "inputs": [first, second, third]}).encode()
    specs = [TensorSpec(name, "float32", (-1,)), TensorSpec("s", "bytes", ())]

    blocks = decoded(body, None, specs)

    assert array_of(blocks[name]).tolist() == [values]
    assert array_of(blocks["z"]).tolist() == [[v + 1 for v in values]]
    assert blocks["s"].data == ['"data": [1, 2']


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": [], "data": BIG}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"data": BIG}}]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": BIG, "data": BIG}]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": BIG',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": BIG}]} BIG',
    ],
)
def test_large_arrays_where_none_belongs_are_refused(body: str) -> None:
    with pytest.raises(BadInput):
        decoded(body.replace("BIG", _large([1])).encode(), None, [TensorSpec("x", "float32", ())])


def test_a_body_of_beginnings_is_read_once() -> None:
    body = b'{"inputs": [' + b'"data":[' * 200_000
    with pytest.raises(BadInput):
        decoded(body, None, [TensorSpec("x", "float32", ())])
