"""Small V2 requests are read, and narrow answers written, by a shorter way: with it and without, all is the same."""

import copy
import json
from typing import Annotated, Any, TypedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import headway as hw
from headway.errors import HeadwayError
from headway.model.call import Call, Result
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, v2

Floats = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 2)]
Ints = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", None)]
Names = Annotated[NDArray[Any], hw.Tensor("bytes", "batch", 1)]


def floats(x: Floats) -> Floats:
    raise NotImplementedError


def ints(ids: Ints, mask: Ints) -> Ints:
    raise NotImplementedError


def mixed(x: Floats, ids: Ints) -> Floats:
    raise NotImplementedError


def scalar(x: float) -> float:
    raise NotImplementedError


WIRES = {f.__name__: Wire(read_signature(f)) for f in (floats, ints, mixed, scalar)}

_NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2, width=32),
    st.sampled_from([1e300, 2**70, -(2**63), True, None, "1", [1]]),
)
_WRONG = st.sampled_from(
    [
        *(("name", "y"), ("name", ""), ("datatype", "FP64"), ("datatype", "INT64")),
        *(("datatype", "BOOL"), ("datatype", "FP99"), ("shape", [2**50, 2]), ("shape", [-1, 2])),
        *(("shape", []), ("data", None), ("data", "text"), ("data", []), ("more", [1])),
        *(("parameters", p) for p in (None, {}, {"binary_data_size": 4}, {"a": 1})),
    ]
)


@st.composite
def _bodies(draw: st.DrawFn) -> Any:
    """A request that is right, or wrong in at most three places."""
    tensors: list[dict[str, Any]] = []
    for name in draw(st.sampled_from([("x",), ("ids", "mask"), ("x", "ids"), ("x", "x")])):
        rows, width = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        is_float = name == "x"
        numbers = st.floats(-2, 2, width=32) if is_float else st.integers(-3, 3)
        data = draw(st.lists(numbers, min_size=rows * width, max_size=rows * width))
        datatype = "FP32" if is_float else "INT64"
        tensors.append({"name": name, "shape": [rows, width], "datatype": datatype, "data": data})
    body: dict[str, Any] = {"inputs": tensors}
    for member, value in draw(st.lists(_WRONG, max_size=2)):
        draw(st.sampled_from(tensors))[member] = value
    if draw(st.integers(0, 3)) == 0:
        draw(st.sampled_from(tensors))["data"] = draw(st.lists(_NUMBERS, max_size=6))
    around: Any = {
        "id": ["a", "", None, 1],
        "parameters": [None, {}, {"binary_data_output": True}, {"timeout": 5}, {"sequence_id": 1}],
        "outputs": [None, [], [{"name": "output"}], [{"name": "z"}]],
    }
    for member in draw(st.lists(st.sampled_from(list(around)), unique=True)):
        body[member] = draw(st.sampled_from(around[member]))
    return body


def read(wire: Wire, body: bytes) -> Any:
    """All that a body comes to: its call in plain values, or its error."""
    try:
        call = v2.decode(Ask("infer", "m", "", body, {}), wire)
    except HeadwayError as e:
        return type(e), e.message
    columns = {
        name: (column.dtype, column.shape, column.data) if hasattr(column, "data") else column
        for name, column in call.columns.items()
    }
    return call.rows, columns, call.memo, call.timeout_s


def without(wire: Wire) -> Wire:
    """The same wire, to which no shorter way leads."""
    other = copy.copy(wire)
    other.notes = {v2._Reader: None}
    return other


@pytest.mark.parametrize("name", WIRES)
@given(_bodies())
def test_each_body_is_read_alike(name: str, given_body: Any) -> None:
    body = json.dumps(given_body).encode()
    assert repr(read(WIRES[name], body)) == repr(read(without(WIRES[name]), body))


def _valid(**changes: Any) -> Any:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}
    return {"inputs": [{**tensor, **changes}]}


@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"data": [[1, 2.5]]}, {"data": [1]}, {"data": [1, "2"]}, {"data": [1, None]}),
        *({"datatype": "FP64"}, {"datatype": "INT64"}, {"datatype": "fp32"}, {"name": "y"}),
        *({"shape": [2, 1]}, {"shape": [2]}, {"shape": [-1, 2]}, {"shape": [2**50, 2]}),
        *({"shape": [0, 2**50, 2**50], "data": []}, {"shape": [0, 2], "data": []}),
        *({"parameters": {"binary_data_size": 8}}, {"parameters": {}}, {"data": [1e39, 1]}),
    ],
)
def test_each_change_of_a_right_body_is_read_alike(changes: Any) -> None:
    body = json.dumps(_valid(**changes)).encode()
    for wire in WIRES.values():
        assert repr(read(wire, body)) == repr(read(without(wire), body))


def test_the_shorter_way_is_taken_for_plain_numbers_and_only_for_them() -> None:
    wire = WIRES["floats"]
    ask = Ask("infer", "m", "", json.dumps({**_valid(), "id": "7"}).encode(), {})
    call = v2.decode(ask, wire)
    assert call.columns["x"].is_typed
    assert call.memo.id == "7"
    told = {"outputs": [{"name": "output"}], "parameters": {"binary_data_output": True}}
    call = v2.decode(Ask("infer", "m", "", json.dumps({**_valid(), **told}).encode(), {}), wire)
    assert call.columns["x"].is_typed
    assert (call.memo.names, call.memo.is_binary) == (["output"], True)
    nested = Ask("infer", "m", "", json.dumps(_valid(data=[[1, 2.5]])).encode(), {})
    assert not v2.decode(nested, wire).columns["x"].is_typed
    assert [v2._reader(WIRES[n]) is None for n in WIRES] == [False, False, True, False]


