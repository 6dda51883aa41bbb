"""Tensors become calls and answers become tensors, by the one wire table."""

import enum
import json
import struct
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

import headway as hw
from headway.errors import BadInput
from headway.model.call import Block, Result, TensorSpec
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire

Row = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 2)]
Flags = Annotated[NDArray[np.bool_], hw.Tensor("bool", "batch")]
Free = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", None)]
Names = Annotated[NDArray[Any], hw.Tensor("bytes", "batch", 1)]


class Mood(enum.Enum):
    """An enum."""

    GOOD = "good"


@dataclass
class Person:
    """A flat struct."""

    name: str
    age: Annotated[int, hw.Meta(ge=0)] = 7


class Pair(TypedDict):
    """Arrays by name."""

    label: Free
    score: Row


def scalars(  # noqa: PLR0917  (one of each)
    a: hw.Batch[bool],
    b: hw.Batch[int],
    c: hw.Batch[float],
    d: hw.Batch[str],
    e: hw.Batch[bytes],
    f: hw.Batch[Literal["x", "y"]],
    g: hw.Batch[Mood],
    h: hw.Batch[list[int]],
    i: float = 1.0,
) -> hw.Batch[str]:
    return []


def person(who: hw.Batch[Person]) -> hw.Batch[Person]:
    return who


def two(who: hw.Batch[Person], weight: hw.Batch[float]) -> hw.Batch[int]:
    return []


def arrays(x: Row, ids: Free) -> Pair:
    raise NotImplementedError


def _view(array: Any) -> memoryview:
    return memoryview(array)


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


def test_each_type_has_the_tensor_of_the_table() -> None:
    specs = {s.name: s for s in wire_of(scalars).description.inputs}
    assert {n: s.dtype for n, s in specs.items()} == {
        "a": "bool",
        "b": "int64",
        "c": "float64",
        "d": "bytes",
        "e": "bytes",
        "f": "bytes",
        "g": "bytes",
        "h": "bytes",
        "i": "float64",
    }
    assert [n for n, s in specs.items() if s.is_json] == ["h"]
    assert [n for n, s in specs.items() if s.is_optional] == ["i"]
    assert {s.name for s in wire_of(scalars).description.outputs} == {"output"}


def test_scalars_are_read_from_lists_and_from_buffers() -> None:
    wire = wire_of(scalars)
    blocks = {
        "a": Block("bool", (2,), b"\x01\x00"),
        "b": Block("int64", (2,), struct.pack("<2q", 1, -2)),
        "c": Block("float64", (2,), [1, 2.5], is_json=True),
        "d": Block("bytes", (2,), ["ä", "ö".encode()]),
        "e": Block("bytes", (2,), [b"\xff", "z"]),
        "f": Block("bytes", (2,), [b"x", b"y"]),
        "g": Block("bytes", (2,), [b"good", b"good"]),
        "h": Block("bytes", (2,), [b"[1]", b"[]"]),
    }
    call = wire.read_blocks(blocks)
    assert call.rows == 2
    assert not call.is_single
    assert wire.gather([(call, None)]) == {
        "a": [True, False],
        "b": [1, -2],
        "c": [1.0, 2.5],
        "d": ["ä", "ö"],
        "e": [b"\xff", b"z"],
        "f": ["x", "y"],
        "g": [Mood.GOOD, Mood.GOOD],
        "h": [[1], []],
        "i": 1.0,
    }


def test_a_shared_parameter_may_be_given_once_or_for_each_row() -> None:
    def predict(text: hw.Batch[str], limit: float) -> hw.Batch[str]:
        return []

    wire = wire_of(predict)
    text = Block("bytes", (3,), ["a", "b", "c"])
    once = wire.read_blocks({"text": text, "limit": Block("float64", (1,), [0.5])})
    assert once.columns["limit"] == [0.5, 0.5, 0.5]
    each = wire.read_blocks({"text": text, "limit": Block("float64", (3,), [0.5, 0.6, 0.5])})
    keys = wire.keys(each)
    assert keys is not None
    assert keys[0] == keys[2] != keys[1]
    with pytest.raises(BadInput):
        wire.read_blocks({"text": text, "limit": Block("float64", (2,), [0.5, 0.6])})


