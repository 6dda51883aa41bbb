"""Large JSON of numbers is read into buffers as the ordinary reader would, or not at all."""

import itertools
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headway as hw
from headway.errors import BadInput
from headway.model.bulk import BulkReader
from headway.model.call import Block
from headway.model.signature import read_signature
from headway.model.wire import BULK_BYTES, Wire

Grid = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None, 3)]
Free = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None, None)]
Ids = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", None)]


def predict(grid: Grid, ids: Ids) -> hw.Batch[int]:
    return []


def _reader() -> BulkReader:
    return BulkReader({p.name: p.field for p in read_signature(predict).parameters})


WIRE = Wire(read_signature(predict))
READER = _reader()


def _gathered(call: Any) -> dict[str, list[Any]]:
    return {n: a.tolist() for n, a in WIRE.gather([(call, None)]).items()}


ROWS = st.integers(1, 3).flatmap(
    lambda n: st.lists(
        st.fixed_dictionaries(
            {
                "grid": st.lists(
                    st.lists(
                        st.floats(width=32, allow_nan=False, allow_infinity=False),
                        min_size=3,
                        max_size=3,
                    ),
                    min_size=n,
                    max_size=n,
                ),
                "ids": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n),
            }
        ),
        min_size=1,
        max_size=3,
    )
)


@given(ROWS)
def test_regular_bodies_are_read_as_the_ordinary_reader_reads_them(rows: list[Any]) -> None:
    for body in (msgspec.json.encode(rows), msgspec.json.encode(rows[0])):
        call = READER.read(body)
        assert call is not None
        slow = WIRE.read_json(body)
        assert (call.rows, call.is_single) == (slow.rows, slow.is_single)
        assert _gathered(call) == _gathered(slow)


JSON = st.recursive(
    st.one_of(st.integers(-9, 9), st.just(1.5), st.none(), st.booleans(), st.just("[")),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(grid=JSON, ids=JSON)
def test_nothing_is_taken_that_the_ordinary_reader_refuses(grid: Any, ids: Any) -> None:
    body = msgspec.json.encode({"grid": grid, "ids": ids})
    call = READER.read(body)
    if call is None:
        return
    assert _gathered(call) == _gathered(WIRE.read_json(body))


@pytest.mark.parametrize(
    "grid",
    [
        "[[1,2,3],[4,5]]",
        "[[1,2,3],[4,5,6,7]]",
        "[[1,2],[3,4,5,6],[7,8,9]]",
        "[[1,2,3],[4,5,6,7],[8,9]]",
        "[[1],[2,3,4,5,6],[7,8,9]]",
        "[1,2,3]",
        "[[[1],2,3]]",
        "[[[],1,[2,3]]]",
        "[[[],[],[1,2,3]]]",
        "[[[1,2,3]]]",
        "[[1,2,true]]",
        '[[1,2,"3"]]',
        "[[1,2,null]]",
        "[[1,2,{}]]",
        "[]",
        "[[]]",
        "3",
        "{}",
        "[[1,2,1e999]]",
        "[[1,2,NaN]]",
    ],
)
def test_ragged_and_odd_nesting_is_left_to_the_ordinary_reader(grid: str) -> None:
    assert READER.read(f'{{"grid":{grid},"ids":[1]}}'.encode()) is None


@pytest.mark.parametrize("middle", range(2, 9))
def test_rows_of_three_lengths_with_the_right_sum_are_ragged(middle: int) -> None:
    def free(grid: Free) -> hw.Batch[int]:
        return []

    reader = BulkReader({p.name: p.field for p in read_signature(free).parameters})
    for less in range(1, middle):
        lengths = (middle - less, middle, middle + less)
        for order in itertools.permutations(lengths):
            body = msgspec.json.encode({"grid": [[1.5] * n for n in order]})
            assert reader.read(body) is None
    assert reader.read(msgspec.json.encode({"grid": [[1.5] * middle] * 3})) is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"grid":[[1,2,3]],"ids":[1],"ids":[2]}',
        b'{"grid":[[1,2,3]],"ids":[1],"more":1}',
        b'{"grid":[[1,2,3]]}',
        b'{"grid":[[1,2,3]],"ids":[1.5]}',
        b'{"grid":[[1,2,3]],"ids":[1]} x',
        b'[{"grid":[[1,2,3]],"ids":[1]},{"grid":[[1,2,3]],"ids":[1,2]}]',
        b'[{"grid":[[1,2,3]],"ids":[1]},3]',
        b"[]",
        b"3",
        b"",
        b"\xff",
    ],
)
def test_odd_bodies_are_left_to_the_ordinary_reader(body: bytes) -> None:
    assert READER.read(body) is None


def test_large_bodies_take_the_fast_way_and_small_ones_do_not() -> None:
    row = {"grid": [[0.5, 1.5, 2.5]] * 3000, "ids": [1]}
    body = msgspec.json.encode(row)
    assert len(body) > BULK_BYTES
    for form in (body, memoryview(body)):
        call = WIRE.read_json(form)
        assert isinstance(call.columns["grid"], Block)
        assert _gathered(call) == {"grid": [row["grid"]], "ids": [[1]]}
    small = WIRE.read_json(msgspec.json.encode({"grid": [[1, 2, 3]], "ids": [1]}))
    assert isinstance(small.columns["grid"], list)


def test_a_large_ragged_body_is_refused_with_its_place() -> None:
    row = {"grid": [[0.5, 1.5, 2.5]] * 3000 + [[1.5]], "ids": [1]}
    with pytest.raises(BadInput, match=r"\$\.grid\[3000\]"):
        WIRE.read_json(msgspec.json.encode(row))
