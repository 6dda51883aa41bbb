"""Questions in V2 from items in their JSON form, and what a server tells of a model."""

import base64
import json
from typing import Any

import pytest

from headway.errors import BadInput, ConfigError
from headway.load.questions import find_model, parse, words
from headway.load.target import read_target
from headway.model.call import Description, TensorSpec
from headway.protocols._asking import request

PICTURE = {"type": "string", "contentEncoding": "base64"}


def model_of(*specs: TensorSpec, **properties: Any) -> Description:
    return Description("m", "", "", "", specs, (), {"properties": properties}, {})


def asked(model: Description, *items: dict[str, Any]) -> Any:
    body, size = request(items, model, is_binary=False)
    assert size == len(body)
    return json.loads(body)["inputs"]


def test_base64_is_told_in_json_and_decoded_in_binary() -> None:
    model = model_of(TensorSpec("picture", "bytes", ()), picture=PICTURE)
    text = base64.b64encode(b"\x89PNG").decode()
    (tensor,) = asked(model, {"picture": text})
    assert (tensor["data"], tensor["parameters"]) == ([text], {"content_type": "base64"})
    for given in (text, f"data:image/png;base64,{text}"):
        body, size = request([{"picture": given}], model, is_binary=True)
        assert body[size:] == b"\x04\0\0\0\x89PNG"


def test_fields_of_structs_json_and_inputs_that_may_be_absent() -> None:
    model = model_of(
        TensorSpec("who.age", "int64", ()),
        TensorSpec("tags", "bytes", (), is_json=True),
        TensorSpec("more", "float64", (), is_optional=True),
    )
    age, tags = asked(
        model, {"who": {"age": 3}, "tags": ["a"]}, {"who": {"age": 4}, "tags": {"b": 1}}
    )
    assert (age["shape"], age["data"]) == ([2], [3, 4])
    assert tags["data"] == ['["a"]', '{"b":1}']


@pytest.mark.parametrize(
    "items",
    [
        [{}],
        [{"x": [1, 2]}, {"x": [1]}],
        [{"x": [1, 2]}, {}],
        [{"x": [[1], 2]}],
    ],
)
def test_what_is_no_tensor_is_told(items: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match="input 'x'"):
        request(items, model_of(TensorSpec("x", "float32", (2,))), is_binary=True)


@pytest.mark.parametrize("value", ["a", 1e39])
def test_what_is_no_number_of_its_type_is_told(value: Any) -> None:
    with pytest.raises(BadInput, match="input 'x'"):
        request([{"x": value}], model_of(TensorSpec("x", "float32", ())), is_binary=True)


@pytest.mark.parametrize("body", [b"{", b"3", b"[1]", b"[]", b"\xff"])
def test_a_question_that_is_no_object_is_told_by_its_number(body: bytes) -> None:
    with pytest.raises(ConfigError, match="question 2"):
        parse([b"{}", body])


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"{}"), (404, b"not here"), (200, b'{"inputs": 3}'), (200, b"[]")],
)
def test_a_server_that_is_not_headway_is_told(status: int, body: bytes) -> None:
    with pytest.raises(ConfigError, match="does not tell of a model"):
        find_model(read_target("http://h/models/m"), lambda path: (status, body))


def test_an_error_has_words_that_a_terminal_can_show() -> None:
    assert words(b'{"error": "no\\u001b[2J"}') == "no [2J"
    assert words(b"<html>") == ""
