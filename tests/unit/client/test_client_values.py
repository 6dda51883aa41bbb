"""What a caller passes, and what comes back, that no JSON and no array can be: a clear error, at any depth."""

from typing import Any

import pytest

from headway.client.answers import read_item
from headway.client.arguments import encode, read_inputs
from headway.client.described import Plan, TensorForm
from headway.client.message import Answer
from headway.client.tensors import read_arrays, write_request
from headway.errors import BadAnswer, BadInput

FORM = TensorForm("x", "float32", (-1,), is_json=False, is_optional=False)
PLAN = Plan({"x": FORM}, {"x": FORM}, is_object=False)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_of_a_wrong_type_is_named_in_short_however_deep_and_large() -> None:
    inputs = read_inputs("m", {"properties": {"text": {"type": "string"}}, "required": ["text"]})

    for value in (nested(5_000), ["x" * 10_000_000], list(range(1_000_000))):
        with pytest.raises(BadInput, match=r"`text`: expected text, found list \(") as refused:
            inputs.check({"text": value})
        assert len(str(refused.value)) < 200


def test_what_is_too_deep_for_json_is_refused() -> None:
    with pytest.raises(BadInput, match="can't be written as JSON: maximum recursion depth"):
        encode(nested(5_000))


@pytest.mark.parametrize("value", [[[1.0], [1.0, 2.0]], nested(100)], ids=["ragged", "deep"])
def test_lists_that_are_no_array_are_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"`x`: expected float32, found no array \("):
        write_request(PLAN, {"x": value}, is_single=True)


def test_an_answer_that_is_too_deep_is_none_of_headways() -> None:
    deep = b"[" * 100_000
    answer = Answer(200, {"inference-header-content-length": str(len(deep))}, deep)

    with pytest.raises(BadAnswer, match="a line of a stream that is no JSON"):
        read_item(deep, answer, "http://here")
    with pytest.raises(BadAnswer, match="tensors that can't be read"):
        read_arrays(PLAN, answer, "http://here")
