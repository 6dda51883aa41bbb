"""Predict and explain of one model share a grab, and never a batch."""

import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

import headway as hw
from headway import plugins
from headway.engine.cap import Cap
from headway.engine.coroutines import Coroutines
from headway.engine.known import Known
from headway.engine.local import load
from headway.engine.questions import Questions
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.engine.warm import warm
from headway.errors import BadInput, NotOffered, Rejected, SignatureError
from headway.model.opening import open_predictor
from headway.protocols import Ask, Codec

CODECS: dict[str, Codec] = {name: plugins.load("protocols", name) for name in ("native", "v1")}


class Shout(hw.Predictor):
    """Capitals, and why."""

    examples = ({"text": "a", "times": 2},)

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    def predict(self, text: hw.Batch[str], times: int = 1) -> hw.Batch[str]:
        self.calls.append(("predict", list(text)))
        return [t.upper() * times for t in text]

    def explain(self, text: hw.Batch[str]) -> hw.Batch[dict[str, float] | hw.Reject]:
        """Tell which letters were small."""
        self.calls.append(("explain", list(text)))
        if "bad" in text:
            raise ValueError("a bad text")
        return [
            hw.Reject("no text") if not t else {letter: 1.0 for letter in t if letter.islower()}
            for t in text
        ]


class Plain(hw.Predictor):
    def predict(self, text: str) -> str:
        return text


