"""The rows of a JSON body are counted before they are made."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.errors import BadInput
from headway.model.counting import count_rows
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, native

MANY = 400_000
TEXTS = st.text(alphabet='a,"\\[]{}\n é', max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)  # the first call imports numpy
@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from([1, 3, 7, 2**18]))
def test_count_is_right_for_every_array(values: list[Any], piece_bytes: int) -> None:
    assert count_rows(b" \n" + msgspec.json.encode(values), piece_bytes) == len(values)


@pytest.mark.parametrize("body", [b'{"a":1,"b":[1,2]}', b'"a,b"', b"1", b"", b"  "])
def test_what_is_no_array_is_one(body: bytes) -> None:
    assert count_rows(body) == 1
    assert count_rows(memoryview(body)) == 1


def wire_of(max_rows: int) -> Wire:
    def predict(text: hw.Batch[str] = "", count: int = 1) -> hw.Batch[str]:  # type: ignore[assignment]
        raise NotImplementedError

    wire = Wire(read_signature(predict))
    wire.max_rows = max_rows
    return wire


def peak_of(read: Any) -> int:
    """The most memory that Python's objects took meanwhile."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=f"at most 65536 rows, found {MANY + 1}"):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_too_many_tiny_rows_are_refused_before_they_are_made() -> None:
    wire = wire_of(65536)
    body = b"[" + b"{}," * MANY + b"{}]"
    wire.read_json(b"{}")
    count_rows(b"[]")
    assert peak_of(lambda: wire.read_json(body)) < 6 * len(body)
    ask = Ask("predict", "m", "", body, {}, "errors=item")
    assert peak_of(lambda: native.decode(ask, wire)) < 6 * len(body)


def test_values_that_can_not_be_rows_are_not_cut_apart() -> None:
    wire = wire_of(65536)
    body = b"[" + b"1," * MANY + b"1]"
    ask = Ask("predict", "m", "", body, {}, "errors=item")
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            native.decode(ask, wire)
        assert tracemalloc.get_traced_memory()[1] < 12 * len(body)
    finally:
        tracemalloc.stop()


def test_braces_inside_of_a_text_are_no_rows() -> None:
    wire = wire_of(10)
    text = '{"},{' * 100 + "\\"
    body = msgspec.json.encode([{"text": text}, {"text": text}])
    assert wire.read_json(body).columns["text"] == [text, text]
    assert wire.read_json(msgspec.json.encode({"text": text})).rows == 1
