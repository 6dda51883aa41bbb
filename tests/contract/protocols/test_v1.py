"""V1's own matters: the values that JSON has trouble with, what is told of models, classify and regress, events."""

import base64
import enum
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.errors import NotOffered, UnknownModel, UnknownPath, UnknownVersion
from headway.model.call import Call, Result, TensorSpec
from headway.model.marks import Batch, Tensor
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, v1
from headway.server.routes import Routes

KSERVE = {":v1-inputs": "kserve"}
Column = Annotated[NDArray[np.float32], Tensor("float32", "batch")]
Pairs = Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]
Free = Annotated[NDArray[np.float32], Tensor("float32", "batch", None)]


@dataclass
class Packed:
    name: str
    raw_bytes: bytes
    word_bytes: str


class Mood(enum.Enum):
    GOOD = "good"


def pack(text: str) -> Packed:
    return Packed(text, text.encode()[::-1], text)


def ask_it(
    function: Callable[..., Any],
    body: Any,
    op: str = "predict",
    headers: Mapping[str, str] | None = None,
) -> Any:
    wire = Wire(read_signature(function), name="it")
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    ask = Ask(op, "it", "", raw, headers or {}, request_id="id-1")
    call = v1.decode(ask, wire)
    reply = v1.encode(ask, call, answer_of(function, wire, call), wire)
    return json.loads(reply.body)


def answer_of(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if not call.rows:
        return wire.empty()
    if wire.signature.is_batched:
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    return Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])


def test_outputs_whose_names_end_in_bytes_are_b64_objects() -> None:
    (row,) = ask_it(pack, {"instances": ["é"]})["predictions"]
    assert base64.b64decode(row["raw_bytes"]["b64"]) == "é".encode()[::-1]
    assert base64.b64decode(row["word_bytes"]["b64"]) == "é".encode()
    assert row["name"] == "é"
    columns = ask_it(pack, {"inputs": ["a", "b"]})["outputs"]
    assert columns["name"] == ["a", "b"]
    assert [base64.b64decode(o["b64"]) for o in columns["word_bytes"]] == [b"a", b"b"]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=3))
def test_b64_objects_are_read_back(texts: list[str]) -> None:
    wire = Wire(read_signature(pack), name="it")
    for way in v1.WAYS:
        ask = v1.ask(wire.description, [{"text": t} for t in texts], way)
        call = v1.decode(ask, wire)
        reply = v1.encode(ask, call, answer_of(pack, wire, call), wire)
        assert v1.read(wire.description, reply, len(texts)) == [
            {"name": t, "raw_bytes": base64.b64encode(t.encode()[::-1]).decode(), "word_bytes": t}
            for t in texts
        ]


def test_what_json_has_no_word_for_is_a_token_for_tensorflow_and_null_for_kserve() -> None:
    def odd(number: float) -> list[float]:
        return [number, math.nan, -math.inf]

    def arrays(x: Column) -> Pairs:
        return np.stack([x, x * np.inf], axis=1).astype(np.float32)

    told = ask_it(odd, b'{"instances":[Infinity]}')["predictions"]
    assert str(told) == "[[inf, nan, -inf]]"
    assert str(ask_it(arrays, b'{"inputs":[1.5, NaN]}')["outputs"]) == "[[1.5, inf], [nan, nan]]"
    assert ask_it(odd, {"inputs": [1.5]}, headers=KSERVE)["predictions"] == [[1.5, None, None]]


def test_integers_are_whole_and_bytes_are_exact() -> None:
    def whole(number: Batch[int]) -> Batch[int]:
        return number

    def raw(content: bytes) -> bytes:
        return content

    numbers = [2**63 - 1, -(2**63), 2**53 + 1]
    assert ask_it(whole, {"instances": numbers})["predictions"] == numbers
    assert ask_it(whole, {"inputs": {"number": numbers}})["outputs"] == numbers
    packed = base64.b64encode(b"\xff\0\xfe").decode()
    assert ask_it(raw, {"instances": [{"b64": packed}]})["predictions"] == [packed]


def test_a_model_file_without_rows_has_one_item_and_one_answer() -> None:
    spec = TensorSpec("x", "float32", (-1, 2), has_rows=False)
    wire = Wire(of_tensors("it", [spec], [spec]), name="it")
    for body, expected in (
        (b'{"inputs":[[1,2],[3,4]]}', {"outputs": [[1, 2], [3, 4]]}),
        (b'{"instances":[[[1,2],[3,4]]]}', {"predictions": [[[1, 2], [3, 4]]]}),
    ):
        ask = Ask("predict", "it", "", body, {})
        call = v1.decode(ask, wire)
        value = wire.check_item(wire.item(call, 0)["x"])
        reply = v1.encode(ask, call, Result([value]), wire)
        assert json.loads(reply.body) == expected
        assert v1.read(wire.description, reply, 1) == [[[1, 2], [3, 4]]]


def test_an_empty_dimension_is_kept() -> None:
    def same(x: Free) -> Free:
        return x

    assert ask_it(same, {"instances": [[], []]}) == {"predictions": [[], []]}
    assert ask_it(same, {"inputs": []}) == {"outputs": []}


