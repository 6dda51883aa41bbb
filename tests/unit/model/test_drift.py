"""What has changed in a schema, in words, and whether clients break by it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.model import drift
from headway.model.marks import Batch, Meta, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    return drift.schema_of(Wire(read_signature(function)).description)


def told(before: Callable[..., Any], after: Callable[..., Any]) -> list[str]:
    """Changes as text; those that break begin with an exclamation mark."""
    found = drift.changes(schema(before), schema(after))
    return [f"!{c.text}" if c.is_breaking else c.text for c in found]


@dataclass
class Page:
    title: str
    score: float = 0.0


@dataclass
class LongerPage:
    title: str
    pages: int
    score: float = 0.0


def plain(text: str) -> str: ...  # type: ignore[empty-body]
def loud(text: str, times: int) -> str: ...  # type: ignore[empty-body]
def maybe_loud(text: str, times: int = 1) -> str: ...  # type: ignore[empty-body]
def louder(text: str, times: int = 2) -> str: ...  # type: ignore[empty-body]
def real(text: str, times: float) -> str: ...  # type: ignore[empty-body]
def none_too(text: str | None) -> str: ...  # type: ignore[empty-body]
def maybe(text: str) -> str | None: ...
def streamed(text: str) -> Iterator[str]: ...  # type: ignore[empty-body]
def some(text: Literal["a", "b"]) -> Literal["x", "y"]: ...  # type: ignore[empty-body]
def more(text: Literal["a", "b", "c"]) -> Literal["x", "y", "z"]: ...  # type: ignore[empty-body]
def paged(text: str) -> Page: ...  # type: ignore[empty-body]
def long_paged(text: str) -> LongerPage: ...  # type: ignore[empty-body]
def nested(text: list[Page]) -> str: ...  # type: ignore[empty-body]
def long_nested(text: list[LongerPage]) -> str: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (plain, loud, "!input.times: is new and required: clients that do not send it are refused"),
        (plain, maybe_loud, "input.times: is new, and may be left out"),
        (loud, plain, "!input.times: is gone: clients that send it are refused"),
        (loud, maybe_loud, "input.times: may now be left out"),
        (maybe_loud, loud, "!input.times: is now required: clients that leave it out are refused"),
        (
            maybe_loud,
            louder,
            "input.times: its default was 1, is 2: who leaves it out gets another answer",
        ),
        (loud, real, "input.times: now also number"),
        (real, loud, "!input.times: no longer number: clients that send it are refused"),
        (plain, none_too, "input.text: now also null"),
        (none_too, plain, "!input.text: no longer null: clients that send it are refused"),
        (plain, maybe, "!output: now also null: clients may not expect that"),
        (maybe, plain, "output: no longer null"),
        (plain, streamed, "!the answer is now a stream: every client breaks"),
        (streamed, plain, "!the answer is now one piece, no stream: every client breaks"),
        (some, more, "input.text: now also c"),
        (some, more, "!output: now also z: clients may not expect that"),
        (more, some, "!input.text: no longer c: clients that send it are refused"),
        (some, plain, "input.text: any value, not a choice of some"),
        (plain, some, "!input.text: only a or b: clients that send it are refused"),
        (paged, long_paged, "output.pages: is new"),
        (long_paged, paged, "!output.pages: is gone: clients that read it break"),
        (
            nested,
            long_nested,
            "!input.text[].pages: is new and required: clients that do not send it are refused",
        ),
    ],
)
def test_a_change_is_told_with_who_breaks(
    before: Callable[..., Any], after: Callable[..., Any], text: str
) -> None:
    assert text in told(before, after)


Narrow = Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]
Wide = Annotated[NDArray[np.float64], Tensor("float64", "batch", 2)]


def narrow(x: Narrow) -> Batch[int]: ...  # type: ignore[empty-body]
def wide(x: Wide) -> Batch[int]: ...  # type: ignore[empty-body]


def test_another_dtype_breaks_clients_of_tensors_though_json_is_the_same() -> None:
    assert told(narrow, wide) == [
        "!input tensor 'x' was float32[-1, 2], is float64[-1, 2]: clients of V2 break"
    ]


def test_a_docstring_is_no_drift() -> None:
    def said(text: Annotated[str, Meta(description="what to say")]) -> str: ...  # type: ignore[empty-body]

    assert told(plain, said) == []


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)


@dataclass
class OtherTree:
    name: int
    children: "list[OtherTree]" = field(default_factory=list)


def test_a_type_that_holds_itself_is_compared_to_an_end() -> None:
    def tree(x: Tree) -> str: ...  # type: ignore[empty-body]
    def other(x: OtherTree) -> str: ...  # type: ignore[empty-body]

    assert told(tree, tree) == []
    assert "!input.x.name: no longer string: clients that send it are refused" in told(tree, other)


BOUNDS = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(sorted)


@given(BOUNDS, BOUNDS)
def test_a_bound_breaks_exactly_where_a_value_was_taken_and_is_refused(old: Any, new: Any) -> None:
    def changes(side: str) -> list[drift.Change]:
        def of(bounds: Any) -> dict[str, Any]:
            return {side: {"type": "integer", "minimum": bounds[0], "maximum": bounds[1]}}

        return drift.changes(of(old), of(new))

    lost = any(not new[0] <= value <= new[1] for value in range(old[0], old[1] + 1))
    won = any(not old[0] <= value <= old[1] for value in range(new[0], new[1] + 1))
    assert any(c.is_breaking for c in changes("input")) == lost
    assert any(c.is_breaking for c in changes("output")) == won
    assert bool(changes("input")) == (old != new)


FUNCTIONS = (plain, loud, maybe_loud, real, none_too, maybe, streamed, some, more, paged, nested)


@given(st.sampled_from(FUNCTIONS), st.sampled_from(FUNCTIONS))
def test_there_is_a_change_exactly_where_schemas_differ(before: Any, after: Any) -> None:
    assert bool(told(before, after)) == (schema(before) != schema(after))
