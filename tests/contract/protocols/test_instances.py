"""What `instances` mean to a model, whatever dialect they come in."""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.errors import BadInput
from headway.model.call import Call, TensorSpec
from headway.model.marks import Batch, Tensor
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire
from headway.protocols._instances import read_columns, read_rows, read_shared, spelled


@dataclass
class Thing:
    name: str
    size: int = 1


def one(text: str) -> str: ...  # type: ignore[empty-body]
def more(text: Batch[str], low: float = 0.5, *, mode: str = "a") -> Batch[str]: ...  # type: ignore[empty-body]
def two(text: str, number: int) -> str: ...  # type: ignore[empty-body]
def thing(thing: Thing) -> str: ...  # type: ignore[empty-body]
def raw(content: bytes, note: str = "") -> bytes: ...  # type: ignore[empty-body]
def free(value: dict[str, Any]) -> str: ...  # type: ignore[empty-body]
def real(number: float, whole: int = 0, flag: bool = False) -> float: ...  # type: ignore[empty-body]
def array(x: Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]) -> Batch[float]: ...  # type: ignore[empty-body]


def wire_of(function: Callable[..., Any]) -> Wire:
    return Wire(read_signature(function), name="it")


def as_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def rows_of(call: Call) -> list[dict[str, Any]]:
    columns = {n: c if isinstance(c, list) else np.asarray(c) for n, c in call.columns.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(call.rows)]


def rows(function: Callable[..., Any], value: Any, shared: Any = None) -> list[dict[str, Any]]:
    given = None if shared is None else read_shared(as_json(shared))
    return rows_of(read_rows(wire_of(function), as_json(value), given))


def columns(function: Callable[..., Any], value: Any) -> list[dict[str, Any]]:
    return rows_of(read_columns(wire_of(function), as_json(value)))


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (one, ["a", {"text": "b"}, "c"], [{"text": t} for t in "abc"]),
        (one, [], []),
        (two, [{"text": "a", "number": 1}], [{"text": "a", "number": 1}]),
        (thing, [{"thing": {"name": "x"}}, {"name": "y"}], [{"thing": Thing(n)} for n in "xy"]),
        (free, [{"other": 1}, {"value": {"b": 2}}], [{"value": {"other": 1}}, {"value": {"b": 2}}]),
        (free, [{}], [{"value": {}}]),
        (more, ["a"], [{"text": "a", "low": 0.5, "mode": "a"}]),
    ],
)
def test_a_row_is_by_name_or_the_only_input_bare(
    function: Callable[..., Any], value: Any, expected: Any
) -> None:
    assert rows(function, value) == expected


def test_parameters_are_every_rows_that_does_not_say_otherwise() -> None:
    found = rows(more, ["a", {"text": "b", "low": 0.1}], {"low": 0.9, "mode": "z"})
    assert found == [
        {"text": "a", "low": 0.9, "mode": "z"},
        {"text": "b", "low": 0.1, "mode": "z"},
    ]
    assert rows(two, ["a", "b"], {"number": 7}) == [{"text": t, "number": 7} for t in "ab"]
    with pytest.raises(BadInput, match="nobody"):
        rows(more, ["a"], {"nobody": 1})
    with pytest.raises(BadInput, match="parameters"):
        rows(more, ["a"], [1])


@pytest.mark.parametrize("text", [b"plain", "é\0".encode(), b""])
def test_b64_is_bytes_for_an_input_of_bytes_and_text_for_one_of_text(text: bytes) -> None:
    packed = {"b64": base64.b64encode(text).decode()}
    assert rows(one, [packed, {"text": packed}]) == [{"text": text.decode()}] * 2
    assert rows(raw, [packed, {"content": packed, "note": packed}]) == [
        {"content": text, "note": ""},
        {"content": text, "note": text.decode()},
    ]
    assert columns(raw, {"content": [packed]}) == [{"content": text, "note": ""}]
    assert columns(raw, packed) == [{"content": text, "note": ""}]


@pytest.mark.parametrize("packed", ["/w==", "?", "YQ", "é"])
def test_b64_that_is_none_or_no_text_is_refused(packed: str) -> None:
    with pytest.raises(BadInput):
        rows(one, [{"b64": packed}])


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (one, ["a", "b"], [{"text": "a"}, {"text": "b"}]),
        (one, {"text": ["a", "b"]}, [{"text": "a"}, {"text": "b"}]),
        (one, "a", [{"text": "a"}]),
        (one, {"text": []}, []),
        (two, {"text": ["a", "b"], "number": [1, 2]}, [{"text": "a", "number": 1}, {"text": "b", "number": 2}]),
        (two, {"text": ["a", "b"], "number": 1}, [{"text": t, "number": 1} for t in "ab"]),
        (two, {"text": ["a", "b"], "number": [1]}, [{"text": t, "number": 1} for t in "ab"]),
        (thing, {"thing": [{"name": "x"}]}, [{"thing": Thing("x")}]),
    ],
)  # fmt: skip
def test_columns_have_the_rows_in_front(
    function: Callable[..., Any], value: Any, expected: Any
) -> None:
    assert columns(function, value) == expected


