"""What is Azure ML's alone: names of requests, queries, `input_data`, and a description in three versions."""

import datetime
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from headway import errors
from headway.errors import BadInput, UnknownPath
from headway.model.call import Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, Reply, azure

OLD, CLIENT, OWN = "x-ms-request-id", "x-ms-client-request-id", "x-request-id"


@dataclass
class Part:
    name: str
    made: datetime.date | None = None


@dataclass
class Found:
    score: float
    parts: list[Part]


def find(
    text: str, *, top: int = 3, mode: Literal["a", "b"] = "a", cut: Annotated[float, msgspec.Meta(gt=0)] = 1.0,
    part: Part | None = None, raw: bytes = b"", loose: int | str = 0,
) -> Found:  # fmt: skip
    return Found(cut, [Part(text)])


def total(
    x: Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)], scale: float = 1.0
) -> Batch[float]:
    return [float(v) * scale for v in x.sum(axis=1)]


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function), name="it")


def ask(body: object = b"", op: str = "score", query: str = "", **headers: str) -> Ask:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask(op, "it", "", raw, {"content-type": "application/json", **named}, query, "id-1")


@pytest.mark.parametrize(
    ("given", "old", "client"),
    [
        ({}, "id-1", None),
        ({CLIENT: "mine"}, "mine", "mine"),
        ({OLD: "old"}, "old", "old"),
        ({OLD: "old", CLIENT: "mine"}, "old", "mine"),
    ],
)
def test_one_name_of_a_request_stands_in_for_another(
    given: dict[str, str], old: str, client: str | None
) -> None:
    error = azure.render(ask(**given), errors.ModelFailed())
    wire = wire_of(total)
    asked = ask([{"x": [1, 2]}], **given)
    call = azure.decode(asked, wire)
    call.worked_s = 0.0123456
    answer = azure.encode(asked, call, Result([3.0]), wire)
    for reply, has_failed in ((error, "True"), (answer, "False")):
        headers = dict(reply.headers)
        assert (headers[OLD], headers.get(CLIENT)) == (old, client)
        assert headers["x-ms-run-function-failed"] == has_failed
    assert dict(answer.headers)["x-ms-run-fn-exec-ms"] == "12.346"


@pytest.mark.parametrize("header", [OLD, CLIENT, OWN])
def test_a_name_of_more_than_a_hundred_characters_is_431_and_not_given_back(header: str) -> None:
    wire = wire_of(total)
    azure.decode(ask([{"x": [1, 2]}], **{header: "x" * 100}), wire)
    long = ask([{"x": [1, 2]}], **{header: "x" * 101})
    with pytest.raises(BadInput) as raised:
        azure.decode(long, wire)
    reply = azure.render(long, raised.value)
    assert reply.status == 431
    assert "x" * 101 not in dict(reply.headers).values()
    with pytest.raises(BadInput):
        azure.answer(Ask("swagger", "", "", b"", {header: "x" * 101}), Facts({}, {}, True, {}, "1"))


@pytest.mark.parametrize(
    "error", [errors.ModelFailed(), errors.BadOutput("x"), errors.OutOfMemory()]
)
def test_only_a_model_that_failed_is_said_to_have(error: errors.HeadwayError) -> None:
    assert dict(azure.render(ask(), error).headers)["x-ms-run-function-failed"] == "True"
    for other in (errors.BadInput("x"), errors.QueueFull(), errors.GivenUp(), errors.WorkerLost()):
        assert dict(azure.render(ask(), other).headers)["x-ms-run-function-failed"] == "False"


def scored(asked: Ask) -> Any:
    wire = wire_of(total)
    call = azure.decode(asked, wire)
    result = wire.scatter(total(**wire.gather([(call, None)])), call.rows)
    return msgspec.json.decode(azure.encode(asked, call, result, wire).body)


