"""V2's generate: a text and parameters in, a text or a stream of texts out.

Texts: triton-inference-server/server, docs/protocol/extension_generate.md; kserve/open-inference-protocol,
generate_rest.yaml.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headway.errors import BadInput, HeadwayError
from headway.model.call import Result
from headway.model.marks import Batch
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Reply, v2_generate


def shout(prompt: str, times: int = 1, mark: str = "!") -> str:
    return prompt.upper() + mark * times


def many(text: Batch[str]) -> Batch[str]:
    return [t[::-1] for t in text]


def own(first: str, text_input: str) -> str:
    return f"{first}/{text_input}"


def count(text: str) -> int:
    return len(text)


def add(number: int) -> str:
    return str(number)


def words(text: str, stream: bool = False) -> Iterator[str]:
    yield from text.split()


def ask(
    function: Callable[..., Any], request: Any, op: str = "generate", version: str = "7"
) -> Reply:
    wire = Wire(read_signature(function), name="it", version=version)
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    asked = Ask(op, "it", "", body, {})
    try:
        call = v2_generate.decode(asked, wire)
        if wire.signature.is_batched:
            answer = wire.scatter(function(**wire.gather([(call, None)])), call.rows)
            return v2_generate.encode(asked, call, answer, wire)
        if wire.signature.is_stream:
            items = [wire.check_item(i) for i in function(**wire.item(call, 0))]
            parts = [v2_generate.chunk(asked, call, item, wire) for item in items]
            return Reply(200, b"".join(parts), v2_generate.stream_type(asked))
        value = wire.check_item(function(**wire.item(call, 0)))
        return v2_generate.encode(asked, call, Result([value]), wire)
    except HeadwayError as e:
        return v2_generate.render(asked, e)


def test_a_text_is_answered_with_a_text() -> None:
    reply = ask(shout, {"text_input": "hey"})
    assert reply.status == 200, reply.body
    expected = {"model_name": "it", "model_version": "7", "text_output": "HEY!"}
    assert json.loads(reply.body) == expected
    assert json.loads(ask(many, {"text_input": "añb"}).body)["text_output"] == "bña"


def test_the_id_comes_back() -> None:
    assert json.loads(ask(shout, {"text_input": "a", "id": "mine"}).body)["id"] == "mine"


def test_parameters_and_other_members_feed_inputs_by_name() -> None:
    request = {"text_input": "a", "parameters": {"times": 3}, "mark": "?"}
    assert json.loads(ask(shout, request).body)["text_output"] == "A???"


def test_an_input_of_that_name_gets_the_text() -> None:
    request = {"text_input": "b", "first": "a"}
    assert json.loads(ask(own, request).body)["text_output"] == "a/b"


def test_a_stream_is_events_of_texts() -> None:
    reply = ask(words, {"text_input": "one two", "id": "i"}, "generate_stream")
    assert reply.content_type == "text/event-stream; charset=utf-8"
    lines = [json.loads(e.removeprefix(b"data: ")) for e in reply.body.split(b"\n\n") if e]
    assert [(line["text_output"], line["id"]) for line in lines] == [("one", "i"), ("two", "i")]


def test_one_text_is_a_stream_of_one() -> None:
    reply = ask(shout, {"text_input": "a"}, "generate_stream")
    assert reply.content_type.startswith("text/event-stream")
    assert json.loads(reply.body.removeprefix(b"data: "))["text_output"] == "A!"


def test_a_parameter_stream_may_say_what_the_path_does() -> None:
    assert ask(shout, {"text_input": "a", "parameters": {"stream": False}}).status == 200
    assert ask(shout, {"text_input": "a", "parameters": {"stream": True}}).status == 400
    streamed = {"text_input": "a", "parameters": {"stream": True}}
    assert ask(shout, streamed, "generate_stream").status == 200
    assert ask(words, streamed, "generate_stream").status == 200, "an input of that name is one"


@pytest.mark.parametrize(
    ("function", "request_"),
    [
        (shout, {}),
        (shout, {"text_input": 7}),
        (shout, {"text_input": None}),
        (shout, {"text_input": "a", "parameters": {"temperature": 0.5}}),
        (shout, {"text_input": "a", "parameters": {"times": [1]}}),
        (shout, {"text_input": "a", "parameters": {"times": {"a": 1}}}),
        (shout, {"text_input": "a", "parameters": []}),
        (shout, {"text_input": "a", "parameters": {"times": 1}, "times": 2}),
        (shout, {"text_input": "a", "prompt": "b"}),
        (shout, {"text_input": "a", "id": 7}),
        (shout, {"text_input": "a", "id": "x" * 257}),
        (shout, {"text_input": "a", "parameters": {f"p{i}": i for i in range(300)}}),
        (shout, [{"text_input": "a"}]),
        (shout, b"[" * 100_000),
        (shout, b'{"text_input": "\xff"}'),
        (count, {"text_input": "a"}),
        (add, {"text_input": "a"}),
        (words, {"text_input": "a"}),
    ],
)
def test_what_is_no_request_for_a_text_is_refused(
    function: Callable[..., Any], request_: Any
) -> None:
    reply = ask(function, request_)
    assert (reply.status, list(json.loads(reply.body))) == (400, ["error"])


def test_an_error_in_a_stream_is_its_last_event() -> None:
    asked = Ask("generate_stream", "it", "", b"", {})
    last = v2_generate.chunk_error(asked, BadInput("it broke"))
    assert json.loads(last.removeprefix(b"data: ")) == {"error": "it broke"}
