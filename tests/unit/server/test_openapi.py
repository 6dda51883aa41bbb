"""The OpenAPI document: typed for each model, whole in itself, and true to the key setting."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from headway.model.call import Description, TensorSpec
from headway.protocols import Route
from headway.server.openapi import openapi

PERSON = {
    "type": "object",
    "properties": {"age": {"type": "number", "minimum": 0}, "kin": {"$ref": "#/$defs/Person"}},
    "required": ["age"],
}


def describe(name: str = "titanic", **changes: Any) -> Description:
    fields: dict[str, Any] = {
        "name": name,
        "version": "1",
        "doc": "Tell who survives.\n\nAt length.",
        "platform": "headway_python",
        "inputs": (TensorSpec("age", "float64", ()), TensorSpec("sex", "bytes", ())),
        "outputs": (TensorSpec("output", "float32", (3, -1)),),
        "input_schema": {
            "type": "object",
            "properties": {"person": {"$ref": "#/$defs/Person"}, "n": {"type": "integer"}},
            "$defs": {"Person": PERSON, "List[int]": {"type": "array"}, "List_int_": {}},
        },
        "output_schema": {"$ref": "#/$defs/Person", "$defs": {"Person": {"type": "number"}}},
        "examples": ({"age": 3.5, "sex": "f"}, {"age": 4.0, "sex": "m"}),
    }
    return Description(**{**fields, **changes})


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def find(document: dict[str, Any], ref: str) -> Any:
    value: Any = document
    for step in ref.removeprefix("#/").split("/"):
        value = value[step]
    return value


MODELS = [describe(), describe("other"), describe("other.V2", doc="", is_stream=True, examples=())]


@pytest.mark.parametrize("has_keys", [False, True])
def test_every_reference_leads_somewhere(*, has_keys: bool) -> None:
    document = openapi(MODELS, has_keys=has_keys)
    found = list(refs(document))
    assert len(found) > 50
    for ref in found:
        find(document, ref)


def test_document_is_json_and_the_same_each_time() -> None:
    assert json.dumps(openapi(MODELS)) == json.dumps(openapi(MODELS))
    assert json.loads(json.dumps(openapi(MODELS))) == openapi(MODELS)


def test_names_are_unique_and_of_the_form_that_openapi_wants() -> None:
    document = openapi(MODELS)
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for names in document["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


def test_each_model_has_its_own_types() -> None:
    document = openapi([describe(), describe("other", input_schema={"type": "object"})])
    schemas = document["components"]["schemas"]
    person = schemas["titanic.Input"]["properties"]["person"]["$ref"]
    assert person == "#/components/schemas/titanic.Input-Person"
    assert schemas["titanic.Input-Person"]["properties"]["kin"]["$ref"] == person
    assert schemas["titanic.Output-Person"] == {"type": "number"}
    assert {"titanic.Input-List_int_", "titanic.Input-List_int__"} <= schemas.keys()
    assert schemas["other.Input"] == {"type": "object"}
    body = document["paths"]["/models/other/predict"]["post"]["requestBody"]["content"]
    assert {"$ref": "#/components/schemas/other.Input"} in body["application/json"]["schema"][
        "anyOf"
    ]


def test_examples_are_shown_in_both_dialects() -> None:
    paths = openapi([describe()])["paths"]
    native = paths["/models/titanic/predict"]["post"]["requestBody"]["content"]
    examples = native["application/json"]["examples"]
    assert [e["value"] for e in examples.values()] == list(describe().examples)
    v2 = paths["/v2/models/titanic/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert v2["examples"]["example1"]["value"]["inputs"] == [
        {"name": "age", "datatype": "FP64", "shape": [1], "data": [3.5]},
        {"name": "sex", "datatype": "BYTES", "shape": [1], "data": ["f"]},
    ]


def test_tensors_are_named_with_datatype_and_rank() -> None:
    schemas = openapi([describe()])["components"]["schemas"]
    (tensor,) = schemas["titanic.V2.Response"]["properties"]["outputs"]["items"]["anyOf"]
    assert tensor["properties"]["name"] == {"const": "output"}
    assert tensor["properties"]["datatype"] == {"const": "FP32"}
    assert tensor["properties"]["shape"]["minItems"] == 3


def test_stream_answers_lines_or_events() -> None:
    answer = openapi([describe(is_stream=True)])["paths"]["/models/titanic/predict"]["post"]
    assert set(answer["responses"]["200"]["content"]) == {"application/jsonl", "text/event-stream"}


def test_bodies_and_answers_of_a_table_are_listed_by_their_content_types() -> None:
    tables = ("text/csv", "application/vnd.apache.parquet")
    model = describe(media_types=tables, answer_types=tables)
    predict = openapi([model])["paths"]["/models/titanic/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"application/json", *tables}
    assert set(predict["responses"]["200"]["content"]) == {"application/json", *tables}


def test_a_picture_is_taken_bare_or_in_a_form() -> None:
    picture = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}
    schema = {"type": "object", "properties": {"picture": picture, "n": {"type": "integer"}}}
    model = describe(input_schema=schema, media_types=("image/png", "image/jpeg"))
    predict = openapi([model])["paths"]["/models/titanic/predict"]["post"]
    bodies = predict["requestBody"]["content"]
    assert bodies["image/png"] == bodies["image/jpeg"] == {"schema": {}}
    form = bodies["multipart/form-data"]["schema"]["properties"]
    assert form["picture"] == {}
    assert form["n"] == {"$ref": "#/components/schemas/titanic.Input/properties/n"}


def test_a_bare_text_is_a_text_within_its_limits() -> None:
    text = {"type": "string", "maxLength": 9}
    schema = {"type": "object", "properties": {"text": text}, "required": ["text"]}
    model = describe(input_schema=schema, media_types=("text/plain",))
    document = openapi([model])
    predict = document["paths"]["/models/titanic/predict"]["post"]
    bare = predict["requestBody"]["content"]["text/plain"]["schema"]
    assert find(document, bare["$ref"]) == text


def test_a_stream_of_items_has_a_socket_with_its_other_inputs_in_the_query() -> None:
    chunks = {"type": "array", "items": {"type": "integer"}}
    schema = {
        "type": "object",
        "properties": {"chunks": chunks, "rate/s": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["chunks", "name"],
    }
    document = openapi([describe(input_schema=schema, is_stream=True, fed="chunks")])
    socket = document["paths"]["/models/titanic/stream"]["get"]
    asked = {p["name"]: p for p in socket["parameters"] if p["in"] == "query"}
    assert {name: p["required"] for name, p in asked.items()} == {"rate/s": False, "name": True}
    assert find(document, asked["name"]["schema"]["$ref"]) == {"type": "string"}
    assert asked["rate/s"]["schema"]["$ref"].endswith("/properties/rate~1s")
    assert {"101", "400", "403", "426", "429"} <= socket["responses"].keys()
    assert "`chunks`" in socket["description"]
    assert "/models/titanic/stream" not in openapi([describe(is_stream=True)])["paths"]


def test_keys_are_asked_for_only_where_they_are_set_up() -> None:
    assert "security" not in openapi(MODELS)
    document = openapi(MODELS, has_keys=True)
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, operation in operations(document):
        assert ("401" in operation["responses"]) != path.startswith("/health")


def test_models_own_schema_is_left_as_it_was() -> None:
    model = describe()
    before = json.dumps(model.input_schema)
    openapi([model], has_keys=True)
    assert json.dumps(model.input_schema) == before
    assert "401" not in json.dumps(openapi([model]))


def test_a_stream_is_asked_at_its_own_path_in_v2() -> None:
    paths = openapi([describe(is_stream=True)])["paths"]
    assert "/v2/models/titanic/infer" not in paths
    answer = paths["/v2/models/titanic/infer_stream"]["post"]["responses"]["200"]
    assert set(answer["content"]) == {"text/event-stream"}
    assert "/v2/models/titanic/infer_stream" not in openapi([describe()])["paths"]


@pytest.mark.parametrize("has_keys", [False, True])
def test_routes_of_other_protocols_are_listed(*, has_keys: bool) -> None:
    routes = {
        "native": [Route("GET", "/models/{model}", "describe")],
        "other": [
            Route("POST", "/other/{model}/versions/{version}", "ask"),
            Route("GET", "/other/{model}/versions/{version}", "look"),
        ],
    }
    paths = openapi(MODELS, routes, has_keys=has_keys)["paths"]
    assert "/models/{model}" not in paths
    found = paths["/other/{model}/versions/{version}"]
    assert set(found) == {"get", "post"}
    assert [p["name"] for p in found["post"]["parameters"]] == ["model", "version"]
    assert found["post"]["operationId"] != found["get"]["operationId"]
    assert ("401" in found["get"]["responses"]) == has_keys


def test_explain_is_a_path_with_schemas_of_its_own() -> None:
    why = {"type": "object", "properties": {"because": {"type": "string"}}}
    model = describe(explain=describe(output_schema=why, doc="", examples=()))
    document = openapi([model])
    explain = document["paths"]["/models/titanic/explain"]["post"]
    assert explain["operationId"] == "explain.titanic"
    schema = explain["responses"]["200"]["content"]["application/json"]["schema"]
    assert find(document, schema["anyOf"][0]["$ref"]) == why
    for ref in refs(document):
        find(document, ref)
    assert "/models/titanic/explain" not in openapi([describe()])["paths"]


def test_routes_that_explain_are_told_of_for_the_models_that_can() -> None:
    routes = {"other": [Route("POST", "/other/{model}:explain", "explain")]}
    assert "/other/{model}:explain" not in openapi([describe()], routes)["paths"]
    models = [describe(explain=describe()), describe("else")]
    path = openapi(models, routes)["paths"]["/other/{model}:explain"]["post"]
    assert path["parameters"][0]["schema"] == {"enum": ["titanic"]}
