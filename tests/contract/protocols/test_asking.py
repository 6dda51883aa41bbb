"""The other way round: a question that a protocol writes is read by it, and its answer is read back."""

import base64
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway.errors import BadInput, BadOutput
from headway.model.call import Call, Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Codec, Reply, path_of, serves

Items = Sequence[dict[str, Any]]


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Thing:
    name: str
    size: Size = Size.SMALL
    weight: float | None = None


@dataclass
class Seen:
    name: str
    count: int
    is_heavy: bool
    raw: bytes


@dataclass
class Deep:
    words: list[str]
    scores: dict[str, float]


def texts(text: Batch[str]) -> Batch[str]:
    return [t[::-1] for t in text]


def things(thing: Thing, scale: float = 2.0) -> Seen:
    return Seen(thing.name, len(thing.name), (thing.weight or 0) * scale > 1, thing.name.encode())


def deep(things: list[Thing], mode: Literal["a", "b"]) -> Deep:
    return Deep([t.name for t in things], {mode: float(len(things))})


def raw(content: bytes) -> bytes:
    return content[::-1]


def arrays(
    pixels: Annotated[NDArray[np.float32], Tensor("float32", "batch", 2, None)],
    flags: Annotated[NDArray[np.bool_], Tensor("bool", "batch")],
) -> Annotated[NDArray[np.float64], Tensor("float64", "batch", None)]:
    return np.where(flags[:, None], pixels.sum(axis=1), np.nan).astype(np.float64)


def exact(größe: Batch[int]) -> Batch[int]:  # noqa: PLC2401  (a name is its author's)
    return größe


def vector(text: Batch[str]) -> Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]:
    return np.asarray([[len(t), 0.1] for t in text], np.float32)


def whole(number: Batch[int]) -> Batch[list[int]]:
    return [[n, n + 1] for n in number]


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
THING = st.fixed_dictionaries(
    {"name": TEXT, "size": st.sampled_from("sl"), "weight": st.floats(-5, 5)}
)
QUESTIONS: dict[Callable[..., Any], st.SearchStrategy[dict[str, Any]]] = {
    texts: st.fixed_dictionaries({"text": TEXT}),
    things: st.fixed_dictionaries({"thing": THING, "scale": st.floats(0, 9)}),
    deep: st.fixed_dictionaries(
        {"things": st.lists(THING, max_size=2), "mode": st.sampled_from("ab")}
    ),
    raw: st.fixed_dictionaries(
        {"content": st.binary(max_size=5).map(lambda b: base64.b64encode(b).decode())}
    ),
    arrays: st.fixed_dictionaries(
        {
            "pixels": st.lists(
                st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=2, max_size=2
            ),
            "flags": st.booleans(),
        }
    ),
    exact: st.fixed_dictionaries({"größe": st.integers(-(2**63), 2**63 - 1)}),
    whole: st.fixed_dictionaries({"number": st.integers(-(2**60), 2**60)}),
    vector: st.fixed_dictionaries({"text": TEXT}),
}


def answered(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if wire.signature.is_batched:
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    return Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])


def asked(codec: ModuleType, way: str, function: Callable[..., Any], items: Items) -> list[Any]:
    """Write, decode, answer, encode, read."""
    wire = Wire(read_signature(function), name="it")
    ask: Ask = codec.ask(wire.description, items, way)
    assert {r.op for r in codec.ROUTES} >= {ask.op}
    call = codec.decode(ask, wire)
    assert call.rows == len(items)
    reply = codec.encode(ask, call, answered(function, wire, call), wire)
    answers: list[Any] = codec.read(wire.description, reply, len(items))
    return answers


def ways(codec: ModuleType, function: Callable[..., Any]) -> list[str]:
    """How a dialect asks about such a model."""
    model = Wire(read_signature(function), name="it").description
    return list(getattr(codec, "WAYS", ())) if serves(cast("Codec", codec), model) else []


def in_json(function: Callable[..., Any], items: Items) -> list[Any]:
    """What the wire table itself reads and writes."""
    wire = Wire(read_signature(function), name="it")
    call = wire.read_json(msgspec.json.encode(list(items)))
    answer = wire.write_json(answered(function, wire, call), is_single=False)
    answers: list[Any] = msgspec.json.decode(answer)
    return answers


