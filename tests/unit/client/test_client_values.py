"""What a caller passes, and what comes back, that no JSON and no array can be: a clear error, at any depth."""

import json
from pathlib import Path
from typing import Any

import pytest

from headway.client.answers import read_item
from headway.client.arguments import encode, read_inputs
from headway.client.described import Plan, TensorForm
from headway.client.message import Answer
from headway.client.tensors import read_arrays, read_single, write_request
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


class Device:
    """An array that can't leave its device, as torch's."""

    shape = (1,)

    def __array__(self) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class Endless:
    def __iter__(self) -> Any:
        raise RuntimeError("no end")


@pytest.mark.parametrize(
    "value", [Device(), Endless(), {"a": Endless()}], ids=["device", "endless", "within"]
)
def test_what_fails_when_it_is_read_is_refused(value: Any) -> None:
    inputs = read_inputs("m", {"properties": {"x": {}}, "required": ["x"]})

    with pytest.raises(BadInput, match=r"can't be read as an array|can't be written as JSON"):
        encode(inputs.check({"x": value}))
    with pytest.raises(BadInput, match=r"`x`: expected float32, found "):
        write_request(PLAN, {"x": value}, is_single=True)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    for schema in ({"type": "string"}, {"enum": [1, 2]}):
        inputs = read_inputs("m", {"properties": {"x": schema}, "required": ["x"]})
        with pytest.raises(BadInput, match=r"`x`: expected .*, found "):
            inputs.check({"x": 10**5_000})


def test_a_file_that_is_no_text_or_no_path_is_refused(tmp_path: Path) -> None:
    inputs = read_inputs("m", {"properties": {"x": {"type": "string"}}, "required": ["x"]})
    tmp_path.joinpath("latin").write_bytes(b"\xe9")

    with pytest.raises(BadInput, match="holds no text in UTF-8"):
        inputs.check({"x": tmp_path / "latin"})
    with pytest.raises(BadInput, match=r"can't be read: embedded null byte"):
        inputs.check({"x": Path("\0")})


@pytest.mark.parametrize(
    "head",
    [
        {"outputs": [{"name": "x", "shape": [1], "parameters": None, "data": [1.0]}]},
        {"outputs": [{"name": "x", "shape": [1], "parameters": [], "data": [1.0]}]},
        {"outputs": [{"name": "x", "shape": [], "data": 1.0}]},
        {"outputs": [{"name": "x", "shape": [0], "data": []}]},
        {"outputs": []},
    ],
    ids=["no parameters", "wrong parameters", "no axis", "no row", "no output"],
)
def test_an_answer_that_is_no_row_of_tensors_is_none_of_headways(head: Any) -> None:
    with pytest.raises(BadAnswer):
        read_single(PLAN, Answer(200, {}, json.dumps(head).encode()), "http://here")