@pytest.mark.parametrize(
    "data",
    [
        {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4]]},
        {"columns": ["x"], "data": [[[1, 2]], [[3, 4]]]},
        {"x": [[1, 2], [3, 4]]},
        [[1, 2], [3, 4]],
        [{"x": [1, 2]}, {"x": [3, 4]}],
    ],
)
def test_input_data_is_mlflows(data: Any) -> None:
    assert scored(ask({"input_data": data})) == [3, 7]
    assert scored(ask({"input_data": data, "params": {"scale": 2}})) == [6, 14]


def test_a_query_is_an_item() -> None:
    assert scored(ask(op="score_query", query="x=1&x=2.5")) == 3.5
    assert scored(ask(op="score_query", query="x=[1,2]&scale=2")) == 6
    wire = wire_of(find)
    call = azure.decode(ask(op="score_query", query="text=7&top=2&mode=b"), wire)
    assert wire.item(call, 0)["text"] == "7"
    assert wire.item(call, 0)["top"] == 2
    for query in ("text=a&top=b", "loud=1", "&".join(f"f{i}=1" for i in range(200)), "text=%ff"):
        with pytest.raises(BadInput):
            azure.decode(ask(op="score_query", query=query), wire)


def described(version: str, *functions: Any) -> Any:
    wires = {function.__name__: wire_of(function).description for function in functions}
    facts = Facts({n: {"1": d} for n, d in wires.items()}, {}, True, {}, "0.1.0")
    query = f"version={version}" if version else ""
    reply: Reply = azure.answer(ask(op="swagger", query=query), facts)
    return msgspec.json.decode(reply.body)


@pytest.mark.parametrize(
    ("asked", "key", "version"),
    [
        ("", "swagger", "2.0"),
        ("2", "swagger", "2.0"),
        ("3", "openapi", "3.0.3"),
        ("3.1", "openapi", "3.1.0"),
    ],
)
def test_the_description_has_the_version_that_is_asked_for(
    asked: str, key: str, version: str
) -> None:
    told = described(asked, find)
    assert told[key] == version
    assert told["paths"]["/score"]["post"]["operationId"] == "RunMLService"
    several = described(asked, find, total)
    schemas = several.get("definitions") or several["components"]["schemas"]
    assert schemas["ServiceInput"] == {}
    with pytest.raises(UnknownPath, match="no Swagger of version '4'"):
        described("4", find)


def test_swagger_2_says_of_the_schema_what_it_has_words_for() -> None:
    schemas = described("2", find)["definitions"]
    inputs = schemas["ServiceInput"]
    assert inputs["required"] == ["text"]
    assert inputs["properties"]["mode"]["enum"] == ["a", "b"]
    assert inputs["properties"]["cut"] == {
        "type": "number", "default": 1.0, "minimum": 0, "exclusiveMinimum": True
    }  # fmt: skip
    assert inputs["properties"]["raw"]["format"] == "byte"
    assert "anyOf" not in str(schemas)
    assert "'null'" not in str(schemas)
    assert all(ref in schemas for ref in refs(described("2", find)))


def test_openapi_3_0_says_what_may_be_null() -> None:
    told = described("3", find)
    schemas = told["components"]["schemas"]
    assert schemas["ServiceOutput.Part"]["properties"]["made"]["nullable"] is True
    assert len(schemas["ServiceInput"]["properties"]["loose"]["anyOf"]) == 2
    assert "'null'" not in str(schemas)
    assert all(ref in schemas for ref in refs(told))


def test_openapi_3_1_has_the_schema_as_it_is() -> None:
    told = described("3.1", find)
    schemas = told["components"]["schemas"]
    assert {"type": "null"} in schemas["ServiceOutput.Part"]["properties"]["made"]["anyOf"]
    assert all(ref in schemas for ref in refs(told))


def refs(value: Any) -> set[str]:
    """The schemas that a document refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(refs, value.values()))
    return set().union(*map(refs, value)) if isinstance(value, list) else set()


def test_options_tells_the_methods() -> None:
    reply = azure.answer(ask(op="options"), Facts({}, {}, True, {}, "0.1.0"))
    assert (reply.status, reply.body, dict(reply.headers)["allow"]) == (
        200,
        b"",
        "GET, HEAD, OPTIONS, POST",
    )
