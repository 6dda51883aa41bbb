"""Signatures are read from annotations, and what can't be served is refused with advice."""

import enum
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

import headway as hw
from headway.errors import SignatureError
from headway.model.call import TensorSpec
from headway.model.output import ArrayOutput, ColumnsOutput, ListOutput
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire

Pixels = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 4)]
OneRow = Annotated[NDArray[np.float32], hw.Tensor("float32", 4)]


class Mood(enum.Enum):
    """An enum."""

    GOOD = "good"
    BAD = "bad"


@dataclass
class Flat:
    """A flat struct."""

    a: int
    b: str = "x"


class Scores(TypedDict):
    """Arrays by name."""

    label: Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")]
    scores: Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 3)]


class Mixed(TypedDict):
    """One array with a batch axis, one without."""

    label: Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")]
    scale: float


def test_a_plain_type_is_one_item() -> None:
    def predict(text: str, limit: int = 3) -> float:
        return 0.0

    signature = read_signature(predict)
    assert not signature.is_batched
    assert [(p.name, p.is_batched, p.is_optional) for p in signature.parameters] == [
        ("text", False, False),
        ("limit", False, True),
    ]
    assert isinstance(signature.output, ListOutput)


def test_a_batch_beside_a_plain_type_shares_the_plain_one() -> None:
    def predict(text: hw.Batch[str], limit: float = 0.5) -> hw.Batch[dict[str, float] | hw.Reject]:
        return []

    signature = read_signature(predict)
    assert signature.is_batched
    assert [p.is_batched for p in signature.parameters] == [True, False]
    assert signature.output.schema() == {
        "type": "object",
        "additionalProperties": {"type": "number"},
    }


def test_a_batch_axis_makes_a_batch() -> None:
    def predict(pixels: Pixels) -> Scores:
        raise NotImplementedError

    signature = read_signature(predict)
    assert signature.is_batched
    assert isinstance(signature.output, ColumnsOutput)
    assert [s.name for s in signature.output.specs] == ["label", "scores"]


def test_a_class_is_read_by_its_predict_method() -> None:
    class Shout(hw.Predictor):
        """Say it louder."""

        idempotent = False
        headers = ("X-User",)

        def predict(self, text: str, context: hw.Context) -> str:
            return text.upper()

    for what in (Shout, Shout()):
        signature = read_signature(what)
        assert signature.name == "Shout"
        assert signature.doc == "Say it louder."
        assert signature.context == "context"
        assert signature.headers == ("x-user",)
        assert [p.name for p in signature.parameters] == ["text"]
        assert not signature.idempotent


def test_streams_and_coroutines_are_seen() -> None:
    def stream(text: str) -> Iterator[str]:
        yield text

    async def answer(text: str) -> str:
        return text

    async def both(text: str) -> AsyncIterator[str]:
        yield text

    assert [(s.is_stream, s.is_async) for s in map(read_signature, (stream, answer, both))] == [
        (True, False),
        (False, True),
        (True, True),
    ]


def test_tensors_of_a_model_file_keep_their_names() -> None:
    one = of_tensors(
        "m", [TensorSpec("input:0", "float32", (-1, 3))], [TensorSpec("y", "int64", ())]
    )
    assert isinstance(one.output, ArrayOutput)
    wire = Wire(one)
    assert [s.name for s in wire.description.outputs] == ["y"]
    assert list(wire.description.input_schema["properties"]) == ["input:0"]
    assert wire.read_json(b'{"input:0":[[1,2,3]]}').columns == {"input:0": [[[1.0, 2.0, 3.0]]]}


def test_a_default_that_json_cannot_hold_is_not_told() -> None:
    def predict(
        top: float = float("inf"), weights: tuple[float, float] = (0.5, float("nan"))
    ) -> float:
        return top

    schema = Wire(read_signature(predict)).description.input_schema
    assert schema["required"] == []
    assert not any("default" in part for part in schema["properties"].values())


def test_the_schema_of_inputs_names_limits_defaults_and_what_is_required() -> None:
    def predict(
        flat: Flat,
        mood: Mood,
        ratio: Annotated[float, hw.Meta(ge=0, le=1, description="how much")] = 0.5,
        side: Literal["l", "r"] | None = None,
    ) -> Flat:
        return flat

    schema = Wire(read_signature(predict)).description.input_schema
    assert schema["required"] == ["flat", "mood"]
    assert schema["additionalProperties"] is False
    ratio = schema["properties"]["ratio"]
    assert ratio == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "how much",
        "default": 0.5,
    }
    assert set(schema["$defs"]) == {"Flat", "Mood"}
    msgspec.json.encode(schema)


