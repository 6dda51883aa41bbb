"""JSON bodies become calls, or the caller's error; answers become JSON."""

import enum
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import headway as hw
from headway.errors import BadInput, BadOutput, CallerError, UnsupportedMedia
from headway.model.call import Block, Result
from headway.model.signature import read_signature
from headway.model.wire import Wire

Row = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 3)]
Words = Annotated[NDArray[np.int64], hw.Tensor("int64", "batch", None)]
Bytes = Annotated[NDArray[np.uint8], hw.Tensor("uint8", "batch", 2)]
Big = Annotated[NDArray[np.uint64], hw.Tensor("uint64", "batch", 1)]
Half = Annotated[NDArray[np.float16], hw.Tensor("float16", "batch", 1)]
Flags = Annotated[NDArray[np.bool_], hw.Tensor("bool", "batch", 1)]
Grid = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None, None)]


class Mood(enum.Enum):
    """An enum."""

    GOOD = "good"
    BAD = "bad"


@dataclass
class Person:
    """A nested struct."""

    name: str
    tags: list[str] = field(default_factory=list)


class Point(TypedDict):
    """A struct that is a dict."""

    x: float
    y: float


def texts(text: hw.Batch[str], limit: int = 3) -> hw.Batch[dict[str, float] | hw.Reject]:
    return []


def arrays(x: Row) -> Row:
    return x


def every(  # noqa: PLR0917  (one of each)
    mood: Mood,
    side: Literal["l", "r"],
    who: Person,
    at: Point,
    blob: bytes = b"ab",
    ratio: Annotated[float, hw.Meta(ge=0, le=1)] = 0.5,
    names: list[str] | None = None,
    table: dict[str, int] = {"a": 1},  # noqa: B006
) -> str:
    return ""


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


def test_an_object_is_one_item_and_an_array_is_many() -> None:
    wire = wire_of(texts)
    one = wire.read_json(b'{"text":"a"}')
    assert (one.rows, one.is_single, one.columns) == (1, True, {"text": ["a"], "limit": [3]})
    many = wire.read_json(b'[{"text":"a"},{"text":"b","limit":4}]')
    assert (many.rows, many.is_single) == (2, False)
    assert many.columns == {"text": ["a", "b"], "limit": [3, 4]}
    none = wire.read_json(b"[]")
    assert (none.rows, none.is_single) == (0, False)


def integers(  # noqa: PLR0917  (one of each)
    one: int,
    some: list[int],
    named: dict[str, int],
    maybe: int | None,
    counted: Annotated[int, hw.Meta(ge=0)],
    pair: tuple[str, int],
) -> list[int]:
    return some


@pytest.mark.parametrize("name", ["one", "some", "named", "maybe", "counted", "pair"])
def test_an_integer_has_64_bits_wherever_it_stands(name: str) -> None:
    wire = wire_of(integers)

    def given(value: int) -> dict[str, Any]:
        forms = {"some": [1, value], "named": {"a": value}, "pair": ["a", value]}
        fine = {"one": 1, "some": [], "named": {}, "maybe": 1, "counted": 1, "pair": ["a", 1]}
        return {**fine, name: forms.get(name, value)}

    wire.read_json(msgspec.json.encode(given(2**63 - 1)))
    for value in (2**63, 2**64, -(2**63) - 1, 10**30):
        with pytest.raises(BadInput, match=rf"\$\.{name}.*expected .*int"):
            wire.read_json(msgspec.json.encode(given(value)))


@dataclass
class Part:
    """Integers of an author's own type."""

    size: int
    sizes: list[int] = field(default_factory=list)
    ratio: float = 0.5
    parts: "list[Part] | None" = None


class Tagged(TypedDict, total=False):
    """The same as a dict."""

    size: int
    more: dict[str, Any]


def structs(part: Part, tagged: Tagged, anything: Any) -> Part:
    return part


def flat(part: Part) -> dict[str, Part]:
    return {"a": part}