# Answers

_SHAPES = st.integers(0, 3).flatmap(lambda n: st.sampled_from([(4,), (4, n)]))
_ARRAYS = st.one_of(
    hnp.arrays(np.float32, _SHAPES, elements=st.floats(width=32)),
    hnp.arrays(np.float64, _SHAPES, elements=st.floats(width=64)),
    hnp.arrays(np.float16, _SHAPES, elements=st.floats(width=16)),
    hnp.arrays(np.int64, _SHAPES),
    hnp.arrays(np.uint64, _SHAPES),
    hnp.arrays(np.bool_, _SHAPES),
)


def written(wire: Wire, result: Result, rows: int, id_: str | None) -> bytes:
    memo = v2._JSON_ONLY if id_ is None else v2._Memo(id_)
    return v2.encode(Ask("infer", "m", "", b"", {}), Call(rows, {}, memo=memo), result, wire).body


@given(_ARRAYS, st.lists(st.integers(0, 3), max_size=4), st.sampled_from([None, "", 'a"%d\\']))
def test_each_narrow_answer_is_written_alike(array: Any, sizes: list[int], id_: str | None) -> None:
    mark = hw.Tensor(array.dtype.name, "batch", *array.shape[1:])

    def predict(x: Floats) -> Any:
        raise NotImplementedError

    predict.__annotations__["return"] = Annotated[NDArray[Any], mark]
    wire = Wire(read_signature(predict), name='m"%s', version="%")
    sizes = [size for n, size in enumerate(sizes) if sum(sizes[: n + 1]) <= 4]
    rest = [*sizes, 4 - sum(sizes)]
    parts = wire.split(wire.scatter(array, 4), rest)
    for part, rows in zip(parts, rest, strict=True):
        assert (wire.write_texts(part) is None) == (not array.size)
        plain = written(wire, part, rows, id_)
        longer = copy.copy(wire)
        longer.write_texts = lambda result: None  # type: ignore[method-assign]
        assert plain == written(longer, part, rows, id_)


class Pair(TypedDict):
    """Two arrays by name."""

    b: Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")]
    a: Floats


class Uneven(TypedDict):
    """Two arrays by name, of which one has wide rows."""

    b: Floats
    a: Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 65)]


def pair(x: Floats) -> Pair:
    raise NotImplementedError


def uneven(x: Floats) -> Uneven:
    raise NotImplementedError


def test_named_answers_are_written_in_the_order_of_the_signature() -> None:
    wire = Wire(read_signature(pair))
    answer = {"a": np.array([[1, 2], [3, np.nan]], np.float32), "b": np.array([5, 6])}
    _, second = wire.split(wire.scatter(answer, 2), [1, 1])
    assert wire.write_texts(second) == (b"6", b"3.0,null")
    outputs = json.loads(written(wire, second, 1, None))["outputs"]
    assert [(o["name"], o["shape"], o["data"]) for o in outputs] == [
        ("b", [1], [6]),
        ("a", [1, 2], [3.0, None]),
    ]


@pytest.mark.parametrize(
    "memo",
    [v2._Memo(names=["a"]), v2._Memo(is_binary=True), v2._Memo(names=["a", "b"], classes={"a": 1})],
)
def test_what_the_caller_wants_of_an_answer_is_what_he_gets(memo: Any) -> None:
    wire = Wire(read_signature(pair))
    longer = copy.copy(wire)
    longer.write_texts = lambda result: None  # type: ignore[method-assign]
    result = wire.scatter({"a": np.ones((1, 2), np.float32), "b": np.array([5])}, 1)
    ask, call = Ask("infer", "m", "", b"", {}), Call(1, {}, memo=memo)
    assert v2.encode(ask, call, result, wire) == v2.encode(ask, call, result, longer)


def test_many_rows_of_one_caller_are_not_cut_from_a_text() -> None:
    wire = Wire(read_signature(floats))
    wire.write_texts = lambda result: pytest.fail("it was")  # type: ignore[method-assign]
    rows = v2._FEW_ROWS + 1
    body = written(wire, wire.scatter(np.ones((rows, 2), np.float32), rows), rows, None)
    assert json.loads(body)["outputs"][0]["data"] == [1.0] * 2 * rows


def names(x: Floats) -> Names:
    raise NotImplementedError


def wide(x: Floats) -> Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 65)]:
    raise NotImplementedError


def deep(x: Floats) -> Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 1, 1)]:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (names, np.array([["a,b"], ["],["]], object)),
        (wide, np.zeros((2, 65), np.float32)),
        (deep, np.zeros((2, 1, 1), np.float32)),
        (uneven, {"b": np.zeros((2, 2), np.float32), "a": np.zeros((2, 65), np.float32)}),
    ],
)
def test_texts_wide_rows_and_deep_ones_are_written_for_each_caller(
    function: Any, answer: Any
) -> None:
    wire = Wire(read_signature(function))
    assert wire.write_texts(wire.scatter(answer, 2)) is None
