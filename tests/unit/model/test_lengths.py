"""Rows of several lengths share a call where that is declared, and each gets the answer that it would get alone."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headway as hw
from headway import plugins
from headway.engine.cap import Cap
from headway.engine.grab import Run
from headway.engine.rows import by_length
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.errors import SignatureError
from headway.kinds.array import read_field
from headway.model.opening import Opened, open_predictor
from headway.protocols import Ask

TOKENS = hw.Length("tokens", (4, 8, 16))
Ids = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", hw.Length("tokens", (4, 8, 16), 9))]
Mask = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", TOKENS)]
Sums = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", "tokens")]
Totals = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")]
EXAMPLES = ({"ids": [1, 2, 3], "mask": [1, 1, 1]},)


class Masked(hw.Predictor):
    """Running sums of what the mask lets through; it notes the shapes of its calls."""

    examples: Sequence[Mapping[str, Any]] = EXAMPLES

    def load(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def predict(self, ids: Ids, mask: Mask) -> Sums:
        self.calls.append(ids.shape)
        sums: Sums = np.cumsum(ids * mask, axis=1)
        return sums


class Blind(hw.Predictor):
    """It does not know what is padding."""

    examples = EXAMPLES

    def predict(self, ids: Ids, mask: Mask) -> Totals:
        totals: Totals = ids.sum(axis=1)
        return totals


def asked(opened: Opened, bodies: list[Any], most: int = 64) -> list[Any]:
    """Ask all in one grab; the answers in the order of the bodies."""
    codec: Any = plugins.load("protocols", "native")
    said: list[Said] = []

    def say(ready: list[Said], timing: Timing, is_last: bool) -> None:
        said.extend(ready)

    tickets = [
        Ticket(i, codec, Ask("predict", "m", "", msgspec.json.encode(body), {}), 1e12)
        for i, body in enumerate(bodies)
    ]
    Run(opened, Bounds(Cap(most), 2**20, 60.0), say).run(tickets)
    return [msgspec.json.decode(s.body) for s in sorted(said, key=lambda s: s.id)]


def row(ids: list[int]) -> dict[str, list[int]]:
    return {"ids": ids, "mask": [1] * len(ids)}


def calls(opened: Opened) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = opened.predict.__self__.calls  # type: ignore[attr-defined]
    return found


def test_rows_of_one_bucket_meet_and_are_padded_to_the_longest_of_them() -> None:
    opened = open_predictor(Masked)
    calls(opened).clear()
    bodies = [row([1]), row([1, 2, 3]), row([5, 5]), row([1] * 6), row([2] * 20), row([3] * 20)]
    answers = asked(opened, bodies)
    assert answers[:3] == [[1], [1, 3, 6], [5, 10]]
    assert [len(a) for a in answers] == [1, 3, 2, 6, 20, 20]
    assert sorted(calls(opened)) == [(1, 6), (2, 20), (3, 3)]


def test_a_group_that_takes_several_calls_is_cut_by_length() -> None:
    opened = open_predictor(Masked)
    calls(opened).clear()
    lengths = [8, 5, 7, 6, 8, 5, 7, 6]
    answers = asked(opened, [row([1] * n) for n in lengths], most=2)
    assert [len(a) for a in answers] == lengths
    assert calls(opened) == [(2, 5), (2, 6), (2, 7), (2, 8)]


ROWS = st.lists(st.lists(st.integers(-50, 50), min_size=0, max_size=20), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(1, 5))
def test_whoever_asks_beside_whom_gets_the_answer_that_it_gets_alone(
    requests: list[list[list[int]]], most: int
) -> None:
    opened = open_predictor(Masked)
    answers = asked(opened, [[row(ids) for ids in request] for request in requests], most)
    assert answers == [
        [np.cumsum(ids).astype(int).tolist() for ids in request] for request in requests
    ]


def test_a_row_whose_inputs_differ_in_length_is_refused_alone() -> None:
    opened = open_predictor(Masked)
    bad = {"ids": [1, 2, 3], "mask": [1, 1]}
    answers = asked(opened, [row([1, 2]), bad, row([4])])
    assert (answers[0], answers[2]) == ([1, 3], [4])
    assert "inputs of one length" in answers[1]["error"]
    assert "ids 3, mask 2" in answers[1]["error"]


def test_a_model_that_does_not_know_its_padding_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(SignatureError, match="changes when its question is padded"):
        open_predictor(Blind)


def test_without_an_example_that_can_be_padded_nothing_is_proven() -> None:
    class Mute(Masked):
        examples = ()

    class Full(Masked):
        examples = (row([1, 2, 3, 4]), row([1] * 30))

    for what in (Mute, Full):
        with pytest.raises(SignatureError, match="no example that is shorter than its bucket"):
            open_predictor(what)


def test_an_input_that_shares_the_axis_must_be_padded_too() -> None:
    class Half(hw.Predictor):
        examples = EXAMPLES

        def predict(self, ids: Ids, mask: Sums) -> Totals:
            totals: Totals = ids.sum(axis=1)
            return totals

    with pytest.raises(SignatureError, match=r"name it by the same hw\.Length"):
        open_predictor(Half)


@pytest.mark.parametrize("buckets", [(), (8, 4), (4, 4), (0,), (-4, 4)])
def test_buckets_are_ascending_lengths(buckets: tuple[int, ...]) -> None:
    with pytest.raises(SignatureError, match="ascending"):
        read_field(Any, (hw.Tensor("int64", "batch", hw.Length("tokens", buckets)),))


def test_tensors_of_three_axes_are_padded_on_theirs() -> None:
    field = read_field(Any, (hw.Tensor("float32", "batch", TOKENS, 2),))
    columns = [[[[1.0, 2.0]]], [[[3.0, 4.0], [5.0, 6.0]]]]
    made = field.gather(columns)
    assert made.tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert made.dtype == np.float32


def test_rows_by_length_keep_their_owner() -> None:
    lengths = {"a": [3, 1], "b": [2]}
    group = [("a", range(2)), ("b", range(1))]
    assert by_length(group, lambda owner, row: lengths[owner][row]) == [
        ("a", [1]),
        ("b", [0]),
        ("a", [0]),
    ]
