"""What is native's alone: streams in two framings, bare media, the superset list of models."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from headway import errors
from headway.model.call import Call
from headway.model.marks import Batch
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, native

LINES = Ask("predict", "tell", "", b'{"words":2}', {})
EVENTS = Ask("predict", "tell", "", b'{"words":2}', {"accept": "text/event-stream"})


def tell(words: int) -> Iterator[str]:
    """Tell a story."""
    yield from ["once\nupon"] * words


def echo(text: Batch[str]) -> Batch[str]:
    """Say it again."""
    return text


@pytest.fixture(scope="module")
def teller() -> Wire:
    return Wire(read_signature(tell), name="tell")


def test_a_stream_is_json_lines_unless_events_are_accepted(teller: Wire) -> None:
    call = native.decode(LINES, teller)
    items = [native.chunk(LINES, call, item, teller) for item in tell(call.columns["words"][0])]
    assert native.stream_type(LINES) == "application/jsonl"
    assert b"".join(items) == b'"once\\nupon"\n"once\\nupon"\n'


def test_a_stream_is_events_where_they_are_accepted(teller: Wire) -> None:
    call = native.decode(EVENTS, teller)
    assert native.stream_type(EVENTS) == "text/event-stream; charset=utf-8"
    assert native.chunk(EVENTS, call, "once\nupon", teller) == b'data: "once\\nupon"\n\n'


def test_an_error_within_a_stream_is_its_last_line_or_an_error_event() -> None:
    error = errors.ModelFailed("secret")
    line = native.chunk_error(LINES, error)
    assert line.endswith(b"}\n")
    assert json.loads(line)["code"] == "model_failed"
    assert native.chunk_error(EVENTS, error).startswith(b"event: error\ndata: {")


def test_bare_text_feeds_the_only_input() -> None:
    wire = Wire(read_signature(echo))
    call = native.decode(Ask("predict", "echo", "", b"joy", {"content-type": "text/plain"}), wire)
    assert (call.columns, call.is_single) == ({"text": ["joy"]}, True)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "Application/JSON; charset=utf-8", "application/a+json"],
)
def test_json_is_known_under_all_its_names(content_type: str) -> None:
    wire = Wire(read_signature(echo))
    ask = Ask("predict", "echo", "", b'{"text":"joy"}', {"content-type": content_type})
    assert native.decode(ask, wire).columns == {"text": ["joy"]}


def test_rows_that_cannot_be_read_do_not_shift_the_others() -> None:
    wire = Wire(read_signature(echo))
    body = b'[{"text":1},{"text":"a"},3,{"text":"b"},{"text":null},{"text":"c"}]'
    ask = Ask("predict", "echo", "", body, {}, query="errors=item")
    call = native.decode(ask, wire)
    reply = native.encode(ask, call, wire.scatter(echo(**wire.gather([(call, None)])), 3), wire)
    said = json.loads(reply.body)
    assert [item.get("output") for item in said] == [None, "a", None, "b", None, "c"]
    assert [item.get("code") for item in said][::2] == ["bad_input"] * 3


def test_too_many_rows_are_not_answered_one_by_one_either() -> None:
    wire = Wire(read_signature(echo))
    wire.max_rows = 3
    for rows in (b'{"text":"a"}', b"1"):
        body = b"[" + b",".join([rows] * 4) + b"]"
        with pytest.raises(errors.BadInput):
            native.decode(Ask("predict", "echo", "", body, {}, query="errors=item"), wire)


def test_a_row_that_holds_rows_is_not_read_as_many() -> None:
    wire = Wire(read_signature(echo))
    body = b'[[{"text":"mine"},{"text":"too"}],{"text":"a"}]'
    call = native.decode(Ask("predict", "echo", "", body, {}, query="errors=item"), wire)
    assert call.columns == {"text": ["a"]}


def test_the_list_of_models_is_understood_by_clients_of_other_dialects(wire: Any) -> None:
    facts = Facts({"shout": {"1": wire.description}}, {"shout": True}, True, {}, "0.1.0")
    said = json.loads(native.answer(Ask("list", "", "", b"", {}), facts).body)
    assert said["models"][0].items() >= {
        ("name", "shout"),
        ("modelName", "shout"),
        ("modelUrl", "/models/shout"),
    }


def test_a_description_has_schemas_and_tensors(wire: Any) -> None:
    facts = Facts({"shout": {"1": wire.description}}, {"shout": True}, True, {}, "0.1.0")
    said = json.loads(native.answer(Ask("describe", "shout", "", b"", {}), facts).body)
    assert said["doc"] == "Shout the text and add the numbers."
    assert set(said["input_schema"]["properties"]) == {"text", "numbers"}
    assert [t["name"] for t in said["inputs"]] == ["text", "numbers"]


def test_a_query_of_too_many_fields_is_refused() -> None:
    ask = Ask("predict", "echo", "", b"[]", {}, query="&".join(f"a{i}=1" for i in range(200)))
    with pytest.raises(errors.BadInput):
        native.decode(ask, Wire(read_signature(echo)))


def test_a_single_row_that_fails_is_not_numbered(wire: Any) -> None:
    ask = Ask("predict", "shout", "", b"", {})
    result = wire.scatter([errors_of_one()], 1)
    with pytest.raises(errors.Rejected, match=r"^no text$"):
        native.encode(ask, Call(1, {}, is_single=True), result, wire)


def errors_of_one() -> Exception:
    from headway.model.marks import Reject

    return Reject("no text")