LARGE = (2**63, -(2**63) - 1, 10**30)
PART = {"size": 2**63 - 1, "sizes": [-(2**63)], "ratio": 10**30}
STRUCTS = {"part": PART, "tagged": {"size": 1}, "anything": [{"a": 1}]}
PLACES = [
    ({"part": {"size": "HERE"}}, "$.part.size"),
    ({"part": {"size": 1, "sizes": [1, "HERE"]}}, "$.part.sizes[1]"),
    ({"part": {"size": 1, "parts": [{"size": "HERE"}]}}, "$.part.parts[0].size"),
    ({"tagged": {"size": "HERE"}}, "$.tagged.size"),
    ({"tagged": {"more": {"a": ["HERE"]}}}, "$.tagged.more.a[0]"),
    ({"anything": [{"a": ["HERE"]}]}, "$.anything[0].a[0]"),
]


@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize(("change", "place"), PLACES)
def test_an_integer_has_64_bits_in_a_struct_too(
    change: dict[str, Any], place: str, value: int
) -> None:
    wire = wire_of(structs)
    wire.read_json(msgspec.json.encode(STRUCTS))
    bound = f"<= {2**63 - 1}" if value > 0 else f">= {-(2**63)}"
    body = msgspec.json.encode({**STRUCTS, **change}).replace(b'"HERE"', b"%d" % value)
    with pytest.raises(BadInput) as caught:
        wire.read_json(body)
    assert caught.value.message == f"{place}: expected int {bound}"
    with pytest.raises(BadInput, match=r"\$\[1\]"):
        wire.read_json(b"[" + msgspec.json.encode(STRUCTS) + b"," + body + b"]")


@pytest.mark.parametrize("value", LARGE)
def test_an_integer_of_a_struct_has_64_bits_in_a_tensor_of_json_too(value: int) -> None:
    wire = wire_of(flat)
    good, bad = (b'{"size":%d,"sizes":[1]}' % n for n in (1, value))
    assert wire.read_blocks({"part": Block("bytes", (1,), [good])}).rows == 1
    with pytest.raises(BadInput, match=r"\$\.size: expected int"):
        wire.read_blocks({"part": Block("bytes", (1,), [bad])})


@pytest.mark.parametrize("value", LARGE)
def test_an_answer_that_is_a_struct_has_64_bits_too(value: int) -> None:
    for function, form in ((structs, lambda part: part), (flat, lambda part: {"a": part})):
        wire = wire_of(function)
        fine = form(Part(2**63 - 1, [-(2**63)], 1e30))
        assert b"e30" in wire.write_item(wire.check_item(fine)).replace(b"e+30", b"e30")
        answer = wire.check_item(form(Part(1, [value])))
        with pytest.raises(BadOutput, match=r"sizes\[0\]: expected int"):
            wire.write_item(answer)
        with pytest.raises(BadOutput, match=r"sizes\[0\]: expected int"):
            wire.write_blocks(Result([answer]))


def test_long_digits_that_are_no_integers_are_taken() -> None:
    wire = wire_of(structs)
    anything = ["1" * 40, 0.1234567890123456789, 1e30]
    call = wire.read_json(msgspec.json.encode({**STRUCTS, "anything": anything}))
    assert call.columns["anything"] == [anything]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_an_answer_has_64_bits_too(value: int) -> None:
    def one(a: int) -> int:
        return a

    wire = wire_of(one)
    wire.check_item(2**63 - 1)
    with pytest.raises(BadOutput, match="64 bits"):
        wire.check_item(value)
    with pytest.raises(BadOutput, match="expected int"):
        wire_of(integers).check_item([1, value])