def _unannotated(text, more: int) -> str:  # type: ignore[no-untyped-def]
    return ""


def _starred(*texts: str) -> str:
    return ""


def _keywords(**texts: str) -> str:
    return ""


def _positional(text: str, /) -> str:
    return ""


def _no_answer(text: str):  # type: ignore[no-untyped-def]
    return ""


def _none_answer(text: str) -> None:
    return None


def _nothing() -> str:
    return ""


def _odd_type(text: complex) -> str:
    return ""


def _bare_array(x: NDArray[np.float32]) -> float:
    return 0.0


def _late_batch(x: Annotated[NDArray[np.float32], hw.Tensor("float32", 3, "batch")]) -> float:
    return 0.0


def _odd_dtype(x: Annotated[NDArray[np.float32], hw.Tensor("float31", "batch")]) -> float:
    return 0.0


def _one_for_all(text: hw.Batch[str]) -> float:
    return 0.0


def _all_for_one(text: str) -> hw.Batch[float]:
    return []


def _stream_of_batch(text: hw.Batch[str]) -> Iterator[str]:
    yield ""


def _mixed_answer(x: Pixels) -> Mixed:
    raise NotImplementedError


def _nested_batch(x: hw.Batch[Pixels]) -> hw.Batch[float]:
    return []


def _odd_default(text: str = object()) -> str:  # type: ignore[assignment]
    return ""


def _wrong_default(count: int = "three") -> str:  # type: ignore[assignment]
    return ""


def _unknown_name(text: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821
    return ""


@dataclass
class _Album:
    cover: PIL.Image.Image


def _two_structs(x: Flat | Scores) -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (_unannotated, ("'text'", "no annotation", "text: str")),
        (_starred, ("*texts", "name each input")),
        (_keywords, ("**texts", "name each input")),
        (_positional, ("'text'", "positional-only", "/")),
        (_no_answer, ("the answer", "->")),
        (_none_answer, ("the answer", "None")),
        (_nothing, ("no inputs",)),
        (_odd_type, ("'text'", "complex", "dataclass")),
        (_bare_array, ("'x'", "without its mark", "hw.Tensor")),
        (_late_batch, ("'x'", "not the first", "first")),
        (_odd_dtype, ("'x'", "float31", "float32")),
        (_one_for_all, ("the answer", "whole batch", "hw.Batch")),
        (_all_for_one, ("the answer", "hw.Batch")),
        (_stream_of_batch, ("stream", "batch")),
        (_mixed_answer, ("scale", "without", "label")),
        (_nested_batch, ("'x'", "batch of batches")),
        (_odd_default, ("'text'", "default", "JSON")),
        (_wrong_default, ("'count'", "three")),
        (_unknown_name, ("Nowhere", "TYPE_CHECKING")),
        (_two_structs, ("'x'", "inside of another type", "parameter of its own")),
        (hw.Predictor, ("predict",)),
        (int, ("predict",)),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(
    function: Callable[..., Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(SignatureError) as caught:
        read_signature(function)
    for word in words:
        assert word in caught.value.message


def test_a_decorated_function_carries_its_traits() -> None:
    @hw.predictor(examples=({"text": "a"},), thread_safe=True)
    def shout(text: str) -> str:
        return text.upper()

    @hw.predictor
    def whisper(text: str) -> str:
        return text.lower()

    assert shout(text="a") == "A"
    assert read_signature(shout).thread_safe
    assert whisper(text="A") == "a"
    assert not read_signature(whisper).thread_safe


def test_a_parameter_that_is_a_stream_says_so_and_asks_for_a_stream_as_the_answer() -> None:
    def sums(numbers: Iterator[int], start: int = 0) -> Iterator[int]:
        yield from numbers

    def once(numbers: Iterator[int]) -> int:
        return sum(numbers)

    fed = read_signature(sums).fed
    assert fed is not None
    assert fed.field.schema() == {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(SignatureError, match="a stream without one as the answer"):
        read_signature(once)
