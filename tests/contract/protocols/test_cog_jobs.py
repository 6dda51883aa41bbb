"""What Cog's dialect says of jobs: pure, whatever the worker has written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput, Cancelled, DeadlineError, ModelFailed, QueueFull, UnknownJob
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import EVENTS, Ask, Job, Reply, Terms, cog, rendered
from headway.protocols._data_urls import as_urls

JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


def asked(headers: dict[str, str] | None = None, op: str = "predict", **body: Any) -> Ask:
    return Ask(op, "m", "", json.dumps(body).encode(), headers or {}, "", "r")


def job(status: Any, reply: Reply | None = None) -> Job:
    made = Job("one", "m", 1.0, status, 2.0, None if status == "running" else 4.5)
    made.reply = reply
    return made


def said(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_terms_are_read_from_path_body_and_head() -> None:
    assert cog.terms(asked()) == Terms("", "", EVENTS, False)
    body: dict[str, Any] = {
        "id": "a",
        "webhook": "https://x/",
        "webhook_events_filter": ["start", "logs"],
    }
    found = cog.terms(asked({"accept": "text/html, text/event-stream;q=0.9"}, **body))
    assert found == Terms("a", "https://x/", frozenset({"start"}), True)
    assert cog.terms(asked({":id": "a"}, id="a")).id == "a"
    with pytest.raises(BadInput):
        cog.terms(asked({":id": "b"}, id="a"))


@given(output=JSONS)
def test_what_the_model_answered_is_what_is_concluded(output: Any) -> None:
    written = json.dumps(output).encode()
    body = b'{"output":' + written + b',"logs":"","status":"succeeded"}'
    reply = cog.conclude(asked(), job("succeeded", Reply(200, body)))
    assert reply.status == 200
    told = said(reply)
    assert (told["id"], told["status"], told["output"]) == ("one", "succeeded", output)
    assert told["metrics"] == {"predict_time": 2.5}
    told = said(cog.state(asked(), job("succeeded", reply)))
    assert (told["output"], told["status"]) == (output, "succeeded")
    assert told["completed_at"] == "1970-01-01T00:00:04.500000+00:00"


@given(items=st.lists(JSONS, max_size=4))
@pytest.mark.parametrize("accept", ["", "text/event-stream"])
def test_the_pieces_of_a_stream_are_concluded_as_a_list(accept: str, items: list[Any]) -> None:
    wire = Wire(read_signature(any_stream), name="m")
    ask = asked({"accept": accept}, input={})
    call = cog.decode(ask, wire)
    body = b"".join(cog.chunk(ask, call, item, wire) for item in items)
    kind = cog.stream_type(ask)
    for status in ("running", "succeeded"):
        told = said(cog.state(asked(), job(status, Reply(200, body, kind))))
        assert told["output"] == items
    assert said(cog.conclude(asked(), job("succeeded", Reply(200, body, kind))))["output"] == items
    broken = body + cog.chunk_error(ask, ModelFailed("a secret"))
    told = said(cog.conclude(asked(), job("failed", Reply(200, broken, kind))))
    assert told["status"] == "failed"
    assert "secret" not in told["error"]
    assert "output" not in told


def any_stream(text: str = "") -> Iterator[Any]:
    """A signature that streams anything."""
    yield None


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ModelFailed(), 200, "failed"),
        (DeadlineError(timeout_s=1.0), 200, "canceled"),
        (Cancelled(), 200, "canceled"),
        (QueueFull(model="m", limit="1 waits"), 409, "failed"),
    ],
)
def test_errors_end_a_prediction(error: Any, status: int, told: str) -> None:
    rendered_reply = rendered(cog, asked(), error)
    ended = job("canceled" if isinstance(error, Cancelled) else "failed", rendered_reply)
    reply = cog.conclude(asked(), ended)
    assert (reply.status, said(reply)["status"]) == (status, told)


def test_what_the_caller_got_wrong_stays_422_and_is_told_as_an_error() -> None:
    reply = cog.render(asked(), BadInput("input 'a': no"))
    ended = job("failed", reply)
    assert cog.conclude(asked(), ended) is reply
    told = said(cog.state(asked(), ended))
    assert (told["status"], told["error"]) == ("failed", "input 'a': no")


def test_a_cancel_is_answered_by_nothing_more() -> None:
    ask = asked(op="cancel")
    assert cog.state(ask, job("running")).body == b"{}"
    with pytest.raises(UnknownJob):
        cog.state(ask, job("succeeded", Reply(200, b"{}")))
    assert cog.render(ask, UnknownJob(job="one")).status == 404


def test_a_stream_says_when_it_begins_and_when_it_has_ended() -> None:
    assert cog.mark(asked(), job("running")).startswith(b"event: start\ndata: {")
    body = b'{"output":1,"logs":"","status":"succeeded"}'
    assert cog.mark(asked(), job("succeeded", Reply(200, body))).startswith(b"event: completed\n")


FILE = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
URL = "data:image/png;base64,QQ=="


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (FILE, "QQ==", URL),
        (FILE, "data:image/gif;name=a;base64,QQ==", "data:image/gif;name=a;base64,QQ=="),
        ({"type": "string"}, "QQ==", "QQ=="),
        ({"type": "array", "items": FILE}, ["QQ==", "QQ=="], [URL, URL]),
        ({"type": "array", "prefixItems": [{}, FILE]}, ["a", "QQ=="], ["a", URL]),
        ({"properties": {"a": FILE, "b": {}}}, {"a": "QQ==", "b": "x"}, {"a": URL, "b": "x"}),
        ({"additionalProperties": FILE}, {"z": "QQ=="}, {"z": URL}),
        ({"anyOf": [FILE, {"type": "null"}]}, "QQ==", URL),
        ({"anyOf": [FILE, {"type": "null"}]}, None, None),
        ({"anyOf": [FILE, {"type": "string"}]}, "QQ==", "QQ=="),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": FILE}}, "QQ==", URL),
        (
            {
                "$ref": "#/$defs/T",
                "$defs": {"T": {"properties": {"p": FILE, "next": {"$ref": "#/$defs/T"}}}},
            },
            {"p": "QQ==", "next": {"p": "QQ==", "next": None}},
            {"p": URL, "next": {"p": URL, "next": None}},
        ),
    ],
)
def test_files_are_found_by_the_schema(schema: dict[str, Any], value: Any, told: Any) -> None:
    assert json.loads(as_urls(schema, json.dumps(value).encode())) == told
