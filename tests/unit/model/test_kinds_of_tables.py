"""Tables of pandas, polars and pyarrow: one wire, and each library's own columns, by the row's type alone."""

import contextlib
import datetime
import enum
import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pydantic
import pytest

import headway as hw
from headway.errors import BadInput, BadOutput, CallerError, SignatureError, TooLarge
from headway.model.signature import read_signature
from headway.model.wire import Wire

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
FORMS = (CSV, PARQUET, STREAM, FILE)
LIBRARIES: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Row:
    age: Annotated[float, hw.Meta(ge=0, le=120)]
    count: int
    is_new: bool
    name: str
    sex: Literal["female", "male"]
    colour: Colour
    day: datetime.date
    at: datetime.datetime
    instant: Annotated[datetime.datetime, hw.Meta(tz=True)]
    clock: datetime.time
    took: datetime.timedelta
    price: Decimal
    ident: uuid.UUID
    raw: bytes
    scores: list[float] = field(default_factory=list)
    cabin: str | None = None
    floor: int | None = None
    height: float | None = None
    is_old: bool | None = None
    born: datetime.date | None = None


ITEM = {
    "age": 29.0,
    "count": 2**60 + 1,
    "is_new": True,
    "name": 'Zoë, "the"\nfirst',
    "sex": "female",
    "colour": "blue",
    "day": "2024-02-29",
    "at": "2024-02-29T12:30:00.000001",
    "instant": "2024-02-29T12:30:00Z",
    "clock": "12:30:00",
    "took": "P1DT2S",
    "price": "12.340000000",
    "ident": "12345678-1234-5678-1234-567812345678",
    "raw": "AAE=",
    "scores": [1.0, 2.5],
    "cabin": "B5",
    "floor": 2**60 + 1,
    "height": 1.5,
    "is_old": False,
    "born": "1990-01-01",
}
LACKING = {
    **ITEM,
    "cabin": None,
    "floor": None,
    "height": None,
    "is_old": None,
    "born": None,
    "scores": [],
}


def wire_of(library: str, row: Any = Row) -> Wire:
    table: Any = Annotated[LIBRARIES[library], hw.Rows(row)]

    def same(rows: table) -> table:
        raise NotImplementedError

    return Wire(read_signature(same))


def gathered(wire: Wire, *calls: Any) -> Any:
    return wire.gather([(call, None) for call in calls])["rows"]


def answer(wire: Wire, table: Any, rows: int) -> list[Any]:
    """What a predictor's table is to a client, whose numbers of 9 places are compared as they are."""
    found: list[Any] = msgspec.json.decode(
        wire.write_json(wire.scatter(table, rows), is_single=False)
    )
    for row in found:
        row["price"] = str(Decimal(row["price"]).quantize(Decimal("1e-9")))
    return found


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_type_of_column_comes_back_as_it_went(library: str) -> None:
    wire = wire_of(library)
    call = wire.read_json(msgspec.json.encode([ITEM, LACKING]))
    assert answer(wire, gathered(wire, call), 2) == [ITEM, LACKING]


@pytest.mark.parametrize("media", FORMS)
def test_every_content_type_is_read_back_as_it_was_written(library: str, media: str) -> None:
    wire = wire_of(library)
    first = wire.read_json(msgspec.json.encode([ITEM, LACKING]))
    result = wire.scatter(gathered(wire, first), 2)
    written = wire.write_media(media, result)
    assert written is not None
    assert written[0] == media
    again = wire.read_media(media, written[1])
    assert (again.rows, again.is_single) == (2, False)
    assert answer(wire, gathered(wire, again, first), 4) == [ITEM, LACKING, ITEM, LACKING]


@pytest.mark.parametrize("rows", [[ITEM], [LACKING], [LACKING, ITEM], []])
def test_the_types_of_columns_never_follow_from_the_values_that_meet(
    library: str, rows: list[Any]
) -> None:
    wire = wire_of(library)
    whole = gathered(wire, wire.read_json(msgspec.json.encode([ITEM, LACKING])))
    part = gathered(wire, wire.read_json(msgspec.json.encode(rows)))
    if library == "pandas":
        assert part.dtypes.to_dict() == whole.dtypes.to_dict()
    else:
        assert part.schema == whole.schema


