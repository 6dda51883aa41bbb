"""Pictures and tables: read from JSON and tensors, checked, and written."""

import base64
import io
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
import pytest
from PIL import Image

import headway as hw
from headway.errors import BadInput, BadOutput, CallerError, SignatureError
from headway.model.call import Block
from headway.model.signature import read_signature
from headway.model.wire import Wire


@dataclass
class Passenger:
    """One passenger."""

    age: Annotated[float, hw.Meta(ge=0, le=120, description="in years")]
    fare: float
    sex: Literal["female", "male"]
    cabin: str | None = None


Passengers = Annotated[pd.DataFrame, hw.Rows(Passenger)]


def survival(passengers: Passengers) -> hw.Batch[float]:
    return []


def same(passengers: Passengers) -> Passengers:
    return passengers


def photos(photo: hw.Batch[Image.Image], zoom: float = 1.0) -> hw.Batch[Image.Image]:
    return photo


def sizes(photo: Image.Image) -> tuple[int, int]:
    return photo.size


def picture(form: str = "PNG", colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(out, form)
    return out.getvalue()


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


ITEM = {"age": 29, "fare": 211.5, "sex": "female"}


def test_the_fields_of_a_row_are_the_inputs() -> None:
    wire = wire_of(survival)
    call = wire.read_json(msgspec.json.encode([ITEM, {**ITEM, "cabin": "B5"}]))
    frame = wire.gather([(call, None), (wire.read_json(msgspec.json.encode(ITEM)), None)])[
        "passengers"
    ]
    assert list(frame.columns) == ["age", "fare", "sex", "cabin"]
    assert frame["age"].tolist() == [29.0, 29.0, 29.0]
    assert str(frame["age"].dtype) == "float64"
    assert frame["cabin"].tolist() == [None, "B5", None]
    schema = wire.description.input_schema
    assert schema["required"] == ["age", "fare", "sex"]
    assert schema["properties"]["age"]["maximum"] == 120
    assert [s.name for s in wire.description.inputs] == ["age", "fare", "sex", "cabin"]


@pytest.mark.parametrize(
    "change", [{"age": -1}, {"age": "29"}, {"sex": "x"}, {"more": 1}, {"cabin": 3}, {"fare": None}]
)
def test_a_wrong_row_is_refused(change: dict[str, Any]) -> None:
    body = msgspec.json.encode({**ITEM, **change})
    with pytest.raises(BadInput):
        wire_of(survival).read_json(body)


def test_a_table_is_read_from_columns() -> None:
    wire = wire_of(survival)
    blocks = {
        "age": Block("float64", (2,), [1.0, 2.0]),
        "fare": Block("float64", (2,), [3.0, 4.0]),
        "sex": Block("bytes", (2,), [b"male", b"female"]),
    }
    frame = wire.gather([(wire.read_blocks(blocks), None)])["passengers"]
    assert frame["sex"].tolist() == ["male", "female"]
    with pytest.raises(BadInput):
        wire.read_blocks({**blocks, "age": Block("float64", (2,), [1.0, 121.0])})


def test_a_table_is_answered_row_by_row() -> None:
    wire = wire_of(same)
    call = wire.read_json(msgspec.json.encode([ITEM, {**ITEM, "age": 30}]))
    result = wire.scatter(wire.gather([(call, None)])["passengers"], 2)
    second = wire.split(result, [1, 1])[1]
    answer = msgspec.json.decode(wire.write_json(second, is_single=True))
    assert answer == {**ITEM, "age": 30.0, "cabin": None}
    with pytest.raises(BadOutput):
        wire.scatter(pd.DataFrame({"age": [1.0]}), 1)
    with pytest.raises(BadOutput):
        wire.scatter(wire.gather([(call, None)])["passengers"], 3)


def test_a_table_needs_a_type_of_rows() -> None:
    def bare(rows: pd.DataFrame) -> hw.Batch[float]:
        return []

    def odd(rows: Annotated[pd.DataFrame, hw.Rows(int)]) -> hw.Batch[float]:
        return []

    def strange(rows: Annotated[str, hw.Rows(Passenger)]) -> hw.Batch[float]:
        return []

    for function, word in ((bare, "hw.Rows"), (odd, "dataclass"), (strange, "DataFrame")):
        with pytest.raises(SignatureError, match=word):
            read_signature(function)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_read_from_base64_data_urls_tensors_and_bare_bodies(form: str) -> None:
    wire = wire_of(photos)
    content = picture(form)
    text = base64.b64encode(content).decode()
    calls = [
        wire.read_json(msgspec.json.encode({"photo": text})),
        wire.read_json(msgspec.json.encode({"photo": f"data:image/png;base64,{text}"})),
        wire.read_blocks({"photo": Block("bytes", (1,), [content])}),
        wire.read_media(f"image/{form.lower()}", content),
    ]
    arguments = wire.gather([(call, None) for call in calls])
    assert [p.size for p in arguments["photo"]] == [(3, 2)] * 4
    assert arguments["zoom"] == 1.0
    assert [wire.item(call, 0)["photo"].size for call in calls] == [(3, 2)] * 4


def _bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "value",
    ["", "no", "%%%", "data:image/png,xyz", base64.b64encode(b"GIF89a").decode(), picture()[:40]],
)
def test_what_is_no_picture_is_refused(value: str | bytes) -> None:
    wire = wire_of(sizes)
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    with pytest.raises(BadInput):
        wire.item(wire.read_json(msgspec.json.encode({"photo": text})), 0)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    wire = wire_of(sizes)
    with pytest.raises(CallerError, match="pixels"):
        wire.item(wire.read_media("image/png", _bomb()), 0)


def test_pictures_are_answered_as_png() -> None:
    wire = wire_of(photos)
    result = wire.scatter([Image.new("L", (5, 4))], 1)
    text = msgspec.json.decode(wire.write_json(result, is_single=True))
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (5, 4)
    ((_, block),) = wire.write_blocks(result)
    assert Image.open(io.BytesIO(block.data[0])).size == (5, 4)
    with pytest.raises(BadOutput):
        wire.scatter(["no picture"], 1)


def test_a_struct_may_hold_a_picture_in_an_answer() -> None:
    @dataclass
    class Page:
        title: str
        preview: Image.Image

    def read(photo: Image.Image) -> Page:
        raise NotImplementedError

    wire = wire_of(read)
    assert wire.description.outputs[0].is_json
    value = wire.check_item(Page("t", Image.new("L", (5, 4))))
    answer = msgspec.json.decode(wire.write_item(value))
    assert answer["title"] == "t"
    assert base64.b64decode(answer["preview"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_of_a_table_has_64_bits(value: int) -> None:
    @dataclass
    class Row:
        count: int
        more: int | None = None

    def counts(rows: Annotated[pd.DataFrame, hw.Rows(Row)]) -> hw.Batch[int]:
        raise NotImplementedError

    wire = wire_of(counts)
    wire.read_json(msgspec.json.encode({"count": 2**63 - 1, "more": -(2**63)}))
    for row in ({"count": value}, {"count": 1, "more": value}):
        with pytest.raises(BadInput, match=r"expected int"):
            wire.read_json(msgspec.json.encode(row))