def test_a_flat_struct_is_a_tensor_a_field() -> None:
    wire = wire_of(person)
    assert [(s.name, s.is_optional) for s in wire.description.inputs] == [
        ("name", False),
        ("age", True),
    ]
    assert [s.name for s in wire_of(two).description.inputs] == ["who.name", "who.age", "weight"]
    call = wire.read_blocks({"name": Block("bytes", (2,), [b"a", b"b"])})
    assert call.columns["who"] == [Person("a", 7), Person("b", 7)]
    blocks = dict(wire.write_blocks(wire.scatter(call.columns["who"], 2)))
    assert (blocks["name"].data, blocks["age"].data) == (["a", "b"], [7, 7])
    with pytest.raises(BadInput):
        wire.read_blocks(
            {"name": Block("bytes", (1,), ["a"]), "age": Block("int64", (1,), [-1], is_json=True)}
        )
    with pytest.raises(BadInput, match="name"):
        wire.read_blocks({"age": Block("int64", (1,), [1])})


def _good() -> dict[str, Block]:
    return {
        "x": Block("float32", (2, 2), [1.0, 2, 3, 4], is_json=True),
        "ids": Block("int64", (2, 3), struct.pack("<6q", *range(6))),
    }


def test_arrays_are_read_from_lists_and_buffers_into_memory_of_their_own() -> None:
    wire = wire_of(arrays)
    call = wire.read_blocks(_good())
    arguments = wire.gather([(call, None)])
    assert arguments["x"].tolist() == [[1, 2], [3, 4]]
    assert arguments["ids"].tolist() == [[0, 1, 2], [3, 4, 5]]
    arguments["ids"] += 1
    assert wire.gather([(call, None)])["ids"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_buffers_that_a_json_reader_filled_are_cast_after_a_check() -> None:
    wire = wire_of(arrays)

    def x_of(data: Any) -> Any:
        blocks = {**_good(), "x": Block("float32", (2, 2), data, is_json=True)}
        return wire.gather([(wire.read_blocks(blocks), None)])["x"].tolist()

    assert x_of(_view(np.array([1.0, 2, 3, 4]))) == [[1, 2], [3, 4]]
    with pytest.raises(BadInput):
        x_of(_view(np.array([1e39, 2, 3, 4])))

    def ids_of(data: Any) -> Any:
        blocks = {**_good(), "ids": Block("int64", (2, 1), data, is_json=True)}
        return wire.gather([(wire.read_blocks(blocks), None)])["ids"].tolist()

    assert ids_of(_view(np.array([1, 2]))) == [[1], [2]]
    with pytest.raises(BadInput):
        ids_of(_view(np.array([1.0, 2.0])))
    with pytest.raises(BadInput):
        ids_of(_view(np.array([1, 2**63], np.uint64)))


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("y", Block("float32", (2, 2), [1.0] * 4)),
        ("x", None),
        ("x", Block("float64", (2, 2), [1.0] * 4)),
        ("x", Block("bytes", (2, 2), ["a"] * 4)),
        ("x", Block("float32", (2,), [1.0] * 2)),
        ("x", Block("float32", (), [1.0])),
        ("x", Block("float32", (2, 3), [1.0] * 6)),
        ("x", Block("float32", (2, 2, 1), [1.0] * 4)),
        ("x", Block("float32", (3, 2), [1.0] * 6)),
        ("x", Block("float32", (2, 2), [1.0] * 3)),
        ("x", Block("float32", (2, 2), [1.0] * 5)),
        ("x", Block("float32", (2, 2), b"\0" * 15)),
        ("x", Block("float32", (2, 2), b"\0" * 20)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, "4"], is_json=True)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, True], is_json=True)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, None], is_json=True)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, 1e39], is_json=True)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, 10**400], is_json=True)),
        ("x", Block("float32", (2, 2), [1.0, 2.0, 3.0, [4.0]], is_json=True)),
        ("ids", Block("int64", (2, -3), struct.pack("<6q", *range(6)))),
        ("ids", Block("int64", (-2, 3), struct.pack("<6q", *range(6)))),
        ("ids", Block("int64", (2, 2**62), b"")),
        ("ids", Block("int64", (2, 1), [1.0, 2.0], is_json=True)),
        ("ids", Block("int64", (2, 1), [True, 2], is_json=True)),
        ("ids", Block("int64", (2, 1), [1, 2**63], is_json=True)),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_before_anything_is_allocated(
    name: str, block: Block | None
) -> None:
    blocks: dict[str, Any] = {**_good(), name: block}
    if block is None:
        del blocks[name]
    wire = wire_of(arrays)
    with pytest.raises(BadInput):
        wire.gather([(wire.read_blocks(blocks), None)])


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("a", Block("bool", (1,), b"\x02")),
        ("a", Block("bool", (1,), [1], is_json=True)),
        ("b", Block("int64", (1,), [2**63], is_json=True)),
        ("b", Block("int64", (1,), [1.0], is_json=True)),
        ("b", Block("int64", (1,), b"\0" * 7)),
        ("b", Block("int32", (1,), [1])),
        ("c", Block("float64", (1,), ["1"], is_json=True)),
        ("c", Block("float64", (1,), [10**400], is_json=True)),
        ("c", Block("float64", (1, 1), [1.0])),
        ("d", Block("bytes", (1,), [b"\xff"])),
        ("d", Block("bytes", (1,), [3])),
        ("d", Block("bytes", (1,), ["a", "b"])),
        ("f", Block("bytes", (1,), [b"z"])),
        ("g", Block("bytes", (1,), [b"bad"])),
        ("h", Block("bytes", (1,), [b"[1"])),
        ("h", Block("bytes", (1,), [b'["1"]'])),
        ("h", Block("bytes", (1,), [b"[" * 100_000])),
    ],
)
def test_a_scalar_that_does_not_fit_is_refused(name: str, block: Block) -> None:
    blocks = {
        "a": Block("bool", (1,), [True]),
        "b": Block("int64", (1,), [1]),
        "c": Block("float64", (1,), [1.0]),
        "d": Block("bytes", (1,), ["a"]),
        "e": Block("bytes", (1,), [b"a"]),
        "f": Block("bytes", (1,), [b"x"]),
        "g": Block("bytes", (1,), [b"good"]),
        "h": Block("bytes", (1,), [b"[]"]),
    }
    wire = wire_of(scalars)
    assert wire.read_blocks(blocks).rows == 1
    with pytest.raises(BadInput, match=f"'{name}'"):
        wire.read_blocks({**blocks, name: block})


