"""V2's `infer_stream`: each item is an event that holds a whole response, an error is the last one."""

import json
from collections.abc import Iterator

import pytest

from headway import errors
from headway.model.call import Call
from headway.model.marks import Batch
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, v2

WORDS = {"name": "words", "shape": [1], "datatype": "INT64", "data": [2]}
TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}


def tell(words: int) -> Iterator[str]:
    """Tell a story."""
    for number in range(words):
        yield f"once\n{number}"


def echo(text: Batch[str]) -> Batch[str]:
    """Say it again."""
    return text


@pytest.fixture(scope="module")
def teller() -> Wire:
    return Wire(read_signature(tell), name="tell", version="3")


def asked(op: str = "infer_stream", **members: object) -> Ask:
    body = json.dumps({"inputs": [WORDS], **members}).encode()
    return Ask(op, "tell", "", body, {})


def events(ask: Ask, wire: Wire) -> bytes:
    call: Call = v2.decode(ask, wire)
    return b"".join(v2.chunk(ask, call, item, wire) for item in tell(call.columns["words"][0]))


def test_the_items_of_a_stream_are_events_that_hold_a_response_each(teller: Wire) -> None:
    ask = asked(id="mine")
    assert v2.stream_type(ask) == "text/event-stream; charset=utf-8"
    assert events(ask, teller) == b"".join(
        b'data: {"model_name":"tell","model_version":"3","outputs":[{"name":"output",'
        b'"datatype":"BYTES","shape":[1],"data":["once\\n%d"]}],"id":"mine"}\n\n' % number
        for number in range(2)
    )


def test_binary_tensors_have_no_place_in_a_stream(teller: Wire) -> None:
    ask = asked(parameters={"binary_data_output": True})
    for event in events(ask, teller).split(b"\n\n")[:-1]:
        (output,) = json.loads(event.removeprefix(b"data: "))["outputs"]
        assert output["data"]
        assert "binary_data_size" not in output.get("parameters", {})


def test_an_error_within_a_stream_is_an_event_of_its_own_and_tells_no_secret() -> None:
    event = v2.chunk_error(asked(), errors.ModelFailed("secret"))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert b"secret" not in event
    assert set(json.loads(event.removeprefix(b"data: "))) == {"error"}


def test_a_stream_is_asked_for_at_infer_stream_and_one_answer_at_infer(teller: Wire) -> None:
    with pytest.raises(errors.BadInput, match="infer_stream"):
        v2.decode(asked("infer"), teller)
    ask = Ask("infer_stream", "echo", "", json.dumps({"inputs": [TEXT]}).encode(), {})
    with pytest.raises(errors.BadInput, match="end in infer,"):
        v2.decode(ask, Wire(read_signature(echo), name="echo"))


def test_a_stream_has_a_path_with_a_version_and_one_without() -> None:
    paths = {r.path for r in v2.ROUTES if r.op == "infer_stream" and r.method == "POST"}
    assert paths == {
        "/v2/models/{model}/infer_stream",
        "/v2/models/{model}/versions/{version}/infer_stream",
    }
