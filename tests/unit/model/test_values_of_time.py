"""Dates, times, decimals and UUIDs as values: in JSON, in tensors of JSON, and in unions."""

import datetime
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

import headway as hw
from headway.errors import BadInput, SignatureError
from headway.model.call import Block
from headway.model.signature import read_signature
from headway.model.wire import Wire

Aware = Annotated[datetime.datetime, hw.Meta(tz=True)]
CASES: list[tuple[Any, str, Any]] = [
    (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.datetime, "2024-02-29T12:00:00", datetime.datetime(2024, 2, 29, 12)),
    (
        datetime.datetime,
        "2024-02-29T12:00:00Z",
        datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    ),
    (Aware, "2024-02-29T12:00:00Z", datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)),
    (datetime.time, "12:30:00", datetime.time(12, 30)),
    (datetime.timedelta, "P1DT2S", datetime.timedelta(days=1, seconds=2)),
    (Decimal, "1.50", Decimal("1.50")),
    (
        uuid.UUID,
        "12345678-1234-5678-1234-567812345678",
        uuid.UUID("12345678-1234-5678-1234-567812345678"),
    ),
]
WRONG: list[tuple[Any, Any]] = [
    (datetime.date, "2024-02-30"),
    (datetime.date, "2024-02-29T00:00:00"),
    (datetime.date, 1),
    (datetime.datetime, "2024-02-29"),
    (datetime.datetime, "2024-02-29T25:00:00"),
    (Aware, "2024-02-29T12:00:00"),
    (datetime.time, "25:00:00"),
    (datetime.timedelta, "1 day"),
    (Decimal, "one"),
    (uuid.UUID, "1234"),
]


def wire_of(kind: Any) -> Wire:
    def same(value: kind, maybe: kind | None = None) -> kind:
        raise NotImplementedError

    return Wire(read_signature(same))


@pytest.mark.parametrize(("kind", "text", "value"), CASES)
def test_each_is_text_in_json_and_json_in_a_tensor(kind: Any, text: str, value: Any) -> None:
    wire = wire_of(kind)
    call = wire.read_json(msgspec.json.encode({"value": text, "maybe": text}))
    assert wire.item(call, 0) == {"value": value, "maybe": value}
    assert wire.item(wire.read_json(msgspec.json.encode({"value": text})), 0)["maybe"] is None
    assert msgspec.json.decode(wire.write_item(wire.check_item(value))) == text
    assert wire.description.inputs[0].is_json
    block = Block("bytes", (1,), [msgspec.json.encode(text)])
    assert wire.item(wire.read_blocks({"value": block}), 0)["value"] == value
    ((_, out),) = wire.write_blocks(wire.scatter([value], 1))
    assert out.data == [msgspec.json.encode(text)]


@pytest.mark.parametrize(("kind", "value"), WRONG)
def test_what_is_none_is_refused_with_its_place(kind: Any, value: Any) -> None:
    with pytest.raises(BadInput, match=r"^\$\.value: "):
        wire_of(kind).read_json(msgspec.json.encode({"value": value}))


def test_unions_are_told_apart_by_what_json_tells_apart() -> None:
    @dataclass
    class Box:
        size: int

    def pick(value: int | str | list[float] | Box | None) -> str:
        return type(value).__name__

    wire = Wire(read_signature(pick))
    for value, name in (
        (1, "int"),
        ("a", "str"),
        ([1.0], "list"),
        ({"size": 1}, "Box"),
        (None, "NoneType"),
    ):
        call = wire.read_json(msgspec.json.encode({"value": value}))
        assert type(wire.item(call, 0)["value"]).__name__ == name
    with pytest.raises(
        BadInput, match=r"\$\.value: expected int \| str \| object \| array \| null, got bool"
    ):
        wire.read_json(b'{"value":true}')


def test_a_union_that_json_does_not_tell_apart_is_refused_at_load() -> None:
    def either(value: datetime.date | str) -> int:
        return 1

    with pytest.raises(SignatureError, match="more than one str-like type"):
        read_signature(either)
