"""Vertex AI over gRPC: values both ways, what a double can't hold, endpoints, parameters, explanations."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.errors import BadInput, BadOutput, NotOffered
from headway.model.call import Call, Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Reply, vertex_grpc
from headway.protocols._protobuf import read, sized, write

PLACE = "projects/p/locations/l/endpoints/"
plain, written = vertex_grpc._plain, vertex_grpc._written
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3)
    ),
    max_leaves=9,
)


def message(name: str) -> Any:
    return vertex_grpc.SCHEMA.message(f"google.cloud.aiplatform.v1.{name}")


def request_of(rows: list[Any], parameters: Any = None, kind: str = "Predict") -> bytes:
    given = {} if parameters is None else {"parameters": written(parameters)}
    told = {"endpoint": PLACE + "it", "instances": [written(row) for row in rows], **given}
    return write(message(f"{kind}Request"), told)


def answered(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if not call.rows:
        return wire.empty()
    if wire.signature.is_batched:
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    return Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])


def reply_of(function: Callable[..., Any], body: bytes, op: str = "predict") -> Reply:
    wire = Wire(read_signature(function), name="it")
    ask = Ask(op, "it", "", body, {})
    call = vertex_grpc.decode(ask, wire)
    return vertex_grpc.encode(ask, call, answered(function, wire, call), wire)


def asked(function: Callable[..., Any], rows: list[Any], parameters: Any = None) -> list[Any]:
    found = read(message("PredictResponse"), reply_of(function, request_of(rows, parameters)).body)
    return [plain(piece) for piece in found.get("predictions", ())]


@dataclass
class Thing:
    name: str
    count: int
    weight: float | None = None
    raw: bytes = b""


def things(thing: Batch[Thing], *, is_kept: bool = True) -> Batch[Thing | None]:
    return [each if is_kept else None for each in thing]


def exact(number: Batch[int]) -> Batch[int]:
    return number


def doubled(number: Batch[int]) -> Batch[int]:
    return [2 * n for n in number]


def vectors(
    x: Annotated[NDArray[np.float32], Tensor("float32", "batch", None)],
) -> Annotated[NDArray[np.float32], Tensor("float32", "batch", None)]:
    divided: NDArray[np.float32] = x / (x != 7)
    return divided


def words(text: str) -> Iterator[str]:
    yield from text.split()


@settings(deadline=None)
@given(value=JSON)
def test_json_comes_back_as_it_went(value: Any) -> None:
    found = plain(written(value))
    assert repr(found) == repr(as_doubles(value))


def as_doubles(value: Any) -> Any:
    """A value as doubles tell it: 3.0 is 3."""
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 2**53
        return int(value) if is_whole and math.copysign(1, value) * (value or 1) > 0 else value
    if isinstance(value, list):
        return [as_doubles(each) for each in value]
    return {k: as_doubles(v) for k, v in value.items()} if isinstance(value, dict) else value


THING = st.fixed_dictionaries(
    {
        "name": st.text(st.characters(codec="utf-8"), max_size=5),
        "count": st.integers(-(2**53) + 1, 2**53 - 1),
        "weight": st.none() | st.floats(-5, 5),
        "raw": st.sampled_from(["", "/w==", "AAE="]),
    }
)


@settings(deadline=None)
@given(rows=st.lists(THING, max_size=3), is_kept=st.booleans())
def test_what_is_asked_is_what_the_model_gets(rows: list[Any], is_kept: bool) -> None:
    wanted = rows if is_kept else [None] * len(rows)
    assert asked(things, rows, {"is_kept": is_kept}) == wanted
    assert asked(things, rows) == rows


def test_an_answer_names_the_model_and_its_version() -> None:
    found = read(message("PredictResponse"), reply_of(exact, request_of([1])).body)
    assert (found["deployed_model_id"], found["model_display_name"]) == ("it", "it")
    assert found["model_version_id"] == "1"


def test_an_explanation_is_the_attribution_of_its_row() -> None:
    body = request_of([3], kind="Explain")
    found = read(message("ExplainResponse"), reply_of(doubled, body, "explain").body)
    ((attribution,),) = (each["attributions"] for each in found["explanations"])
    assert plain(attribution["feature_attributions"]) == 6


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63 - 1])
def test_an_integer_that_no_double_holds_is_told(number: int) -> None:
    with pytest.raises(BadOutput, match="integers that a double holds"):
        written(number)
    with pytest.raises(BadInput):
        asked(exact, [float(2**53)])
    assert asked(exact, [2**53 - 1]) == [2**53 - 1]
    assert asked(doubled, [2**53 - 1]) == [2**54 - 2]


def test_what_is_not_finite_is_refused_and_answered_as_null() -> None:
    for number in (math.nan, math.inf, -math.inf):
        with pytest.raises(BadInput, match="a finite number"):
            asked(vectors, [[number]])
    with np.errstate(all="ignore"):
        assert asked(vectors, [[7.0, 1.0]]) == [[None, 1.0]]


def test_rows_of_no_elements_and_no_rows_are_answered() -> None:
    assert asked(vectors, [[], []]) == [[], []]
    assert asked(vectors, []) == []


def test_a_model_that_streams_is_refused() -> None:
    with pytest.raises(NotOffered):
        reply_of(words, request_of(["a b"]))


@pytest.mark.parametrize(
    "endpoint", ["", "it", "projects/p/locations/l/endpoints/", "projects/p/endpoints/it", PLACE + "a/b"]
)  # fmt: skip
def test_an_endpoint_has_its_whole_name(endpoint: str) -> None:
    ask = Ask("predict", "", "", sized(1, endpoint.encode()), {})
    with pytest.raises(BadInput, match="endpoints/MODEL"):
        vertex_grpc.target(ask)
    ask.body = request_of([])
    assert vertex_grpc.target(ask) == ("it", "")


def deep(depth: int) -> bytes:
    value = b"\x08\x00"
    for _ in range(depth):
        value = sized(6, sized(1, value))
    return value


@pytest.mark.parametrize("value", [b"", deep(102), sized(5, b"") + sized(6, b""), b"\xfa"])
def test_what_is_no_value_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput, match="protocol buffers"):
        plain(value)
    with pytest.raises(BadInput):
        reply_of(exact, write(message("PredictRequest"), {"instances": [value]}))
    assert plain(deep(100)) is not None


def test_a_list_may_have_many_elements() -> None:
    assert asked(vectors, [[0.5] * 20_000]) == [[0.5] * 20_000]