@pytest.mark.parametrize(
    ("answered", "pairs"),
    [
        ({"good": 0.75, "bad": 0.25}, [["good", 0.75], ["bad", 0.25]]),
        ([{"label": "good", "score": 0.75}], [["good", 0.75]]),
        ({"label": "good", "score": 0.75}, [["good", 0.75]]),
        ([["good", 0.75]], [["good", 0.75]]),
        ([0.75, 0.25], [["", 0.75], ["", 0.25]]),
        ("good", [["good", 0.0]]),
        (Mood.GOOD, [["good", 0.0]]),
    ],
)
def test_classify_answers_labels_with_scores(answered: Any, pairs: Any) -> None:
    def model(text: str, words: list[str], count: int) -> Any:
        assert (text, words, count) == ("a", ["b"], 3)
        return answered

    examples = [{"text": ["a"], "words": ["b"]}, {"text": {"b64": "YQ=="}, "words": ["b"]}]
    body = {"context": {"count": [3]}, "examples": examples}
    assert ask_it(model, body, "classify") == {"results": [pairs, pairs]}


@pytest.mark.parametrize("answered", [0.5, [0.5], {"price": 0.5}])
def test_regress_answers_a_number_each(answered: Any) -> None:
    def model(size: float) -> Any:
        return answered

    assert ask_it(model, {"examples": [{"size": 1}]}, "regress") == {"results": [0.5]}


@pytest.mark.parametrize(
    "answered", [True, "a", [1, 2], {"a": "b"}, [["a", "b"]], [True], {"a": [1]}]
)
def test_other_answers_are_neither(answered: Any) -> None:
    def model(text: str) -> Any:
        return answered

    if answered not in ("a", [1, 2]):
        with pytest.raises(NotOffered):
            ask_it(model, {"examples": [{"text": "a"}]}, "classify")
    with pytest.raises(NotOffered):
        ask_it(model, {"examples": [{"text": "a"}]}, "regress")


def facts_of(*versions: str) -> Facts:
    described = {v: Wire(read_signature(pack), name="it", version=v).description for v in versions}
    return Facts({"it": described}, {"it": True}, True, {}, "0.1.0")


def told(op: str, version: str = "", label: str = "") -> Any:
    headers = {":label": label} if label else {}
    return json.loads(v1.answer(Ask(op, "it", version, b"", headers), facts_of("1", "2")).body)


def test_the_state_of_a_model_has_what_three_kinds_of_clients_read() -> None:
    status = {"error_code": "OK", "error_message": ""}
    states = [{"version": v, "state": "AVAILABLE", "status": status} for v in "21"]
    assert told("status") == {
        "name": "it",
        "ready": True,
        "model_version_status": states,
        "id": "it",
        "object": "model",
        "created": 0,
        "owned_by": "headway",
    }
    assert told("status", "1")["model_version_status"] == states[1:]
    assert told("status", label="stable")["model_version_status"] == states[:1]
    with pytest.raises(UnknownVersion):
        told("status", label="canary")
    listed = told("list")
    assert listed["models"] == ["it"]
    assert [model["id"] for model in listed["data"]] == ["it"]


def test_metadata_is_a_signature_of_tensors() -> None:
    metadata = told("metadata")
    assert metadata["model_spec"] == {"name": "it", "signature_name": "", "version": "2"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"] == {
        "text": {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "text:0",
        }
    }
    assert list(signature["outputs"]) == ["name", "raw_bytes", "word_bytes"]
    assert told("metadata", "1")["model_spec"]["version"] == "1"


@pytest.mark.parametrize(
    ("version", "headers", "text"),
    [
        ("", {}, "Servable not found for request: Latest(it)"),
        ("7", {}, "Servable not found for request: Specific(it, 7)"),
        ("", KSERVE, "Model with name it does not exist."),
    ],
)
def test_what_is_unknown_is_told_in_the_dialects_own_words(
    version: str, headers: Mapping[str, str], text: str
) -> None:
    error: UnknownModel | UnknownVersion = UnknownModel(model="it", known="x")
    if version:
        error = UnknownVersion(model="it", version=version, known="1")
    reply = v1.render(Ask("", "", "", b"", headers), error)
    assert (reply.status, json.loads(reply.body)) == (404, {"error": text})


def test_an_event_is_answered_by_one_of_its_kind_in_strict_json() -> None:
    def odd(text: str) -> float:
        return math.nan

    body = {"specversion": "1.0", "id": "7", "source": "/me", "type": "ask", "data": {"instances": ["a"]}}  # fmt: skip
    event = ask_it(odd, body, headers={"content-type": "application/cloudevents+json"})
    assert event["data"] == {"predictions": [None]}
    assert (event["id"], event["source"]) == ("id-1", "io.kserve.inference.it")


@pytest.mark.parametrize("verb", ["predict", "explain", "classify", "regress"])
@pytest.mark.parametrize("name", ["m", "my-model.v2", "a_b.c-d"])
def test_a_path_names_a_model_whatever_dots_and_dashes_it_has(name: str, verb: str) -> None:
    routes = Routes({"v1": v1.ROUTES})
    found = routes.find("POST", f"/v1/models/{name}:{verb}")
    assert (found.model, found.version, found.route.op) == (name, "", verb)
    assert routes.find("POST", f"/v1/models/{name}/versions/2:{verb}").version == "2"
    labelled = routes.find("POST", f"/v1/models/{name}/labels/stable:{verb}")
    assert (labelled.model, labelled.others) == (name, {"label": "stable"})
    for path in (f"{name}:{verb}:{verb}", f"{name}:other", f":{verb}", f"{name}:{verb}/"):
        with pytest.raises(UnknownPath):
            routes.find("POST", f"/v1/models/{path}")
