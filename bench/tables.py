"""What tables cost: rows a second from a body to a library's table, in process. `python -m bench.tables`."""

import io
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet

import headway as hw
from headway.model.signature import read_signature
from headway.model.wire import Wire

LIBRARIES: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table}
SECONDS = 0.3


@dataclass
class Row:
    age: Annotated[float, hw.Meta(ge=0, le=120)]
    count: int
    sex: Literal["female", "male"]
    cabin: str | None = None


def bodies(rows: int) -> dict[str, bytes]:
    """The same rows in each content type."""
    items = [
        {"age": i % 120 + 0.5, "count": i, "sex": ("female", "male")[i % 2], "cabin": f"B{i}"}
        for i in range(rows)
    ]
    table = pa.Table.from_pylist(items)
    parquet, stream, text = io.BytesIO(), io.BytesIO(), io.StringIO()
    pa.parquet.write_table(table, parquet)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pd.DataFrame(items).to_csv(text, index=False)
    return {
        "application/json": msgspec.json.encode(items),
        "text/csv": text.getvalue().encode(),
        "application/vnd.apache.parquet": parquet.getvalue(),
        "application/vnd.apache.arrow.stream": stream.getvalue(),
    }


def rate(wire: Wire, media: str, body: bytes) -> float:
    """Rows a second."""
    ended, rows, started = 0.0, 0, time.perf_counter()
    while ended < started + SECONDS:
        call = wire.read_json(body) if media.endswith("json") else wire.read_media(media, body)
        rows += len(wire.gather([(call, None)])["rows"])
        ended = time.perf_counter()
    return rows / (ended - started)


def main() -> None:
    """Print the table."""
    print("| rows | into | JSON | CSV | Parquet | Arrow stream |\n|---|---|---|---|---|---|")
    for rows in (1, 100, 10_000):
        made = bodies(rows)
        for name, kind in LIBRARIES.items():
            table: Any = Annotated[kind, hw.Rows(Row)]

            def predict(rows: table) -> hw.Batch[float]:
                raise NotImplementedError

            wire = Wire(read_signature(predict))
            rates = [f"{rate(wire, media, body):,.0f}" for media, body in made.items()]
            print(f"| {rows:,} | {name} | {' | '.join(rates)} |")


if __name__ == "__main__":
    main()
