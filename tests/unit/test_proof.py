"""Which functions of a batch pass for functions of a row."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from headway.model.call import TensorSpec
from headway.model.proof import prove_rows, without_rows

FLOATS = (TensorSpec("x", "float32", (3,)),)
WORDS = (TensorSpec("x", "bytes", ()),)
ANY = (TensorSpec("y", "float32", ()),)


@dataclass
class Fake:
    """A model made of a function of arrays."""

    function: Callable[..., Any]
    inputs: Sequence[TensorSpec] = FLOATS
    outputs: Sequence[TensorSpec] = ANY

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        return self.function(*arrays, **named)


def test_a_function_of_each_row_is_proven() -> None:
    assert prove_rows(Fake(lambda x: x.sum(axis=1) * 3)) is None
    assert prove_rows(Fake(lambda x: {"a": x, "b": x.argmax(axis=1)})) is None


def test_a_function_that_knows_its_row_within_rounding_is_proven() -> None:
    def rounded(x: Any) -> Any:
        return (x * np.float32(1 + 1e-6 * len(x))).astype(np.float32)

    assert prove_rows(Fake(rounded)) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.cumsum(x, axis=0),
        lambda x: np.maximum.accumulate(x, axis=0),
        lambda x: x - x.mean(axis=0),
        lambda x: x / np.abs(x).max(),
        lambda x: x[::-1],
        lambda x: np.sort(x, axis=0),
        lambda x: np.roll(x, 1, axis=0),
        lambda x: {"fine": x, "not": x[::-1].argmax(axis=1)},
    ],
)
def test_a_function_of_neighbours_is_not_proven(function: Callable[..., Any]) -> None:
    reason = prove_rows(Fake(function))

    assert reason
    assert "of a row changes with the rows beside it" in reason


def test_a_function_of_the_number_of_rows_is_not_proven() -> None:
    reason = prove_rows(Fake(lambda x: x * len(x)))

    assert reason == "its answers change with the number of rows"


def test_rounding_that_one_input_blows_up_is_not_taken_for_mixing() -> None:
    def shaky(x: Any) -> Any:
        is_natural = x.max(axis=1) > 50
        return x.sum(axis=1) + np.where(is_natural, 0, 0.01 * len(x)).astype(np.float32)

    assert prove_rows(Fake(shaky, (TensorSpec("x", "int32", (64,)),))) is None


def test_mixing_that_one_input_hides_is_found_by_another() -> None:
    def sly(x: Any) -> Any:
        return x.sum(axis=1) + np.where(x.max() < 50, x[::-1, 0], 0)

    assert prove_rows(Fake(sly, (TensorSpec("x", "int32", (64,)),))) is not None


@pytest.mark.parametrize(
    "function", [np.cumsum, np.maximum.accumulate, np.minimum.accumulate, np.flip, np.sort]
)
def test_single_integers_that_depend_on_neighbours_are_not_proven(
    function: Callable[..., Any],
) -> None:
    inputs = (TensorSpec("x", "int64", ()),)

    def along(x: Any) -> Any:
        return function(x)

    assert prove_rows(Fake(lambda x: x * 2, inputs)) is None
    assert "changes with the rows beside it" in str(prove_rows(Fake(along, inputs)))


@pytest.mark.parametrize(
    ("function", "shape"),
    [(lambda x: x.sum(), []), (lambda x: x.sum(axis=0), [3]), (lambda x: x.ravel(), [3])],
)
def test_an_output_without_rows_is_not_proven(
    function: Callable[..., Any], shape: list[int]
) -> None:
    assert prove_rows(Fake(function)) == f"output 'y' has shape {shape} for 1 rows"


def test_a_model_that_takes_one_row_only_is_not_proven() -> None:
    def lonely(x: Any) -> Any:
        if len(x) > 1:
            raise RuntimeError("one at a time")
        return x

    assert prove_rows(Fake(lonely)) == "it fails on 2 rows at once: one at a time"


def test_answers_that_never_change_prove_nothing() -> None:
    reason = prove_rows(Fake(lambda x: np.zeros(len(x), dtype=np.float32)))

    assert reason == "its answers to random rows are all the same, so they show nothing"


def test_a_threshold_that_only_large_values_reach_is_proven_with_them() -> None:
    assert prove_rows(Fake(lambda x: (x[:, 0] > 20).astype(np.int64) + (x[:, 1] > 0))) is None


def test_not_a_number_is_no_evidence() -> None:
    assert prove_rows(Fake(lambda x: np.full(len(x), np.nan, dtype=np.float32))) is not None


def test_a_fixed_first_dimension_is_not_proven() -> None:
    inputs = (*FLOATS, TensorSpec("state", "float32", (2, -1), has_rows=False))

    assert prove_rows(Fake(lambda x, state: x, inputs)) == "the first dimension of 'state' is fixed"


def test_an_unknown_signature_is_not_proven() -> None:
    assert prove_rows(Fake(lambda x: x, ())) == "the file does not tell its inputs and outputs"


def test_free_dimensions_are_tried_until_one_length_fits() -> None:
    inputs = (TensorSpec("ids", "int64", (-1,)), TensorSpec("image", "float32", (-1, -1)))

    def picky(ids: Any, image: Any) -> Any:
        if ids.shape[1] < 30:
            raise ValueError("too short")
        return ids.sum(axis=1) + image.sum(axis=(1, 2))

    assert prove_rows(Fake(picky, inputs)) is None


def test_integers_stay_within_small_tables() -> None:
    table = np.array([0.25, 4.0], dtype=np.float32)

    assert prove_rows(Fake(lambda x: table[x], (TensorSpec("x", "int32", (5,)),))) is None


def test_a_size_that_no_machine_holds_is_not_tried() -> None:
    huge = Fake(lambda x: x, (TensorSpec("x", "float32", (2**40, 2**40)),))

    assert prove_rows(huge) == "input 'x' is too large to try"


def test_what_could_not_be_asked_is_said() -> None:
    def broken(x: Any) -> Any:
        raise ValueError("no such layer")

    assert prove_rows(Fake(broken)) == "it could not be asked with random rows: no such layer"


def test_texts_and_truths_are_asked_too() -> None:
    lengths = Fake(lambda x: np.array([zlib.crc32(v.encode()) for v in x]), WORDS)
    truths = Fake(lambda x: ~x, (TensorSpec("x", "bool", (4,)),))
    joined = Fake(lambda x: np.array(["".join(x)] * len(x), dtype=object), WORDS)

    assert prove_rows(lengths) is None
    assert prove_rows(truths) is None
    assert prove_rows(joined) is not None


def test_a_model_is_asked_with_the_words_that_it_knows() -> None:
    @dataclass
    class German(Fake):
        words: Sequence[str] = ("gut", "schlecht", "lang", "kurz")

    def count(x: Any) -> Any:
        return np.array([v.count("gut") + 10 * v.count("kurz") for v in x])

    assert prove_rows(Fake(count, WORDS)) is not None
    assert prove_rows(German(count, WORDS)) is None


def test_an_unproven_axis_joins_the_shape() -> None:
    spec = without_rows(TensorSpec("x", "float32", (3,)))

    assert (spec.shape, spec.has_rows) == ((-1, 3), False)
    assert without_rows(spec) == spec


@pytest.mark.parametrize("seed", range(20))
def test_a_classifier_that_is_sure_of_nearly_every_row_is_proven(seed: int) -> None:
    weights = np.random.default_rng(seed).standard_normal(30).astype(np.float32) * 500

    def classify(x: Any) -> Any:
        return {"label": (x @ weights > 0).astype(np.int64)}

    features = (TensorSpec("x", "float32", (30,)),)
    assert prove_rows(Fake(classify, features)) is None


def test_a_classifier_that_says_the_same_of_every_row_is_not_proven() -> None:
    reason = prove_rows(Fake(lambda x: np.ones(len(x), np.float32)))

    assert reason
    assert "all the same" in reason
