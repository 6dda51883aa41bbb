"""What every kind of table must be: one wire for all libraries, whole or refused, and rows of several in order."""

import contextlib
import csv
import io
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.errors import CallerError
from headway.model.call import Block
from headway.model.signature import read_signature
from headway.model.wire import Wire

LIBRARIES: dict[str, Any] = {"arrow": pa.Table, "pandas": pd.DataFrame, "polars": pl.DataFrame}
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
FORMS = (CSV, PARQUET, STREAM, FILE)
ROWS = [{"x": 1.5, "word": "a"}, {"x": -2.0, "word": '=b, "c"\nd'}]


@dataclass
class Row:
    x: float
    word: str


@pytest.fixture(params=sorted(LIBRARIES))
def wire(request: pytest.FixtureRequest) -> Wire:
    return wire_of(request.param)


def wire_of(library: str) -> Wire:
    table: Any = Annotated[LIBRARIES[library], hw.Rows(Row)]

    def same(rows: table) -> table:
        raise NotImplementedError

    return Wire(read_signature(same))


def written(media: str, rows: list[dict[str, Any]]) -> bytes:
    """Rows as a client's own library writes them."""
    if media == CSV:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["x", "word"])
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    schema = pa.schema([("x", pa.float64()), ("word", pa.string())])
    table, out = pa.Table.from_pylist(rows, schema), io.BytesIO()
    if media == PARQUET:
        pyarrow.parquet.write_table(table, out)
        return out.getvalue()
    new = pa.ipc.new_stream if media == STREAM else pa.ipc.new_file
    with new(out, table.schema) as sink:
        sink.write_table(table)
    return out.getvalue()


def answered(wire: Wire, table: Any, rows: int) -> Any:
    """A table as its predictor would answer it."""
    result = wire.scatter(table, rows)
    return msgspec.json.decode(wire.write_json(result, is_single=False))


@pytest.mark.parametrize("form", [*FORMS, "JSON", "tensors"])
def test_every_form_gives_the_same_table(wire: Wire, form: str) -> None:
    if form == "JSON":
        call = wire.read_json(msgspec.json.encode(ROWS))
    elif form == "tensors":
        x, word = [[row[name] for row in ROWS] for name in ("x", "word")]
        call = wire.read_blocks(
            {"x": Block("float64", (2,), x), "word": Block("bytes", (2,), word)}
        )
    else:
        call = wire.read_media(form, written(form, ROWS))
    assert call.rows == 2
    assert answered(wire, wire.gather([(call, None)])["rows"], 2) == ROWS


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_several_meet_in_order_and_some_may_be_left_out(wire: Wire, form: str) -> None:
    more = [{"x": float(i), "word": str(i)} for i in range(3)]
    calls = [wire.read_media(form, written(form, rows)) for rows in (ROWS, more)]
    table = wire.gather([(calls[0], None), (calls[1], [2, 0])])["rows"]
    assert answered(wire, table, 4) == [*ROWS, more[2], more[0]]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_without_rows_is_one(wire: Wire, form: str) -> None:
    assert wire.read_media(form, written(form, [])).rows == 0


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_cut_and_changed_tables_are_the_callers_mistake_or_read(
    form: str, data: st.DataObject
) -> None:
    wire = wire_of(data.draw(st.sampled_from(sorted(LIBRARIES))))
    good = written(form, ROWS)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = bytes([data.draw(st.integers(0, 255))])
    damaged = data.draw(st.sampled_from([good[:place], good[:place] + changed + good[place + 1 :]]))
    with contextlib.suppress(CallerError):
        call = wire.read_media(form, damaged)
        if call.rows:
            wire.gather([(call, None)])
