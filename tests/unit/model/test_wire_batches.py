"""Rows of many calls meet in one batch, and every answer goes home: nothing shifts or mixes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import headway as hw
from headway.errors import BadInput, BadOutput, Rejected
from headway.model.call import Block, Call, Result
from headway.model.signature import read_signature
from headway.model.wire import Wire

Row = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 2)]
Free = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", None)]
One = Annotated[NDArray[np.float32], hw.Tensor("float32", 2)]


class Pair(TypedDict):
    """Arrays by name."""

    first: Annotated[NDArray[np.float32], hw.Tensor("float32", "batch")]
    both: Row


@dataclass
class PairObject:
    """The same as an object."""

    first: Annotated[NDArray[np.float32], hw.Tensor("float32", "batch")]
    both: Row


def texts(text: hw.Batch[str], limit: int = 3) -> hw.Batch[str | hw.Reject]:
    return []


def arrays(x: Row) -> Row:
    return x


def columns(x: Row) -> Pair:
    raise NotImplementedError


def objects(x: Row) -> PairObject:
    raise NotImplementedError


def free(ids: Free) -> Free:
    return ids


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


TEXTS = wire_of(texts)
ARRAYS = wire_of(arrays)
COLUMNS = wire_of(columns)
OBJECTS = wire_of(objects)


def _numbered(start: int, rows: int) -> list[list[float]]:
    return [[float(i), -float(i)] for i in range(start, start + rows)]


def _json_call(wire: Wire, values: list[list[float]]) -> Call:
    return wire.read_json(msgspec.json.encode([{"x": v} for v in values]))


def _list_call(wire: Wire, values: list[list[float]]) -> Call:
    flat = [n for v in values for n in v]
    return wire.read_blocks({"x": Block("float32", (len(values), 2), flat, is_json=True)})


def _buffer_call(wire: Wire, values: list[list[float]]) -> Call:
    data = np.array(values, np.float32).tobytes()
    return wire.read_blocks({"x": Block("float32", (len(values), 2), data)})


CALLERS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from([_json_call, _list_call, _buffer_call])),
    min_size=1,
    max_size=8,
)


def _answers(wire: Wire, batch: Any) -> Any:
    if wire is ARRAYS:
        return batch * 2
    pair = {"first": batch[:, 0].copy(), "both": batch * 2}
    return pair if wire is COLUMNS else PairObject(**pair)


def _expected(wire: Wire, values: list[list[float]]) -> list[Any]:
    doubled = [[2 * a, 2 * b] for a, b in values]
    if wire is ARRAYS:
        return doubled
    return [{"first": v[0], "both": d} for v, d in zip(values, doubled, strict=True)]


@pytest.mark.parametrize("wire", [ARRAYS, COLUMNS, OBJECTS], ids=["array", "dict", "object"])
@given(callers=CALLERS, picks=st.randoms())
def test_every_row_of_every_form_of_call_gets_its_own_answer(
    wire: Wire, callers: list[tuple[int, Any]], picks: Any
) -> None:
    parts: list[tuple[Call, Sequence[int] | None]] = []
    wanted = []
    start = 0
    for rows, make in callers:
        values = _numbered(start, rows)
        start += rows
        some = sorted(picks.sample(range(rows), picks.randint(1, rows)))
        chosen: Sequence[int] | None = None if len(some) == rows else some
        parts.append((make(wire, values), chosen))
        wanted.append([values[i] for i in some])
    batch = wire.gather(parts)["x"]
    assert batch.tolist() == [v for values in wanted for v in values]
    result = wire.scatter(_answers(wire, batch), len(batch))
    cut = wire.split(result, [len(v) for v in wanted])
    for part, values in zip(cut, wanted, strict=True):
        assert wire.rows(part) == len(values)
        answers = msgspec.json.decode(wire.write_json(part, is_single=False))
        assert answers == _expected(wire, values)
        first = msgspec.json.decode(wire.write_json(part, is_single=True))
        assert first == answers[0]
        for _, block in wire.write_blocks(part):
            assert block.shape[0] == len(values)
    again = wire.join([p for part in cut for p in wire.split(part, [1] * wire.rows(part))])
    assert wire.write_json(again, is_single=False) == wire.write_json(result, is_single=False)
    assert [(n, list(b.data)) for n, b in wire.write_blocks(again)] == [
        (n, list(b.data)) for n, b in wire.write_blocks(result)
    ]


@given(
    values=st.lists(st.text(), min_size=1, max_size=12),
    bad=st.sets(st.integers(0, 11)),
    cuts=st.lists(st.integers(1, 4), max_size=12),
)
def test_rejects_stay_in_their_place_through_split_and_join(
    values: list[str], bad: set[int], cuts: list[int]
) -> None:
    bad = {i for i in bad if i < len(values)}
    answer = [hw.Reject(f"row {i}") if i in bad else v for i, v in enumerate(values)]
    result = TEXTS.scatter(answer, len(values))
    sizes: list[int] = []
    for cut in [*cuts, len(values)]:
        sizes.append(min(cut, len(values) - sum(sizes)))
    sizes = [s for s in sizes if s]
    parts = TEXTS.split(result, sizes)
    joined = TEXTS.join(parts)
    for whole in (result, joined):
        assert set(whole.errors) == bad
        assert all(isinstance(e, Rejected) for e in whole.errors.values())
        assert [e.message for _, e in sorted(whole.errors.items())] == [
            f"row {i}" for i in sorted(bad)
        ]
        assert [v for i, v in enumerate(whole.values) if i not in bad] == [
            v for i, v in enumerate(values) if i not in bad
        ]
    start = 0
    for part, size in zip(parts, sizes, strict=True):
        assert set(part.errors) == {i - start for i in bad if start <= i < start + size}
        start += size


def test_only_equal_shared_values_meet() -> None:
    call = TEXTS.read_json(b'[{"text":"a"},{"text":"b","limit":4},{"text":"c"}]')
    keys = TEXTS.keys(call)
    assert keys is not None
    assert keys[0] == keys[2] != keys[1]
    assert TEXTS.gather([(call, [0, 2])]) == {"text": ["a", "c"], "limit": 3}
    assert TEXTS.gather([(call, range(1, 2))]) == {"text": ["b"], "limit": 4}


def test_shared_values_of_every_type_have_keys() -> None:
    @dataclass
    class Options:
        names: list[str]

    def predict(
        text: hw.Batch[str], options: Options, window: One, blob: bytes = b""
    ) -> hw.Batch[str]:
        return []

    wire = wire_of(predict)
    item = {"text": "a", "options": {"names": ["n"]}, "window": [1, 2]}
    other = {**item, "window": [1, 3]}
    keys = wire.keys(wire.read_json(msgspec.json.encode([item, other, item])))
    assert keys is not None
    assert hash(keys[0]) == hash(keys[2])
    assert keys[0] == keys[2] != keys[1]
    arguments = wire.gather([(wire.read_json(msgspec.json.encode(item)), None)])
    assert arguments["options"] == Options(["n"])
    assert arguments["window"].tolist() == [1, 2]


def test_only_rows_of_equal_length_meet() -> None:
    wire = wire_of(free)
    call = wire.read_json(b'[{"ids":[1,2]},{"ids":[3]},{"ids":[4,5]},{"ids":[]}]')
    keys = wire.keys(call)
    assert keys is not None
    assert keys[0] == keys[2]
    assert len(set(keys)) == 3
    buffer = wire.read_blocks({"ids": Block("int64", (1, 2), [6, 7])})
    assert wire.keys(buffer) == [keys[0]]
    assert wire.gather([(call, [0, 2]), (buffer, None)])["ids"].tolist() == [[1, 2], [4, 5], [6, 7]]
    with pytest.raises(BadInput):
        wire.gather([(call, None)])


class Frees(TypedDict):
    """Arrays of free length by name."""

    ids: Free


def frees(ids: Free) -> Frees:
    raise NotImplementedError


@pytest.mark.parametrize("function", [free, frees])
def test_answers_of_different_lengths_are_a_list_in_json_and_no_tensor(function: Any) -> None:
    wire = wire_of(function)

    def answer(*values: int) -> Result:
        array = np.array([values])
        return wire.scatter(array if function is free else {"ids": array}, 1)

    def rows(result: Result) -> list[Any]:
        found = wire_values(wire, result)
        return found if function is free else [row["ids"] for row in found]

    even = wire.join([answer(1, 2), answer(3, 4)])
    ((_, block),) = wire.write_blocks(even)
    assert (block.shape, rows(even)) == ((2, 2), [[1, 2], [3, 4]])
    mixed = wire.join([answer(1, 2), answer(3), even])
    assert rows(mixed) == [[1, 2], [3], [1, 2], [3, 4]]
    assert [rows(part) for part in wire.split(mixed, [1, 1, 2])] == [
        [[1, 2]],
        [[3]],
        [[1, 2], [3, 4]],
    ]
    _, _, again = wire.split(mixed, [1, 1, 2])
    ((_, block),) = wire.write_blocks(again)
    assert (block.dtype, block.shape) == ("int64", (2, 2))
    assert rows(wire.join([mixed, even]))[-1] == [3, 4]
    with pytest.raises(BadOutput):
        wire.write_blocks(mixed)


def _generator() -> Iterator[str]:
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "ab",
        b"ab",
        {"a": "x", "b": "y"},
        {0: "x", 1: "y"},
        {"a", "b"},
        _generator(),
        ["a"],
        ["a", "b", "c"],
        [],
        ("a", None),
        ["a", 3],
        [["a"], ["b"]],
        np.float32(1.0),
        3,
    ],
)
def test_a_batch_answer_of_another_form_is_the_models_mistake(answer: Any) -> None:
    with pytest.raises(BadOutput):
        TEXTS.scatter(answer, 2)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"a": 1},
        np.zeros((1, 2), np.float32),
        np.zeros((3, 2), np.float32),
        np.zeros((2, 1), np.float32),
        np.zeros(2, np.float32),
        np.zeros((2, 2, 1), np.float32),
        np.zeros((2, 2), np.float64),
        np.zeros((2, 2), np.int32),
        [[1.0, 2.0]],
        [[1.0, 2.0], [3.0]],
        [["a", "b"], ["c", "d"]],
        np.array([[None, None], [None, None]]),
        iter([[1.0, 2.0], [1.0, 2.0]]),
    ],
)
def test_an_array_answer_of_another_dtype_or_shape_is_the_models_mistake(answer: Any) -> None:
    with pytest.raises(BadOutput):
        ARRAYS.scatter(answer, 2)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"first": np.zeros(2, np.float32)},
        {"first": np.zeros(2, np.float32), "both": np.zeros((1, 2), np.float32)},
        {
            "first": np.zeros(2, np.float32),
            "both": np.zeros((2, 2), np.float32),
            "more": np.zeros(2, np.float32),
        },
        np.zeros((2, 2), np.float32),
    ],
)
def test_a_struct_answer_that_lacks_or_adds_an_array_is_the_models_mistake(answer: Any) -> None:
    with pytest.raises(BadOutput):
        COLUMNS.scatter(answer, 2)


@pytest.mark.parametrize(
    ("function_answer", "answer", "expected"),
    [
        (float, [np.float32(1.5), 2], [1.5, 2.0]),
        (float, np.array([1.5, 2.5]), [1.5, 2.5]),
        (float, np.array([1.5, 2.5], np.float32), [1.5, 2.5]),
        (int, np.array([1, 2]), [1, 2]),
        (int, (1, 2), [1, 2]),
        (bool, np.array([True, False]), [True, False]),
        (str, np.array(["a", "b"]), ["a", "b"]),
        (dict[str, float], [{"a": np.float64(1)}, {"b": 1}], [{"a": 1.0}, {"b": 1.0}]),
        (list[float], np.array([[1.0], [2.0]]), [[1.0], [2.0]]),
    ],
)
def test_numbers_of_numpy_are_taken_for_pythons(
    function_answer: Any, answer: Any, expected: list[Any]
) -> None:
    def predict(text: hw.Batch[str]) -> hw.Batch[function_answer]:
        return []

    wire = wire_of(predict)
    assert wire.scatter(answer, 2).values == expected


def test_an_answer_is_safe_from_a_predictor_that_uses_its_memory_again() -> None:
    mine = np.zeros((2, 2), np.float32)
    result = ARRAYS.scatter(mine, 2)
    mine += 1
    assert wire_values(ARRAYS, result) == [[0, 0], [0, 0]]


def wire_values(wire: Wire, result: Result) -> Any:
    return msgspec.json.decode(wire.write_json(result, is_single=False))


def test_items_are_checked_one_by_one() -> None:
    def predict(text: str) -> One:
        raise NotImplementedError

    wire = wire_of(predict)
    value = wire.check_item(np.array([1, 2], np.float32))
    assert wire.write_item(value) == b"[1.0,2.0]"
    result = wire.join([Result([value]), Result([value])])
    ((_, block),) = wire.write_blocks(result)
    assert block.shape == (2, 2)
    assert wire_values(wire, result) == [[1, 2], [1, 2]]
    for wrong in (None, np.zeros(3, np.float32), np.zeros(2), [1, "a"]):
        with pytest.raises(BadOutput):
            wire.check_item(wrong)

    def refuse(text: str) -> str | hw.Reject:
        return hw.Reject("no text")

    with pytest.raises(Rejected, match="no text"):
        wire_of(refuse).check_item(hw.Reject("no text"))


def test_the_same_predictor_without_free_axes_or_shared_values_needs_no_keys() -> None:
    assert ARRAYS.keys(_json_call(ARRAYS, _numbered(0, 1))) is None
    one = wire_of(lambda_free)
    assert one.keys(one.read_json(b'{"text":"a","limit":2}')) is None


def lambda_free(text: str, limit: int) -> str:
    return text
