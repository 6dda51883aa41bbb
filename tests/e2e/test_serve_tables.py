"""Tables over HTTP, with pandas, polars and pyarrow, in every content type; a bad body harms nobody."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from needed import need
from serving import Server, serving

PREDICTORS = """
from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd
import polars as pl
import pyarrow as pa

import headway as hw


@dataclass
class Row:
    age: Annotated[float, hw.Meta(ge=0, le=120)]
    sex: Literal["female", "male"]
    cabin: str | None = None


class Pandas(hw.Predictor):
    def predict(self, rows: Annotated[pd.DataFrame, hw.Rows(Row)]) -> hw.Batch[float]:
        return (rows["age"] * 2).tolist()


class Polars(hw.Predictor):
    def predict(self, rows: Annotated[pl.DataFrame, hw.Rows(Row)]) -> hw.Batch[float]:
        return (rows["age"] * 2).to_list()


class Arrow(hw.Predictor):
    def predict(self, rows: Annotated[pa.Table, hw.Rows(Row)]) -> Annotated[pa.Table, hw.Rows(Row)]:
        return rows
"""
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
MODELS = ("pandas", "polars", "arrow")
ROWS = [{"age": 29.0, "sex": "female", "cabin": None}, {"age": 60.0, "sex": "male", "cabin": "B5"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    for name in ("pandas", "polars", "pyarrow"):
        need(name)
    folder: Path = tmp_path_factory.mktemp("tables")
    folder.joinpath("tables.py").write_text(PREDICTORS)
    lines = [f'  {m}: {{predictor: "tables.py:{m.title()}", workers: 1}}' for m in MODELS]
    yaml = "max_request_rows: 1000\nserver: {max_body_bytes: 1048576}\nmodels:\n"
    folder.joinpath("headway.yaml").write_text(yaml + "\n".join(lines))
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log, server.log


def body_of(media: str, rows: list[dict[str, object]]) -> bytes:
    out = io.BytesIO()
    if media == CSV:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    pa, parquet = need("pyarrow"), need("pyarrow.parquet")
    table = pa.Table.from_pylist(rows)
    if media == PARQUET:
        parquet.write_table(table, out)
        return out.getvalue()
    new = pa.ipc.new_stream if media == STREAM else pa.ipc.new_file
    with new(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def rows_of(media: str, body: bytes) -> list[dict[str, object]]:
    if media == CSV:
        return list(csv.DictReader(io.StringIO(body.decode())))
    pa, parquet = need("pyarrow"), need("pyarrow.parquet")
    if media == PARQUET:
        rows: list[dict[str, object]] = parquet.read_table(io.BytesIO(body)).to_pylist()
        return rows
    read = pa.ipc.open_stream if media == STREAM else pa.ipc.open_file
    rows = read(body).read_all().to_pylist()
    return rows


@pytest.mark.parametrize("media", [CSV, PARQUET, STREAM, FILE])
@pytest.mark.parametrize("model", MODELS)
def test_a_table_comes_in_and_goes_out_in_every_form(
    server: Server, model: str, media: str
) -> None:
    body = body_of(media, ROWS)
    path = f"/models/{model}/predict"
    told = server.call("POST", path, body, {"content-type": media})
    assert told.headers["content-type"] == "application/json"
    assert (told.status, told.json) == (200, ROWS if model == "arrow" else [58.0, 120.0])
    told = server.call("POST", path, body, {"content-type": media, "accept": media})
    assert (told.status, told.headers["content-type"]) == (200, media)
    found = rows_of(media, told.body)
    if model == "arrow":
        assert [str(r["sex"]) for r in found] == ["female", "male"]
    else:
        assert [float(str(r["output"])) for r in found] == [58.0, 120.0]


BAD: list[tuple[str, bytes, int, str]] = [
    (CSV, b"age,sex\n121,male\n", 400, "row 0, column age"),
    (CSV, b"age\n1\n", 400, "'sex' is missing"),
    (CSV, b"age,sex,more\n1,male,1\n", 400, "unknown one, 'more'"),
    (CSV, b'age,sex\n1,"male\n', 400, "RFC 4180"),
    (CSV, "age,sex\n1,male\n".encode("utf-16"), 400, "UTF-8"),
    (CSV, b"age,sex\n1,male\x00\n", 400, "row 0, column sex"),
    (CSV, b"age,sex,cabin\n1,male," + b"x" * 200_000 + b"\n", 413, "a field of CSV"),
    (CSV, b"age,sex\n" + b"1,male\n" * 1001, 400, "at most 1000 rows"),
    (PARQUET, b"PAR1", 400, "damaged"),
    (PARQUET, b"", 400, "damaged"),
    (STREAM, b"\xff" * 64, 400, "damaged"),
    (FILE, b"ARROW1\0\0" + b"\xff" * 64 + b"ARROW1", 400, "damaged"),
    ("text/csv; charset=utf-16", b"", 415, "parameter of text/csv"),
    ("application/vnd.ms-excel", b"", 415, "text/csv"),
]


@pytest.mark.parametrize(("media", "body", "status", "said"), BAD)
@pytest.mark.parametrize("model", MODELS)
def test_a_bad_table_is_refused_with_its_place_and_the_next_is_answered(  # noqa: PLR0917
    server: Server, model: str, media: str, body: bytes, status: int, said: str
) -> None:
    pids = server.workers(model)
    told = server.call("POST", f"/models/{model}/predict", body, {"content-type": media})
    assert (told.status, said in told.json["error"]) == (status, True), told.body
    assert server.ask(model, ROWS).status == 200
    assert server.workers(model) == pids
