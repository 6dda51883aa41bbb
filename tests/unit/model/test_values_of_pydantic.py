"""Models of pydantic in signatures: read, nested, checked, described and answered by their own rules."""

import datetime
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

import headway as hw
from headway.errors import BadInput, BadOutput
from headway.model.call import Block
from headway.model.media import Part
from headway.model.signature import read_signature
from headway.model.wire import Wire


class Address(pydantic.BaseModel):
    street: str
    zip_code: Annotated[str, pydantic.Field(pattern=r"^\d{5}$", alias="zip")]


class User(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    born: datetime.date | None = None
    address: Address | None = None

    @pydantic.field_validator("name")
    @classmethod
    def no_digits(cls, value: str) -> str:
        if any(c.isdigit() for c in value):
            raise ValueError("a name has no digits")
        return value.title()


class Flat(pydantic.BaseModel):
    age: Annotated[int, pydantic.Field(ge=0)]
    word: str = pydantic.Field("none", alias="theWord")


ADDRESS = {"street": "Main", "zip": "12345"}


def one(user: User) -> User:
    return user


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


def asked(function: Any, **inputs: Any) -> Any:
    wire = wire_of(function)
    call = wire.read_json(msgspec.json.encode(inputs))
    value = wire.check_item(function(**wire.item(call, 0)))
    return msgspec.json.decode(wire.write_item(value))


def test_a_part_of_a_form_holds_a_model_as_json() -> None:
    wire = wire_of(one)
    call = wire.read_form([("user", Part(msgspec.json.encode({"name": "ada"})))])
    assert wire.item(call, 0)["user"] == User(name="Ada")
    with pytest.raises(BadInput, match=r"part 'user': .*a name has no digits"):
        wire.read_form([("user", Part(b'{"name": "4da"}'))])


def test_a_model_is_read_by_its_rules_and_answered_by_its_aliases() -> None:
    answer = asked(one, user={"name": "ada", "born": "1815-12-10", "address": ADDRESS})
    assert answer == {"name": "Ada", "born": "1815-12-10", "address": ADDRESS}


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({}, "$.user: name: field required"),
        ({"name": "r2d2"}, "$.user: name: value error, a name has no digits"),
        (
            {"name": "a", "address": {"street": "x", "zip": "1"}},
            "$.user: address.zip: string should match",
        ),
        ({"name": "a", "more": 1}, "$.user: more: extra inputs are not permitted"),
        ({"name": 1}, "$.user: name: input should be a valid string"),
        ([1], "$.user: input should be"),
        (None, "$.user: input should be"),
    ],
)
def test_what_a_model_refuses_is_told_with_its_place(user: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        wire_of(one).read_json(msgspec.json.encode({"user": user}))
    assert said.lower() in caught.value.message.lower()
    assert "pydantic.dev" not in caught.value.message


def test_models_stand_in_lists_structs_and_unions_with_none() -> None:
    @dataclass
    class Party:
        host: User
        guests: list[User]

    def host(party: Party, last: User | None = None) -> dict[str, User]:
        return {"host": party.host, "last": last or party.guests[-1]}

    party = {"host": {"name": "a"}, "guests": [{"name": "b"}, {"name": "c"}]}
    found = asked(host, party=party)
    assert (found["host"]["name"], found["last"]["name"]) == ("A", "C")
    assert asked(host, party=party, last={"name": "d"})["last"]["name"] == "D"
    with pytest.raises(BadInput, match=r"\$\.party\.guests\[1\]: name: value error"):
        asked(host, party={"host": {"name": "a"}, "guests": [{"name": "b"}, {"name": "1"}]})


def test_the_schema_is_pydantics_and_its_definitions_are_lifted() -> None:
    schema = wire_of(one).description.input_schema
    assert schema["properties"]["user"]["properties"]["name"] == {"title": "Name", "type": "string"}
    assert schema["$defs"]["Address"]["properties"]["zip"]["pattern"] == r"^\d{5}$"
    assert wire_of(one).description.output_schema["additionalProperties"] is False


def test_a_flat_model_is_a_tensor_a_field() -> None:
    def same(flat: hw.Batch[Flat]) -> hw.Batch[Flat]:
        return flat

    wire = wire_of(same)
    specs = [(s.name, s.dtype, s.is_optional) for s in wire.description.inputs]
    assert specs == [("age", "int64", False), ("theWord", "bytes", True)]
    call = wire.read_blocks(
        {"age": Block("int64", (2,), [1, 2]), "theWord": Block("bytes", (2,), [b"a", b"b"])}
    )
    blocks = dict(wire.write_blocks(wire.scatter(wire.gather([(call, None)])["flat"], 2)))
    assert (blocks["age"].data, blocks["theWord"].data) == ([1, 2], ["a", "b"])
    call = wire.read_blocks({"age": Block("int64", (1,), [1])})
    assert wire.gather([(call, None)])["flat"][0].word == "none"
    with pytest.raises(BadInput, match=r"\$\[1\]: age: input should be greater"):
        wire.read_blocks({"age": Block("int64", (2,), [1, -1])})


def test_a_nested_model_is_a_tensor_of_json() -> None:
    wire = wire_of(one)
    assert wire.description.inputs[0].is_json
    call = wire.read_blocks({"user": Block("bytes", (1,), [b'{"name":"ada"}'])})
    assert wire.item(call, 0)["user"].name == "Ada"
    with pytest.raises(BadInput, match="name: field required"):
        wire.read_blocks({"user": Block("bytes", (1,), [b"{}"])})


def test_a_dict_is_checked_as_the_model_that_was_promised() -> None:
    wire = wire_of(one)
    assert wire.check_item({"name": "ada"}).name == "Ada"
    with pytest.raises(BadOutput, match="field required"):
        wire.check_item({"nom": "ada"})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_an_integer_of_a_model_has_64_bits(value: int) -> None:
    def age(flat: Flat) -> int:
        return flat.age

    with pytest.raises(BadInput, match="flat: age: expected int"):
        wire_of(age).read_json(msgspec.json.encode({"flat": {"age": value}}))


def test_pydantic_is_imported_only_by_those_who_name_it() -> None:
    code = (
        "import sys, headway.model.wire, headway.model.signature as s\n"
        "def f(a: int) -> int: ...\n"
        "headway.model.wire.Wire(s.read_signature(f))\n"
        "assert not {'pydantic', 'pandas', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Login(pydantic.BaseModel):
    token: pydantic.SecretStr
    tenant: str = pydantic.Field("", exclude=True)
    user: User | None = None
    _held: Any = pydantic.PrivateAttr(None)


@dataclass
class Wrapped:
    login: Login


def with_login(text: hw.Batch[str], login: Login) -> hw.Batch[str]:
    return text


def with_wrapped(text: hw.Batch[str], login: Wrapped) -> hw.Batch[str]:
    return text


def told_apart(function: Any, one: Any, other: Any) -> bool:
    """Whether two questions neither meet in a call nor have the same name in a cache."""
    wire = wire_of(function)
    calls = [wire.read_json(msgspec.json.encode({"text": "a", "login": x})) for x in (one, other)]
    keys, names = ([f(c) for c in calls] for f in (wire.keys, lambda c: wire.identity(c, 0)))
    assert (keys[0] == keys[1]) is (names[0] == names[1])
    return bool(keys[0] != keys[1])


ANNA = {"token": "a", "tenant": "1", "user": {"name": "anna"}}


@pytest.mark.parametrize("other", [{"token": "b"}, {"tenant": "2"}, {"user": {"name": "eve"}}])
def test_what_json_hides_or_leaves_out_tells_models_apart(other: dict[str, Any]) -> None:
    assert told_apart(with_login, ANNA, {**ANNA, **other})
    assert told_apart(with_wrapped, {"login": ANNA}, {"login": {**ANNA, **other}})


def test_models_that_hold_the_same_are_the_same_question() -> None:
    assert not told_apart(with_login, ANNA, ANNA)
    assert not told_apart(with_wrapped, {"login": ANNA}, {"login": ANNA})


def test_a_model_that_holds_what_cant_be_written_down_is_equal_to_none() -> None:
    class Odd(Login):
        def model_post_init(self, context: Any) -> None:
            self._held = iter(lambda: 0, 1)

    def with_odd(text: hw.Batch[str], login: Odd) -> hw.Batch[str]:
        return text

    with_odd.__annotations__ = {"text": hw.Batch[str], "login": Odd, "return": hw.Batch[str]}
    assert told_apart(with_odd, ANNA, ANNA)
