"""Answers agree exactly, but for floats within the tolerance of their dtype."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.model import parity
from headway.model.call import Description
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire

X = Batch[int]


def moods(x: X) -> Batch[dict[str, float]]: ...  # type: ignore[empty-body]
def singles(x: X) -> Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]: ...  # type: ignore[empty-body]
def halves(x: X) -> Annotated[NDArray[np.float16], Tensor("float16", "batch", 2)]: ...  # type: ignore[empty-body]
def doubles(x: X) -> Annotated[NDArray[np.float64], Tensor("float64", "batch", 2)]: ...  # type: ignore[empty-body]


@dataclass
class Columns:
    low: Annotated[NDArray[np.float16], Tensor("float16", "batch", 2)]
    high: Annotated[NDArray[np.float64], Tensor("float64", "batch", 2)]


def columns(x: X) -> Columns: ...  # type: ignore[empty-body]
def anything(x: int) -> Any: ...


def described(function: Callable[..., Any]) -> Description:
    return Wire(read_signature(function)).description


def differences(
    expected: Any, found: Any, function: Callable[..., Any] = anything, **given: float
) -> list[str]:
    found = parity.compare(expected, found, described(function), parity.tolerances(given))
    return [str(d) for d in found]


@pytest.mark.parametrize(
    ("function", "agrees", "differs"),
    [
        (moods, 9e-6, 1.1e-5),
        (singles, 9e-6, 1.1e-5),
        (halves, 9e-3, 1.1e-2),
        (doubles, 9e-10, 1.1e-9),
    ],
)
def test_each_dtype_has_its_tolerance(
    function: Callable[..., Any], agrees: float, differs: float
) -> None:
    make: Callable[[float], Any] = (
        (lambda v: {"a": v}) if function is moods else (lambda v: [v, 0.0])
    )
    assert not differences(make(0.5), make(0.5 + agrees), function)
    assert differences(make(0.5), make(0.5 + differs), function)


def test_each_column_of_an_answer_has_its_own_dtype() -> None:
    answer = {"low": [0.5, 0.5], "high": [0.5, 0.5]}
    assert not differences(answer, {**answer, "low": [0.505, 0.5]}, columns)
    assert differences(answer, {**answer, "high": [0.505, 0.5]}, columns) == [
        "high[0]: expected 0.5, found 0.505 (5.0e-03 > 1e-09)"
    ]


def test_above_one_the_tolerance_is_relative() -> None:
    assert not differences(1e6, 1e6 + 5)
    assert differences(1e6, 1e6 + 50)


def test_a_difference_tells_its_place_and_size() -> None:
    expected = {"probabilities": {"positive": 0.7312}}
    found = {"probabilities": {"positive": 0.7298}}
    assert differences(expected, found) == [
        "probabilities.positive: expected 0.7312, found 0.7298 (1.4e-03 > 1e-05)"
    ]


def test_the_worst_difference_comes_first() -> None:
    (first, _) = differences([0.1, 0.1, 0.1], [0.2, 0.1, 0.9])
    assert first.startswith("[2]: expected 0.1, found 0.9")


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1, 2),
        (True, 1),
        (1, True),
        ("a", "b"),
        (None, 0),
        (0.5, None),
        ("1", 1),
        ([], {}),
        (2**60, 2**60 + 1),
    ],
)
def test_what_is_no_float_is_the_same_or_not(expected: Any, found: Any) -> None:
    assert differences(expected, found)
    assert not differences(expected, expected)


def test_a_whole_number_may_be_a_float() -> None:
    assert not differences(1, 1.0)


def test_members_and_elements_that_are_missing_are_told() -> None:
    assert differences({"a": 1}, {"b": 1}) == [
        "a: expected 1, found nothing",
        "b: expected nothing, found 1",
    ]
    assert differences([1, 2], [1]) == ["expected 2 elements, found 1"]


def test_a_stream_is_compared_item_by_item() -> None:
    def words(x: int) -> Iterator[str]: ...  # type: ignore[empty-body]

    found = parity.compare(["a", "b"], ["a", "c", "d"], described(words), parity.tolerances({}))
    assert [str(d) for d in found] == [
        "item [1]: expected 'b', found 'c'",
        "item [2]: expected nothing, found 'd'",
    ]


def test_long_texts_are_shown_where_they_part() -> None:
    (said,) = differences("a" * 5000, "a" * 4000 + "b" * 1000)
    assert "5000 characters, at 4000" in said
    assert len(said) < 200


def test_a_tolerance_may_be_set_for_a_model_and_over_that_by_type() -> None:
    assert parity.tolerances({}, 0.5) == dict.fromkeys(parity.DEFAULTS, 0.5)
    assert parity.tolerances({"float32": 0.1}, 0.5)["float32"] == 0.1
    assert not differences([0.5], [0.6], singles, float32=0.2)


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSONS)
def test_an_answer_agrees_with_itself(answer: Any) -> None:
    assert not differences(answer, answer)


@given(JSONS, JSONS)
def test_who_is_held_against_whom_makes_no_difference(one: Any, other: Any) -> None:
    assert bool(differences(one, other)) == bool(differences(other, one))


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.just(0.0) | st.floats(1e-9, 0.1),  # one near a float64's own step is rounded away
)
def test_numbers_agree_within_the_tolerance_and_not_beyond(value: float, tolerance: float) -> None:
    scale = max(1.0, abs(value))
    near, far = value + tolerance * scale * 0.9, value + (tolerance * 1.3 + 1e-9) * scale
    assert not differences(value, near, float=tolerance) or math.isinf(near)
    assert differences(value, far, float=tolerance)