@pytest.mark.parametrize(
    ("function", "value"),
    [(two, {"text": ["a", "b"], "number": [1, 2, 3]}), (two, ["a"]), (two, {"text": ["a"]}), (one, {"no": ["a"]})],
)  # fmt: skip
def test_columns_that_do_not_fit_are_refused(function: Callable[..., Any], value: Any) -> None:
    with pytest.raises(BadInput):
        columns(function, value)


@pytest.mark.parametrize("value", [{"text": "a"}, "a", 7, None, [7], [{"text": "a", "more": 1}]])
def test_rows_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        rows(one, value)


def test_a_bad_row_is_named_by_its_index() -> None:
    with pytest.raises(BadInput, match="1"):
        rows(one, ["a", 7])


def test_a_model_file_without_rows_gets_what_is_given_as_its_one_item() -> None:
    spec = TensorSpec("x", "float32", (-1, 2), has_rows=False)
    wire = Wire(of_tensors("it", [spec], [spec]), name="it")
    for call in (
        read_columns(wire, b"[[1,2],[3,4]]"),
        read_columns(wire, b'{"x":[[1,2],[3,4]]}'),
        read_rows(wire, b"[[[1,2],[3,4]]]"),
    ):
        assert wire.item(call, 0)["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("read", [read_rows, read_columns])
def test_too_many_rows_are_refused_before_any_is_made(read: Callable[..., Any]) -> None:
    wire = wire_of(one)
    wire.max_rows = 10
    assert read(wire, as_json(["a"] * 10)).rows == 10
    with pytest.raises(BadInput, match="at most 10 rows"):
        read(wire, as_json(["a"] * 11))
    with pytest.raises(BadInput, match="at most 10 rows"):
        read(wire, b"[" + b"1," * 500_000 + b"1]")


def tokens(value: bytes) -> bytes:
    found = spelled(value)
    assert found is not None
    return found


def test_tokens_are_read_as_the_numbers_that_they_are() -> None:
    call = read_rows(wire_of(array), tokens(b"[[NaN, 1], [-Infinity, 2.5]]"))
    found = wire_of(array).gather([(call, None)])["x"]
    np.testing.assert_array_equal(found, np.array([[np.nan, 1], [-np.inf, 2.5]], np.float32))
    (row,) = rows_of(read_rows(wire_of(real), tokens(b'[{"number": NaN, "whole": 3}]')))
    assert math.isnan(row["number"])
    assert row["whole"] == 3
    assert rows_of(read_columns(wire_of(real), tokens(b"[Infinity, 1]")))[0]["number"] == math.inf


@pytest.mark.parametrize(
    "body",
    [
        b'[{"number": 1, "whole": NaN}]',
        b'[{"number": NaN, "whole": 1.5}]',
        b'[{"number": NaN, "flag": 1}]',
        b'[{"number": "NaN", "whole": NaN}]',
        b"[[NaN]]",
        b"[{\"number\": NaN, \"whole\": 99999999999999999999}]",
    ],
)  # fmt: skip
def test_tokens_where_none_belongs_are_refused(body: bytes) -> None:
    found = spelled(body)
    if found is not None:
        with pytest.raises(BadInput):
            read_rows(wire_of(real), found)


def test_a_text_that_spells_a_token_is_a_text() -> None:
    assert rows(one, ["NaN", "Infinity"]) == [{"text": "NaN"}, {"text": "Infinity"}]
    read = read_rows(wire_of(one), tokens(b'["NaN", {"text": "-Infinity"}]'))
    assert rows_of(read) == [{"text": "NaN"}, {"text": "-Infinity"}]
    assert spelled(b'["a"]') is None
    assert spelled(b'["NaN"') is None
    with pytest.raises(BadInput, match="deep"):
        spelled(b"[" * 100_000 + b"NaN")


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)


@settings(deadline=None)
@given(
    st.lists(TEXT, max_size=4), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4)
)
def test_rows_and_columns_mean_the_same(texts: Sequence[str], numbers: Sequence[int]) -> None:
    pairs = list(zip(texts, numbers, strict=False))
    named = [{"text": t, "number": n} for t, n in pairs]
    assert rows(two, named) == named
    assert columns(two, {"text": [t for t, _ in pairs], "number": [n for _, n in pairs]}) == named
    assert rows(one, list(texts)) == columns(one, list(texts)) == [{"text": t} for t in texts]
