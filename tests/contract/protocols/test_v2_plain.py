"""Small V2 requests are read, and narrow answers written, by a shorter way: with it and without, all is the same."""

import copy
import json
from collections.abc import Mapping
from typing import Annotated, Any

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
Flags = Annotated[NDArray[np.bool_], hw.Tensor("bool", "batch")]
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

_WORDS = st.sampled_from(["x", "ids", "mask", "y", ""])
_NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2, width=32),
    st.sampled_from([1e300, 2**70, -(2**63), True, None, "1", [1]]),
)
_TENSOR = st.fixed_dictionaries(
    {
        "name": _WORDS,
        "shape": st.lists(st.integers(0, 3), max_size=3),
        "datatype": st.sampled_from(["FP32", "FP64", "INT64", "INT8", "BOOL", "BYTES", "FP99"]),
        "data": st.one_of(st.lists(_NUMBERS, max_size=6), st.none(), st.just("text")),
    },
    optional={"parameters": st.sampled_from([None, {}, {"binary_data_size": 4}, {"a": 1}])},
)
_BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSOR, max_size=3)},
    optional={
        "id": st.sampled_from(["a", "", None, 1]),
        "parameters": st.sampled_from([None, {}, {"binary_data_output": True}, {"timeout": 5}]),
        "outputs": st.sampled_from([None, [], [{"name": "output"}], [{"name": "z"}]]),
        "more": st.just([1]),
    },
)


def read(wire: Wire, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
    """All that a body comes to: its call in plain values, or its error."""
    try:
        call = v2.decode(Ask("infer", "m", "", body, headers or {}), wire)
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
    other.elements = None
    return other


@pytest.mark.parametrize("name", WIRES)
@given(_BODIES)
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
    nested = Ask("infer", "m", "", json.dumps(_valid(data=[[1, 2.5]])).encode(), {})
    assert not v2.decode(nested, wire).columns["x"].is_typed
    assert [WIRES[n].elements for n in ("floats", "ints", "mixed")] == [float, int, None]


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
    ],
)
def test_texts_wide_rows_and_deep_ones_are_written_for_each_caller(
    function: Any, answer: Any
) -> None:
    wire = Wire(read_signature(function))
    assert wire.write_texts(wire.scatter(answer, 2)) is None