def test_every_type_of_the_table_is_read() -> None:
    wire = wire_of(every)
    body = {"mood": "good", "side": "l", "who": {"name": "n"}, "at": {"x": 1, "y": 2}}
    call = wire.read_json(msgspec.json.encode(body))
    assert wire.item(call, 0) == {
        "mood": Mood.GOOD,
        "side": "l",
        "who": Person("n"),
        "at": {"x": 1.0, "y": 2.0},
        "blob": b"ab",
        "ratio": 0.5,
        "names": None,
        "table": {"a": 1},
    }
    again = wire.read_json(msgspec.json.encode(body))
    assert wire.item(again, 0)["table"] is not wire.item(call, 0)["table"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b" ", "truncated"),
        (b"{", "truncated"),
        (b'{"text":"a"}}', "trailing"),
        (b'{"text":"a"}{"text":"b"}', "trailing"),
        (b"3", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b"[3]", "$[0]: expected object, got int"),
        (b"[[]]", "$[0]"),
        (b'{"text":1}', "$.text: expected str, got int"),
        (b'[{"text":"a"},{"text":1}]', "$[1].text: expected str, got int"),
        (b'{"text":null}', "$.text"),
        (b"{}", "missing required field text"),
        (b'{"text":"a","more":1}', "unknown field more"),
        (b'{"text":"a","limit":1.5}', "$.limit: expected int, got float"),
        (b'{"text":"a","limit":true}', "$.limit"),
        (b'{"text":"a","limit":"1"}', "$.limit"),
        (b'{"text":"a","limit":9223372036854775808}', "$.limit"),
        (b'{"text":"a","limit":' + b"1" * 5000 + b"}", "$.limit"),
        (b'{"text":"a","limit":NaN}', "malformed"),
        (b'{"text":"\xff"}', "UTF-8"),
        (b'{"\xff":"a"}', "UTF-8"),
        (b'{"text":"\\ud800"}', ""),
        (b'{"text":"\x01"}', "malformed"),
        (b"\xef\xbb\xbf{}", "malformed"),
        (b"[" * 200_000, ""),
        (b'{"text":' + b"[" * 200_000, ""),
        (b"{'text':1}", "malformed"),
        (b'{"text":"a"} // no', "trailing"),
    ],
)
def test_bad_json_is_the_callers_mistake(body: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        wire_of(texts).read_json(body)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"mood": "fine"},
        {"side": "m"},
        {"who": {}},
        {"at": {"x": 1}},
        {"blob": "?"},
        {"ratio": 2},
        {"names": [1]},
        {"table": {"a": "1"}},
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(change: dict[str, Any]) -> None:
    body = {"mood": "good", "side": "l", "who": {"name": "n"}, "at": {"x": 1, "y": 2}, **change}
    with pytest.raises(BadInput) as caught:
        wire_of(every).read_json(msgspec.json.encode(body))
    assert f"$.{next(iter(change))}" in caught.value.message