def test_pandas_has_the_dtypes_that_the_page_promises() -> None:
    wire = wire_of("pandas")
    frame = gathered(wire, wire.read_json(msgspec.json.encode([ITEM, LACKING])))
    found = {n: str(d) for n, d in frame.dtypes.items()}
    assert found["age"] == found["height"] == "float64"
    assert (found["count"], found["floor"]) == ("int64", "Int64")
    assert (found["is_new"], found["is_old"]) == ("bool", "boolean")
    assert found["name"] == found["cabin"] == found["price"] == "object"
    assert found["sex"] == found["colour"] == "category"
    assert found["day"] == found["at"] == found["born"] == "datetime64[us]"
    assert found["instant"] == "datetime64[us, UTC]"
    assert list(frame["sex"].cat.categories) == ["female", "male"]
    assert frame["floor"].tolist()[0] == 2**60 + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n1\n", "columns: expected some of age, name, cabin, found an unknown one, 'a'"),
        ("age\n1\n", "columns: 'name' is missing"),
        ("age,age,name\n1,1,x\n", "columns: expected each name once, found 'age' again"),
        ("", "columns: 'age' is missing"),
        ("age,name\n1,x\n121,y\n", "row 1, column age: expected float <= 120.0"),
        ("age,name\n1,x\nold,y\n", "row 1, column age: expected a number, found 'old'"),
        ("age,name\n,x\n", "row 0, column age: expected a number, found an empty field"),
        ("age,name\nNaN,x\n", "row 0, column age: expected a number, found 'NaN'"),
        ("age,name\n1e999,x\n", "row 0, column age"),
        ("age,name\n+1,x\n", "row 0, column age: expected a number, found '+1'"),
        ('age,name\n"1,2",x\n', "row 0, column age: expected a number, found '1,2'"),
        ('age,name\n"1,2",x\n"",y\n', "row 0, column age: expected a number, found '1,2'"),
        ("age,name\n[1],x\n", "row 0, column age: expected float, got array"),
        ('age,name\n"""1""",x\n', "row 0, column age: expected float, got str"),
        ("age,name\n1\n", "row 0: expected 2 fields, as the header has, found 1"),
        ("age,name\n1,x\n1,x,y\n", "row 1: expected 2 fields, as the header has, found 3"),
        ("age,name\n\n1,x\n", "row 0: expected 2 fields, as the header has, found 0"),
        ('age,name\n1,"x\n', "line 2: expected CSV as in RFC 4180"),
        ('age,name\n1,"x"y\n', "line 2: expected CSV as in RFC 4180"),
        ("age,name\n1," + "x" * 131073, "line 2: a field of CSV has at most 131072 characters"),
    ],
)
def test_wrong_csv_is_told_with_its_place(library: str, text: str, said: str) -> None:
    @dataclass
    class Simple:
        age: Annotated[float, hw.Meta(le=120)]
        name: str
        cabin: str | None = None

    with pytest.raises(CallerError) as caught:
        wire_of(library, Simple).read_media(CSV, text.encode())
    assert said in caught.value.message


def test_csv_takes_what_spreadsheets_write(library: str) -> None:
    @dataclass
    class Simple:
        age: float
        is_new: bool
        name: str
        cabin: str | None = None
        floor: int = 3

    wire = wire_of(library, Simple)
    text = b'\xef\xbb\xbfcabin,name,is_new,age\r\n,,TRUE, 29\r\nB5,"a, ""b""\r\nc",false,1e2\r\n'
    call = wire.read_media("text/csv; charset=UTF-8; header=present", text)
    found = msgspec.json.decode(
        wire.write_json(wire.scatter(gathered(wire, call), 2), is_single=False)
    )
    assert found == [
        {"age": 29.0, "is_new": True, "name": "", "cabin": None, "floor": 3},
        {"age": 100.0, "is_new": False, "name": 'a, "b"\r\nc', "cabin": "B5", "floor": 3},
    ]
    assert wire.read_media(CSV, b"age,is_new,name").rows == 0
    for content_type in ("text/csv; charset=latin-1", "text/csv; header=absent"):
        with pytest.raises(CallerError, match="parameter of text/csv"):
            wire.read_media(content_type, text)
    with pytest.raises(BadInput, match="UTF-8"):
        wire.read_media(CSV, "age,is_new,name\n1,true,é".encode("latin-1"))


