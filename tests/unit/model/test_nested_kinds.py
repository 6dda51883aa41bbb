"""Kinds inside of other types, asked and answered; and forms."""

import base64
import io
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import headway as hw
from headway.errors import BadInput, BadOutput, SignatureError
from headway.model.media import Part
from headway.model.signature import read_signature
from headway.model.wire import Wire

Vector = Annotated[NDArray[np.float32], hw.Tensor("float32", 2)]


@dataclass
class Card:
    title: Annotated[str, hw.Meta(max_length=5)]
    photo: Image.Image
    vector: Vector
    rest: list[Image.Image] = field(default_factory=list)
    more: dict[str, hw.File | None] | None = None


class Loose(TypedDict):
    photo: Image.Image
    note: NotRequired[str]


class Seen(msgspec.Struct, tag=True):
    photo: Image.Image


class Read(msgspec.Struct, tag=True):
    text: str


def same_card(card: Card) -> Card:
    return card


def same_loose(loose: Loose) -> Loose:
    return loose


def either(what: Seen | Read) -> Seen | Read:
    return what


def pair(two: tuple[Image.Image, int]) -> tuple[Image.Image, int]:
    return two


def maybe(photo: Image.Image | None = None, scale: float = 1.0) -> Image.Image | None:
    return photo


def many(
    photos: Annotated[list[Image.Image], hw.Meta(max_length=3)], count: int = 0, title: str = ""
) -> int:
    return len(photos)


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(out, "PNG")
    return out.getvalue()


PNG = base64.b64encode(png()).decode()


def asked(wire: Wire, value: Any) -> Any:
    name = wire.signature.parameters[0].name
    call = wire.read_json(msgspec.json.encode({name: value}))
    return wire.item(call, 0)[name]


def answered(wire: Wire, value: Any) -> Any:
    return msgspec.json.decode(wire.write_item(wire.check_item(value)))


def test_a_dataclass_holds_kinds_both_ways() -> None:
    wire = wire_of(same_card)
    sent = {
        "title": "t",
        "photo": PNG,
        "vector": [1.0, 2.0],
        "rest": [PNG, PNG],
        "more": {"a": "data:text/plain;base64,Zm91cg==", "b": None},
    }
    card = asked(wire, sent)
    assert isinstance(card, Card)
    assert card.photo.size == (3, 2)
    assert card.vector.dtype == np.float32
    assert [p.size for p in card.rest] == [(3, 2)] * 2
    assert card.more == {"a": hw.File(b"four", "", "text/plain"), "b": None}
    back = answered(wire, card)
    assert back["vector"] == [1.0, 2.0]
    assert back["more"] == sent["more"]
    assert asked(wire, back).photo.tobytes() == card.photo.tobytes()
    assert asked(wire, {k: sent[k] for k in ("title", "photo", "vector")}).rest == []
    assert wire.description.inputs[0].is_json


def test_schema_of_a_nested_kind_says_what_it_is() -> None:
    schema = wire_of(same_card).description.input_schema["$defs"]["Card"]["properties"]
    assert schema["photo"]["contentMediaType"] == "image/png"
    assert schema["title"]["maxLength"] == 5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"photo": "%%"}, "picture"),
        ({"photo": 1}, r"\$.card.photo"),
        ({"vector": [1.0]}, r"\$.card.vector"),
        ({"title": "too long"}, r"\$.card.title"),
        ({"rest": [PNG, "Zm91cg=="]}, "picture"),
        ({"more": {"a": "data:,x"}}, "file"),
    ],
)
def test_what_is_wrong_inside_is_the_callers_mistake(change: Any, word: str) -> None:
    sent = {"title": "t", "photo": PNG, "vector": [1.0, 2.0], **change}
    with pytest.raises(BadInput, match=word):
        asked(wire_of(same_card), sent)


def test_typed_dicts_tuples_and_tagged_unions_hold_kinds() -> None:
    wire = wire_of(same_loose)
    assert set(asked(wire, {"photo": PNG})) == {"photo"}
    assert answered(wire, asked(wire, {"photo": PNG, "note": "n"}))["note"] == "n"
    assert asked(wire_of(pair), [PNG, 3])[1] == 3
    wire = wire_of(either)
    assert asked(wire, {"type": "Seen", "photo": PNG}).photo.size == (3, 2)
    assert asked(wire, {"type": "Read", "text": "x"}) == Read("x")
    assert answered(wire, Read("x")) == {"type": "Read", "text": "x"}
    assert answered(wire, Seen(Image.new("L", (1, 1))))["type"] == "Seen"


def test_a_picture_may_be_left_out() -> None:
    wire = wire_of(maybe)
    for call in (wire.read_json(b"{}"), wire.read_json(b'{"photo":null}'), wire.read_form([])):
        assert wire.item(call, 0)["photo"] is None
    assert asked(wire, PNG).size == (3, 2)
    assert wire.item(wire.read_media("image/png", png()), 0)["photo"].size == (3, 2)
    assert answered(wire, None) is None
    assert not wire.description.inputs[0].is_json


@pytest.mark.parametrize("answer", [None, "x", Card("t", "no picture", np.zeros(2, np.float32))])  # type: ignore[arg-type]
def test_another_answer_is_the_models_mistake(answer: Any) -> None:
    with pytest.raises(BadOutput):
        wire_of(same_card).check_item(answer)


def test_unions_that_json_can_not_tell_apart_are_refused() -> None:
    def unclear(what: list[Image.Image | str]) -> int:
        raise NotImplementedError

    with pytest.raises(SignatureError, match="union"):
        read_signature(unclear)


# Forms


def test_a_form_has_a_part_for_each_input() -> None:
    wire = wire_of(many)
    files = [("photos", Part(png(), "a.png", "image/png"))]
    call = wire.read_form([*files * 2, ("count", Part(b"7")), ("title", Part(b"7"))])
    item = wire.item(call, 0)
    assert [p.size for p in item["photos"]] == [(3, 2)] * 2
    assert (item["count"], item["title"]) == (7, "7")
    one = wire.read_form([*files, ("count", Part(b""))])
    assert wire.item(one, 0)["count"] == 0
    assert len(wire.item(one, 0)["photos"]) == 1


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ([("count", Part(b"x"))], "count"),
        ([("count", Part(b"1")), ("count", Part(b"2"))], "one of this name"),
        ([("title", Part(b"\xff"))], "UTF-8"),
        ([("other", Part(b""))], "no input named 'other'"),
        ([("photos", Part(png(), "b.png"))] * 3, "length"),
        ([("count", Part(b"9223372036854775808"))], "count"),
    ],
)
def test_a_wrong_part_is_the_callers_mistake(more: Any, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        wire_of(many).read_form([("photos", Part(png(), "a.png")), *more])


def test_a_missing_part_is_named() -> None:
    with pytest.raises(BadInput, match="'photos' is missing"):
        wire_of(many).read_form([("count", Part(b"1"))])


class Tree(msgspec.Struct):
    photo: Image.Image
    below: list["Tree"] = []


def test_a_type_that_holds_itself_and_a_picture_is_refused() -> None:
    def grow(tree: Tree) -> int:
        raise NotImplementedError

    with pytest.raises(SignatureError, match="holds itself"):
        read_signature(grow)