def test_an_open_value_that_nests_too_deeply_is_refused() -> None:
    def anything(value: Any) -> str:
        return ""

    with pytest.raises(BadInput):
        wire_of(anything).read_json(b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def _array_function(mark: Any) -> Any:
    def predict(x: mark) -> hw.Batch[int]:
        return []

    return predict


@pytest.mark.parametrize(
    ("mark", "value"),
    [
        (Row, [1, 2]),
        (Row, [1, 2, 3, 4]),
        (Row, [1, 2, [3]]),
        (Row, [[1, 2, 3]]),
        (Row, [1, 2, "3"]),
        (Row, [1, 2, True]),
        (Row, [1, 2, None]),
        (Row, [1, 2, 1e39]),
        (Row, "abc"),
        (Half, [70000]),
        (Bytes, [300, 1]),
        (Bytes, [-1, 1]),
        (Bytes, [1.5, 1]),
        (Bytes, [True, 1]),
        (Words, [2**63]),
        (Words, [1.5]),
        (Words, [[1]]),
        (Words, 3),
        (Big, [2**64]),
        (Big, [-1]),
        (Flags, [1]),
        (Grid, [[1, 2], [3]]),
        (Grid, [[], [1]]),
        (Grid, [1, 2]),
    ],
)
def test_a_number_or_shape_that_does_not_fit_is_refused(mark: Any, value: Any) -> None:
    wire = wire_of(_array_function(mark))
    body = msgspec.json.encode({"x": value})
    with pytest.raises(CallerError):
        wire.gather([(wire.read_json(body), None)])


@pytest.mark.parametrize(
    ("mark", "value"),
    [
        (Row, [1, 2.5, -0.0]),
        (Half, [65504]),
        (Bytes, [0, 255]),
        (Words, [-(2**63), 2**63 - 1]),
        (Words, []),
        (Big, [2**64 - 1]),
        (Flags, [True]),
        (Grid, [[1, 2], [3, 4]]),
        (Grid, []),
        (Grid, [[], []]),
    ],
)
def test_the_edges_of_each_dtype_arrive_exactly(mark: Any, value: Any) -> None:
    wire = wire_of(_array_function(mark))
    call = wire.read_json(msgspec.json.encode([{"x": value}, {"x": value}]))
    array = wire.gather([(call, None)])["x"]
    assert array.shape[0] == 2
    assert array.dtype == wire.description.inputs[0].dtype
    assert array.tolist() == [value, value]


def test_bare_bodies_feed_the_only_input() -> None:
    wire = wire_of(texts)
    call = wire.read_media("text/plain; charset=utf-8", "grüß".encode())
    assert (call.columns, call.is_single) == ({"text": ["grüß"], "limit": [3]}, True)
    with pytest.raises(BadInput):
        wire.read_media("text/plain", b"\xff")
    for media in ("image/png", "", "application/x-www-form-urlencoded"):
        with pytest.raises(UnsupportedMedia):
            wire.read_media(media, b"")
    with pytest.raises(UnsupportedMedia):
        wire_of(every).read_media("text/plain", b"a")


def test_answers_are_written_as_a_value_or_a_list() -> None:
    wire = wire_of(texts)
    result = wire.scatter([{"a": 1}, {"a": 2}], 2)
    assert wire.write_json(result, is_single=False) == b'[{"a":1.0},{"a":2.0}]'
    first, second = wire.split(result, [1, 1])
    assert wire.write_json(second, is_single=True) == b'{"a":2.0}'
    assert wire.write_json(first, is_single=False) == b'[{"a":1.0}]'
    assert wire.write_json(wire.empty(), is_single=False) == b"[]"
    assert wire.write_item({"a": 2.0}) == b'{"a":2.0}'


def test_arrays_are_written_as_lists_and_what_is_no_number_as_null() -> None:
    wire = wire_of(arrays)
    answer = np.array([[1, np.nan, 3], [np.inf, 5, -np.inf]], np.float32)
    result = wire.scatter(answer, 2)
    assert wire.write_json(result, is_single=False) == b"[[1.0,null,3.0],[null,5.0,null]]"
    assert wire.write_json(wire.split(result, [1, 1])[1], is_single=True) == b"[null,5.0,null]"
    assert wire.write_json(wire.empty(), is_single=False) == b"[]"
    assert wire.write_item(answer[0]) == b"[1.0,null,3.0]"


def test_an_answer_that_json_cannot_hold_is_the_models_mistake() -> None:
    def anything(text: str) -> Any:
        return None

    wire = wire_of(anything)
    with pytest.raises(BadOutput):
        wire.write_json(Result([object()]), is_single=True)
    with pytest.raises(BadOutput):
        wire.write_blocks(Result([object()]))
    assert wire.write_item(wire.check_item({"a": np.float32(1.5), "b": np.arange(2)})) == (
        b'{"a":1.5,"b":[0,1]}'
    )


def test_bodies_of_different_callers_stay_apart() -> None:
    """Four bodies that were one valid array, joined by commas, are four, and three are bad."""
    wire = wire_of(texts)
    bodies = [b'{"text":"x"},{"text":"y"}', b'{"text":"SECRET"}', b'{"text":"', b'"}']
    outcomes = []
    for body in bodies:
        try:
            outcomes.append(wire.read_json(body).columns["text"])
        except BadInput:
            outcomes.append(None)
    assert outcomes == [None, ["SECRET"], None, None]