class Heard:
    """What was said, by ticket, and how often a grab was done."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.ends: list[bool] = []

    def say(self, said: list[Said], timing: Timing, is_last: bool) -> None:
        self.said += said
        self.ends.append(is_last)

    def of(self, id: int) -> Any:
        (said,) = [s for s in self.said if s.id == id]
        return said

    def value(self, id: int) -> Any:
        assert self.of(id).error is None
        return msgspec.json.decode(self.of(id).body)


def make(id: int, op: str, body: Any, codec: str = "native") -> Ticket:
    ask = Ask(op, "m", "1", msgspec.json.encode(body), {}, request_id=f"r{id}")
    return Ticket(id, CODECS[codec], ask, time.monotonic() + 60)


def asked(what: Any, tickets: list[Ticket], known: Known | None = None) -> tuple[Any, Heard]:
    opened = open_predictor(what)
    heard = Heard()
    Questions(opened, Bounds(Cap(4), 1000, 60, known)).run(tickets, heard.say)
    return getattr(opened.predict, "__self__", None), heard


def test_each_question_is_answered_by_its_own_method_in_batches_of_its_own() -> None:
    tickets = [
        make(1, "predict", {"text": "ab", "times": 2}),
        make(2, "explain", {"text": "aB"}),
        make(3, "predict", {"text": "c", "times": 2}),
        make(4, "explain", {"instances": ["d", "e"]}, "v1"),
    ]
    predictor, heard = asked(Shout, tickets)
    assert [heard.value(i) for i in (1, 2, 3)] == ["ABAB", {"a": 1.0}, "CC"]
    assert heard.value(4) == {"explanations": [{"d": 1.0}, {"e": 1.0}]}
    assert predictor.calls == [("predict", ["ab", "c"]), ("explain", ["aB", "d", "e"])]
    assert heard.ends[-1] is True
    assert heard.ends.count(True) == 1


@pytest.mark.parametrize("ops", [["explain"], ["predict"], ["explain", "explain"], []])
def test_a_grab_is_done_once_whatever_it_asks(ops: list[str]) -> None:
    _, heard = asked(Shout, [make(i, op, {"text": "a"}) for i, op in enumerate(ops)])
    assert heard.ends.count(True) == 1
    assert {s.id for s in heard.said} == set(range(len(ops)))


def test_explain_checks_its_own_inputs_and_a_bad_one_fails_alone() -> None:
    tickets = [
        make(1, "explain", {"text": "a", "times": 2}),
        make(2, "explain", {"text": "bad"}),
        make(3, "explain", {"text": ""}),
        make(4, "explain", {"text": "b"}),
        make(5, "predict", {"text": "bad"}),
    ]
    _, heard = asked(Shout, tickets)
    assert "times" in heard.of(1).error.message
    assert [heard.of(i).error.code for i in (1, 2, 3)] == ["bad_input", "model_failed", "rejected"]
    assert (heard.value(4), heard.value(5)) == ({"b": 1.0}, "BAD")


def test_a_cancelled_or_late_explanation_is_not_computed() -> None:
    left, late = make(1, "explain", {"text": "a"}), make(2, "explain", {"text": "b"})
    left.cancel()
    late.deadline = -math.inf
    predictor, heard = asked(Shout, [left, late])
    assert [heard.of(i).error.code for i in (1, 2)] == ["cancelled", "deadline"]
    assert predictor.calls == []


@pytest.mark.parametrize(
    ("codec", "body"), [("native", {"text": "a"}), ("v1", {"instances": ["a"]})]
)
def test_a_model_without_explain_says_so_and_answers_on(codec: str, body: Any) -> None:
    tickets = [make(1, "explain", body, codec), make(2, "predict", {"text": "a"})]
    _, heard = asked(Plain, tickets)
    assert isinstance(heard.of(1).error, NotOffered)
    assert heard.of(1).reply.status == 501
    assert "no `explain` method" in msgspec.json.decode(heard.of(1).body)["error"]
    assert heard.value(2) == "a"
    assert heard.ends.count(True) == 1


def test_explanations_are_not_answered_from_what_predict_answered() -> None:
    known = Known(open_predictor(Shout).wire, 1 << 20, 60)
    for op in ("predict", "explain", "predict", "explain"):
        _, heard = asked(Shout, [make(1, op, {"text": "a"})], known)
        assert heard.value(1) == ("A" if op == "predict" else {"a": 1.0})


def test_the_description_tells_of_it_and_its_examples_are_those_that_it_takes() -> None:
    opened = open_predictor(Shout)
    explain = opened.description.explain
    assert explain is not None
    assert opened.explain is not None
    assert list(explain.input_schema["properties"]) == ["text"]
    assert explain.doc == "Tell which letters were small."
    assert explain.examples == ({"text": "a"},)
    assert open_predictor(Plain).description.explain is None
    assert warm(opened.explain, None).item_s is not None


def test_it_is_asked_in_this_process_too() -> None:
    with load(Shout) as ask:
        assert ask.explain(text="aB") == {"a": 1.0}
        assert ask(text="a") == "A"
        with pytest.raises(Rejected):
            ask.explain(text="")
        with pytest.raises(BadInput):
            ask.explain(word="a")
    with load(Plain) as ask, pytest.raises(NotOffered):
        ask.explain(text="a")


def test_one_of_the_two_may_be_async_and_have_the_context() -> None:
    class Slow(hw.Predictor):
        def predict(self, text: str) -> str:
            return text

        async def explain(self, text: str, context: hw.Context) -> str:
            return f"{text} of {context.request_id}"

    opened, heard = open_predictor(Slow), Heard()
    coroutines = Coroutines()
    try:
        questions = Questions(opened, Bounds(Cap(4), 1000, 60), coroutines.await_all)
        questions.run(
            [make(1, "explain", {"text": "a"}), make(2, "predict", {"text": "b"})], heard.say
        )
    finally:
        coroutines.close()
    assert (heard.value(1), heard.value(2)) == ("a of r1", "b")
    with load(Slow) as ask:
        assert ask.explain(text="a") == "a of local"


def test_an_explanation_that_is_a_stream_is_refused_when_it_is_read() -> None:
    class Streams(Plain):
        def explain(self, text: str) -> Iterator[str]:
            yield text

    class AsyncStreams(Plain):
        async def explain(self, text: str) -> AsyncIterator[str]:
            yield text

    for what in (Streams, AsyncStreams):
        with pytest.raises(SignatureError, match=r"explain: a stream"):
            open_predictor(what)
