"""V1 over the real listener: TensorFlow Serving's documented examples, explain, events, the shared paths."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from foreign_subjects import write_subjects
from serving import Answer, Server, serving

MODELS = """
models:
  sentiment: {predictor: "foreign_subjects.py:Sentiment", workers: 1}
  half_plus_two: {predictor: "foreign_subjects.py:HalfPlusTwo", workers: 1}
  echo: {predictor: "foreign_subjects.py:echo", workers: 1}
"""
CURL = {"content-type": "application/x-www-form-urlencoded"}
"""What `curl -d` says, as the documented examples do."""
JOY = {"label": "small", "score": 2 / 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("v1")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def post(server: Server, path: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.call("POST", f"/v1/models/{path}", raw, headers or CURL)


@pytest.mark.parametrize("place", ["", "/versions/1", "/labels/stable"])
def test_half_plus_two_is_answered_as_documented(server: Server, place: str) -> None:
    at = f"half_plus_two{place}"
    answer = post(server, f"{at}:predict", b'{"instances": [1.0, 2.0, 5.0]}')
    assert (answer.status, answer.json) == (200, {"predictions": [2.5, 3.0, 4.5]})
    columns = post(server, f"{at}:predict", b'{"inputs": [1.0, 2.0, 5.0]}')
    assert columns.json == {"outputs": [2.5, 3.0, 4.5]}
    regressed = post(server, f"{at}:regress", b'{"examples": [{"x": 1.0}, {"x": 2.0}]}')
    assert regressed.json == {"results": [2.5, 3.0]}
    status = server.call("GET", f"/v1/models/{at}").json["model_version_status"]
    assert [(s["version"], s["state"]) for s in status] == [("1", "AVAILABLE")]
    assert server.call("GET", f"/v1/models/{at}/metadata").json["model_spec"]["version"] == "1"
    assert post(server, f"{at}:predict", b'{"instances": [NaN]}').body == b'{"predictions":[NaN]}'


def test_classify_gives_labels_with_scores(server: Server) -> None:
    answer = post(server, "sentiment:classify", {"examples": [{"text": ["Joy"]}, {"text": "A"}]})
    assert answer.json == {"results": [[["small", 2 / 3]], [["small", 0.0]]]}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nobody:predict", "Latest(nobody)"),
        ("sentiment/versions/7:predict", "Specific(sentiment, 7)"),
        ("sentiment/labels/canary:predict", "Specific(sentiment, canary)"),
    ],
)
def test_what_is_unknown_is_a_404_in_tensorflows_words(
    server: Server, path: str, told: str
) -> None:
    answer = post(server, path, {"instances": ["a"]})
    assert answer.status == 404
    assert answer.json == {"error": f"Servable not found for request: {told}"}


def test_explain_is_asked_natively_too_and_told_of(server: Server) -> None:
    why = {"o": 1.0, "y": 1.0}
    assert post(server, "sentiment:explain", {"instances": ["Joy"]}).json == {"explanations": [why]}
    native = server.call("POST", "/models/sentiment/explain", b'{"text":"Joy"}')
    assert (native.status, native.json) == (200, why)
    versioned = server.call("POST", "/models/sentiment/versions/1/explain", b'[{"text":"Joy"}]')
    assert versioned.json == [why]
    assert server.call("POST", "/models/sentiment/explain", b'{"text":7}').status == 400
    refused = server.call("POST", "/models/echo/explain", b'{"content":"YQ=="}')
    assert (refused.status, refused.code) == (501, "not_offered")
    assert post(server, "echo:explain", {"instances": ["YQ=="]}).status == 501
    details = server.call("GET", "/models/sentiment").json
    assert list(details["explain"]["input_schema"]["properties"]) == ["text"]
    assert "explain" not in server.call("GET", "/models/echo").json
    paths = server.call("GET", "/openapi.json").json["paths"]
    assert "/models/sentiment/explain" in paths
    assert "/models/echo/explain" not in paths


ATTRIBUTES = {"id": "7", "source": "/me", "type": "ask", "datacontenttype": "application/json"}
EVENT = CloudEvent(ATTRIBUTES, {"instances": ["Joy"]})


def as_event(answer: Answer) -> Any:
    assert answer.status == 200
    return from_http_event(HTTPMessage(dict(answer.headers), answer.body))


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_an_event_of_the_sdk_is_answered_by_an_event_that_it_reads(
    server: Server, write: Any
) -> None:
    message = write(EVENT)
    headers = {**message.headers, "x-request-id": 'a"b%c'}
    answer = post(server, "sentiment:predict", bytes(message.body), headers)
    event = as_event(answer)
    assert event.get_data() == {"predictions": [JOY]}
    assert event.get_id() == 'a"b%c'
    assert event.get_source() == "io.kserve.inference.sentiment"
    assert event.get_type() == "io.kserve.inference.response"
    assert event.get_specversion() == "1.0"
    assert ("ce-id" in answer.headers) is (write is to_binary_event)


def test_an_event_may_hold_the_bytes_that_the_model_takes(server: Server) -> None:
    attributes = {**ATTRIBUTES, "datacontenttype": "application/octet-stream"}
    for write in (to_binary_event, to_structured_event):
        message = write(CloudEvent(attributes, b"\xff\0"))
        answer = post(server, "echo:predict", bytes(message.body), dict(message.headers))
        assert as_event(answer).get_data() == {"predictions": ["/wA="]}


def test_one_path_answers_the_clients_of_three(server: Server) -> None:
    model = server.call("GET", "/v1/models/sentiment").json
    assert (model["name"], model["ready"], model["id"]) == ("sentiment", True, "sentiment")
    listed = server.call("GET", "/v1/models").json
    assert listed["models"] == [entry["id"] for entry in listed["data"]]


def test_the_first_path_is_a_page_for_browsers_and_a_sign_of_life_for_clients(
    server: Server,
) -> None:
    for headers in ({}, {"accept": "text/html,*/*;q=0.8"}):
        page = server.call("GET", "/", headers=headers)
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["vary"] == "accept"
    alive = server.call("GET", "/", headers={"accept": "*/*"})
    assert (alive.json, alive.headers["vary"]) == ({"status": "alive"}, "accept")


def test_the_dialect_is_chosen_by_the_operator(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    arguments = ("foreign_subjects.py:HalfPlusTwo", "--dialect", "v1-inputs=kserve")
    with serving(tmp_path, *arguments, "--workers", "1") as server:
        asked = post(server, "foreign_subjects:predict", {"inputs": [1.0]})
        assert asked.json == {"predictions": [2.5]}
        assert post(server, "foreign_subjects:predict", b'{"inputs": [NaN]}').status == 400
        unknown = server.call("GET", "/v1/models/nobody")
        assert unknown.json == {"error": "Model with name nobody does not exist."}