@pytest.mark.parametrize("function", QUESTIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_way_gives_the_answers_that_json_has(
    codec: ModuleType, function: Callable[..., Any], data: st.DataObject
) -> None:
    items = data.draw(st.lists(QUESTIONS[function], min_size=1, max_size=3))
    for way in ways(codec, function):
        assert asked_as_it_can(codec, way, function, items) == in_json(function, items)


def asked_as_it_can(
    codec: ModuleType, way: str, function: Callable[..., Any], items: Items
) -> list[Any]:
    """All items in one question; one by one in a dialect that can't say it otherwise."""
    model = Wire(read_signature(function), name="it").description
    try:
        codec.ask(model, items, way)
    except BadInput:
        assert len(items) > 1
        return [answer for item in items for answer in asked(codec, way, function, [item])]
    return asked(codec, way, function, items)


def test_a_protocol_that_asks_serves_texts_or_vectors_of_them(codec: ModuleType) -> None:
    assert list(getattr(codec, "WAYS", [])) in [ways(codec, texts), ways(codec, vector)]


def test_an_item_that_leaves_something_out_has_its_default(codec: ModuleType) -> None:
    item = {"thing": {"name": "box"}}
    for way in ways(codec, things):
        assert asked(codec, way, things, [item]) == in_json(things, [item])


def test_a_question_has_a_path_whether_it_names_a_version_or_not(codec: ModuleType) -> None:
    for function in (texts, vector):
        model = Wire(read_signature(function), name="it").description
        for way in ways(codec, function):
            ask = codec.ask(model, [{"text": "a"}], way)
            path = path_of(codec.ROUTES, ask)
            ask.version = "7"
            named = path_of(codec.ROUTES, ask)
            assert "{" not in path + named
            has_version = any("{version}" in r.path and r.op == ask.op for r in codec.ROUTES)
            assert ("7" in named) == has_version


def test_a_stream_is_read_item_by_item(codec: ModuleType) -> None:
    def words(text: str) -> Iterator[dict[str, str]]:
        yield from ({"word": word} for word in text.split())

    wire = Wire(read_signature(words), name="it")
    for way in ways(codec, words):
        ask = codec.ask(wire.description, [{"text": "a b"}], way)
        call = codec.decode(ask, wire)
        values = list(words(**wire.item(call, 0)))
        body = b"".join(codec.chunk(ask, call, wire.check_item(v), wire) for v in values)
        assert codec.read(wire.description, Reply(200, body), 1) == [[{"word": "a"}, {"word": "b"}]]
        broken = body + codec.chunk_error(ask, BadInput("it broke"))
        with pytest.raises(BadOutput, match="the stream ended with an error: it broke"):
            codec.read(wire.description, Reply(200, broken), 1)
        assert codec.read(wire.description, Reply(200, b""), 1) == [[]]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"outputs":7}', b'{"outputs":[{}]}', b"\xff"]
)
def test_a_reply_that_is_none_is_bad_output_and_nothing_else(
    codec: ModuleType, body: bytes
) -> None:
    wire = Wire(read_signature(texts), name="it")
    for _ in getattr(codec, "WAYS", ()):
        try:
            codec.read(wire.description, Reply(200, body), 2)
        except BadOutput:
            continue


@pytest.mark.parametrize(
    ("function", "item"),
    [
        (texts, {"text": 7}),
        (arrays, {"pixels": 1.0, "flags": True}),
        (raw, {"content": "?"}),
        (things, {"thing": 1}),
    ],
)
def test_an_item_of_another_type_is_refused_and_not_asked_as_something_else(
    codec: ModuleType, function: Callable[..., Any], item: dict[str, Any]
) -> None:
    wire = Wire(read_signature(function), name="it")
    for way in getattr(codec, "WAYS", ()):
        with pytest.raises(BadInput):
            codec.decode(codec.ask(wire.description, [item], way), wire)


def items_of_no_common_tensor() -> list[tuple[Callable[..., Any], Items, str]]:
    pixels = {"pixels": [[1.0], [2.0]], "flags": True}
    wider = {"pixels": [[1.0, 1.0], [2.0, 2.0]], "flags": True}
    return [
        (
            things,
            [{"thing": {"name": "a"}, "scale": 1.0}, {"thing": {"name": "b"}}],
            "leave it out",
        ),
        (arrays, [pixels, wider], "different lengths"),
    ]


@pytest.mark.parametrize(("function", "items", "told"), items_of_no_common_tensor())
def test_v2_says_which_items_need_a_request_each(
    function: Callable[..., Any], items: Items, told: str
) -> None:
    from headway import plugins

    codec = plugins.load("protocols", "v2")
    model = Wire(read_signature(function), name="it").description
    for way in codec.WAYS:
        with pytest.raises(BadInput, match=told):
            codec.ask(model, items, way)