@dataclass
class Narrow:
    age: Annotated[float, hw.Meta(ge=0)]
    word: str = "none"


def parquet(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(table, out, **options)
    return out.getvalue()


def stream(table: Any, *, is_file: bool = False, **options: Any) -> bytes:
    out = io.BytesIO()
    new: Callable[..., Any] = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with new(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


BODIES: dict[str, Callable[[Any], bytes]] = {
    PARQUET: parquet,
    STREAM: stream,
    FILE: lambda table: stream(table, is_file=True),
}


@pytest.mark.parametrize("media", BODIES)
def test_wrong_columns_of_parquet_and_arrow_are_told_by_name(library: str, media: str) -> None:
    wire = wire_of(library, Narrow)
    for columns, said in (
        ({"age": [1.0], "more": ["x"]}, "an unknown one, 'more'"),
        ({"word": ["x"]}, "columns: 'age' is missing"),
        ({"age": ["1"]}, "row 0, column age: expected float, got str"),
        ({"age": [1.0, None]}, "row 1, column age: expected float, got null"),
        ({"age": [1.0, -1.0]}, "row 1, column age: expected float >= 0.0"),
        ({"age": [{"a": 1}]}, "column age: expected values of its type"),
        ({"age": [[1.0]]}, "row 0, column age: expected float, got array"),
        ({"age": [1.0], "word": [b"\xff"]}, "row 0, column word: expected str, got bytes"),
    ):
        with pytest.raises(BadInput) as caught:
            wire.read_media(media, BODIES[media](pa.table(columns)))
        assert said in caught.value.message
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["age", "age"])
    with pytest.raises(BadInput, match="again"):
        wire.read_media(media, BODIES[media](twice))


@pytest.mark.parametrize("media", BODIES)
def test_other_widths_and_dictionaries_of_arrow_are_taken(library: str, media: str) -> None:
    wire = wire_of(library, Narrow)
    body = BODIES[media](
        pa.table(
            {"age": pa.array([1, 2], pa.int8()), "word": pa.array(["a", "b"]).dictionary_encode()}
        )
    )
    table = gathered(wire, wire.read_media(media, body))
    found = msgspec.json.decode(wire.write_json(wire.scatter(table, 2), is_single=False))
    assert found == [{"age": 1.0, "word": "a"}, {"age": 2.0, "word": "b"}]


@pytest.mark.parametrize("media", BODIES)
def test_what_polars_writes_is_read(media: str) -> None:
    frame = pl.DataFrame({"age": [1.0, 2.0], "word": ["a", "a longer text than fits in a view"]})
    out = io.BytesIO()
    write: Any = {
        PARQUET: frame.write_parquet,
        STREAM: frame.write_ipc_stream,
        FILE: frame.write_ipc,
    }[media]
    write(out)
    wire = wire_of("polars", Narrow)
    assert gathered(wire, wire.read_media(media, out.getvalue())).equals(frame)


@pytest.mark.parametrize("media", BODIES)
def test_every_cut_of_a_body_is_read_or_refused(media: str) -> None:
    wire = wire_of("arrow", Narrow)
    body = BODIES[media](pa.table({"age": [1.0, 2.0], "word": ["a", "b"]}))
    for end in range(len(body)):
        with contextlib.suppress(CallerError):
            wire.read_media(media, body[:end])
    for at in range(len(body)):
        for byte in (0, 0x7F, 0xFF):
            with contextlib.suppress(CallerError):
                wire.read_media(media, body[:at] + bytes([byte]) + body[at + 1 :])


def bombs() -> dict[str, tuple[str, bytes]]:
    """Small bodies that are large once read, in every way that these formats have."""
    many = 200_000
    zeros = pa.table({"age": pa.array([0.0] * many)})
    long = pa.DictionaryArray.from_arrays(
        pa.array([0] * 1000, pa.int32()), pa.array(["x" * 10_000])
    )
    texts = pa.table({"age": [0.0] * 1000, "word": ["x" * 10_000] * 1000})
    nested = pa.table({"age": [0.0], "word": pa.array([[0] * 2_000_000], pa.list_(pa.int8()))})
    return {
        "rows of parquet": (PARQUET, parquet(zeros)),
        "rows of a stream": (STREAM, stream(zeros, compression="zstd")),
        "rows of a file": (FILE, stream(zeros, is_file=True, compression="lz4")),
        "nulls": (STREAM, stream(pa.table({"age": pa.nulls(10**7)}))),
        "plain text": (PARQUET, parquet(texts, use_dictionary=False, compression="zstd")),
        "a list": (PARQUET, parquet(nested)),
        "a compressed stream": (STREAM, stream(texts, compression="zstd")),
        "a compressed file": (FILE, stream(texts, is_file=True, compression="lz4")),
    } | {
        "a long text many times": (STREAM, stream(pa.table({"age": [0.0] * 1000, "word": long}))),
    }


@pytest.mark.parametrize("name", bombs())
def test_what_is_large_once_inflated_is_refused_before_it_is(name: str) -> None:
    media, body = bombs()[name]
    wire = wire_of("arrow", Narrow)
    wire.max_rows, wire.max_bytes = 1000, 2**20
    if name == "a long text many times":  # its text is made once
        assert gathered(wire, wire.read_media(media, body)).num_rows == 1000
        return
    assert len(body) < 300_000
    with pytest.raises((BadInput, TooLarge), match=r"at most 1000 rows|larger than the limit"):
        wire.read_media(media, body)


def test_a_view_that_shows_one_text_many_times_is_counted() -> None:
    text = b"x" * 10_000
    view = len(text).to_bytes(4, "little") + text[:4] + bytes(8)
    buffers = [None, pa.py_buffer(view * 1000), pa.py_buffer(text)]
    word = pa.Array.from_buffers(pa.string_view(), 1000, buffers)
    body = stream(pa.table({"age": [0.0] * 1000, "word": word}))
    wire = wire_of("arrow", Narrow)
    wire.max_bytes = 2**20
    assert len(body) < 50_000
    with pytest.raises(TooLarge):
        wire.read_media(STREAM, body)


class Plain(TypedDict):
    age: float
    word: str


class Packed(msgspec.Struct):
    age: float
    word: str = "none"


class Model(pydantic.BaseModel):
    age: Annotated[float, pydantic.Field(ge=0)]
    word: str = pydantic.Field("none", alias="theWord")

    @pydantic.field_validator("word")
    @classmethod
    def lower(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("is bad")
        return value.lower()


@pytest.mark.parametrize("row", [Narrow, Plain, Packed, Model], ids=lambda r: r.__name__)
@pytest.mark.parametrize("media", ["application/json", *FORMS])
def test_a_row_may_be_any_struct(library: str, row: Any, media: str) -> None:
    wire = wire_of(library, row)
    word = "theWord" if row is Model else "word"
    items = [{"age": 1.0, word: "a"}, {"age": 2.0, word: "b"}]
    if media == "application/json":
        call = wire.read_json(msgspec.json.encode(items))
    elif media == CSV:
        call = wire.read_media(media, f"{word},age\na,1\nb,2\n".encode())
    else:
        call = wire.read_media(media, BODIES[media](pa.Table.from_pylist(items)))
    result = wire.scatter(gathered(wire, call), 2)
    assert msgspec.json.decode(wire.write_json(result, is_single=False)) == items
    assert word in wire.description.input_schema["properties"]


def test_a_model_checks_its_rows_in_every_form(library: str) -> None:
    wire = wire_of(library, Model)
    with pytest.raises(BadInput, match=r"1\].*theWord.*is bad"):
        wire.read_json(b'[{"age":1},{"age":1,"theWord":"bad"}]')
    with pytest.raises(BadInput, match=r"row 1, column theWord.*is bad"):
        wire.read_media(CSV, b"age,theWord\n1,a\n1,bad\n")
    with pytest.raises(BadInput, match="age: field required"):
        wire.read_json(b"{}")
    table = gathered(wire, wire.read_media(CSV, b"age,theWord\n1,LOUD\n"))
    assert wire.scatter(table, 1).values.lists["word"] == ["loud"]


def test_a_naive_column_refuses_a_zone_and_an_instant_wants_one() -> None:
    wire = wire_of("pandas")
    for name, value in (("at", "2024-01-01T00:00:00Z"), ("instant", "2024-01-01T00:00:00")):
        with pytest.raises(BadInput, match="timezone"):
            wire.read_json(msgspec.json.encode({**ITEM, name: value}))


@pytest.mark.parametrize("price", ["1e30", "0.0000000001", "NaN", "-Infinity", "1e999999999"])
def test_a_decimal_that_no_column_holds_is_refused(library: str, price: str) -> None:
    wire = wire_of(library)
    with pytest.raises(BadInput, match="column price"):
        gathered(wire, wire.read_json(msgspec.json.encode({**ITEM, "price": price})))


def test_a_wrong_table_is_the_predictors_fault(library: str) -> None:
    wire = wire_of(library, Narrow)
    make: Any = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[library]
    for table, said in (
        ({"age": [1.0]}, "columns age, word"),
        ({"age": [1.0, 2.0], "word": ["a", "b"]}, "1 rows"),
        ({"age": [-1.0], "word": ["a"]}, "row 0, column age: expected float >= 0"),
        ({"age": [1.0], "word": [None]}, "row 0, column word: expected str, got null"),
    ):
        with pytest.raises(BadOutput, match=said):
            wire.scatter(make(table), 1)
    with pytest.raises(BadOutput, match="expected a"):
        wire.scatter("no table", 1)


@pytest.mark.parametrize("kind", ["polars", "arrow"])
def test_a_column_that_a_library_lacks_is_told_at_load(kind: str) -> None:
    @dataclass
    class Odd:
        more: dict[str, int]

    with pytest.raises(SignatureError, match="column more"):
        wire_of(kind, Odd)
    wire_of("pandas", Odd)


def test_json_is_answered_unless_a_table_is_preferred() -> None:
    wire = wire_of("pandas", Narrow)
    result = wire.scatter(gathered(wire, wire.read_json(b'{"age":1}')), 1)
    for accept in (
        "",
        "*/*",
        "application/json, text/csv",
        "text/csv;q=0.5, */*",
        "image/png",
        "text/csv;q=0",
    ):
        assert wire.write_media(accept, result) is None
    for accept in (
        "text/csv",
        "application/json;q=0.5, TEXT/CSV",
        "text/html, text/csv;q=0.9, */*;q=0.1",
    ):
        assert wire.write_media(accept, result) == (CSV, b"age,word\r\n1.0,none\r\n")


def test_scores_and_flat_structs_of_a_table_are_answered_as_tables() -> None:
    @dataclass
    class Verdict:
        chance: float
        label: Literal["yes", "no"]

    def scores(rows: Annotated[pd.DataFrame, hw.Rows(Narrow)]) -> hw.Batch[float]:
        raise NotImplementedError

    def verdicts(rows: Annotated[pd.DataFrame, hw.Rows(Narrow)]) -> hw.Batch[Verdict]:
        raise NotImplementedError

    def nested(rows: Annotated[pd.DataFrame, hw.Rows(Narrow)]) -> hw.Batch[dict[str, float]]:
        raise NotImplementedError

    wire = Wire(read_signature(scores))
    assert wire.write_media(CSV, wire.scatter([0.5, float("nan")], 2)) == (
        CSV,
        b'output\r\n0.5\r\n""\r\n',
    )
    wire = Wire(read_signature(verdicts))
    written = wire.write_media(PARQUET, wire.scatter([Verdict(0.5, "no")], 1))
    assert written is not None
    table = pa.parquet.read_table(io.BytesIO(written[1]))
    assert table.to_pylist() == [{"chance": 0.5, "label": "no"}]
    wire = Wire(read_signature(nested))
    assert wire.description.answer_types == ()
    assert wire.write_media(CSV, wire.scatter([{"a": 1.0}], 1)) is None