@pytest.mark.parametrize("function", [arrays, person, scalars])
def test_no_tensors_at_all_are_refused(function: Any) -> None:
    with pytest.raises(BadInput, match="missing"):
        wire_of(function).read_blocks({})


def test_bytes_in_arrays_are_text() -> None:
    def predict(x: Names, on: Flags) -> hw.Batch[str]:
        return []

    wire = wire_of(predict)
    blocks = {
        "x": Block("bytes", (2, 1), ["a", "ö".encode()]),
        "on": Block("bool", (2,), b"\x01\x00"),
    }
    arguments = wire.gather([(wire.read_blocks(blocks), None)])
    assert arguments["x"].tolist() == [["a"], ["ö"]]
    assert arguments["on"].tolist() == [True, False]
    many = wire.read_json(b'[{"x":["a"],"on":true},{"x":["b"],"on":false}]')
    assert wire.gather([(many, None)])["x"].tolist() == [["a"], ["b"]]
    with pytest.raises(BadInput):
        wire.read_blocks({**blocks, "on": Block("bool", (2,), b"\x01\x02")})


def test_columns_of_arrays_are_written_as_named_tensors() -> None:
    wire = wire_of(arrays)
    answer = {"label": np.arange(4).reshape(2, 2), "score": np.ones((2, 2), np.float32)}
    result = wire.scatter(answer, 2)
    _, second = wire.split(result, [1, 1])
    blocks = dict(wire.write_blocks(second))
    assert blocks["label"].shape == (1, 2)
    assert list(blocks["label"].data) == [2, 3]
    assert list(blocks["score"].data) == [1.0, 1.0]
    assert json.loads(wire.write_json(result, is_single=False))[1] == {
        "label": [2, 3],
        "score": [1.0, 1.0],
    }
    assert json.loads(wire.write_json(second, is_single=True)) == {
        "label": [2, 3],
        "score": [1.0, 1.0],
    }


def test_a_file_whose_rows_are_not_proven_takes_and_answers_whole_tensors() -> None:
    inputs = [TensorSpec("x", "float32", (-1, 2), has_rows=False)]
    outputs = [TensorSpec("y", "float32", (-1,), has_rows=False)]
    wire = Wire(of_tensors("m", inputs, outputs))
    assert wire.description.inputs == inputs
    assert wire.description.outputs == outputs
    call = wire.read_blocks({"x": Block("float32", (3, 2), [1.0] * 6)})
    assert call.rows == 1
    assert wire.item(call, 0)["x"].shape == (3, 2)
    assert wire.item(wire.read_json(b'{"x":[[1,2],[3,4]]}'), 0)["x"].tolist() == [[1, 2], [3, 4]]
    result = Result([wire.check_item({"y": np.arange(3, dtype=np.float32)})])
    ((name, block),) = wire.write_blocks(result)
    assert (name, block.shape, block.data.tolist()) == ("y", (3,), [0, 1, 2])
    assert wire.write_json(result, is_single=True) == b"[0.0,1.0,2.0]"
