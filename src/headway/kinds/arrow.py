"""Tables of pyarrow by the mark `hw.Rows`; a Literal or an Enum of text is a dictionary of all its values."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from headway.errors import BadOutput
from headway.kinds import _arrow
from headway.kinds._columns import Column
from headway.kinds._table import TableField, table_field

TYPES: Sequence[str] = ("pyarrow.lib.Table",)
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ("pyarrow>=18",)


class Tables:
    """Arrow's tables, as `_table` asks for them."""

    def make(self, columns: Sequence[Column], lists: Sequence[list[Any]]) -> pa.Table:
        """A table of checked values."""
        return _arrow.made(columns, lists)

    def names(self, table: Any) -> list[str]:
        """The columns' names."""
        if not isinstance(table, pa.Table):
            raise BadOutput(expected="a pyarrow.Table", found=type(table).__name__)
        return list(table.column_names)

    def values(self, table: Any, column: Column) -> list[Any]:
        """A column's values, None where one is lacking."""
        values: list[Any] = table.column(column.name).to_pylist()
        return values


def read_field(annotation: Any, marks: Sequence[Any]) -> TableField:
    """Make the field of a table. Raises SignatureError."""
    return table_field(Tables(), annotation, marks)


_PART_ROWS = 1000


def write_texts(rows: Iterable[Mapping[str, str | None]], names: Sequence[str], path: str) -> int:
    """Write a Parquet file whose columns are all texts; returns how many rows there were.

    Args:
        rows: taken a part at a time.
        names: of the columns.
        path: is overwritten.
    """
    schema = pa.schema([(name, pa.string()) for name in names])
    written, rest = 0, iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while part := list(islice(rest, _PART_ROWS)):
            writer.write_table(pa.Table.from_pylist(part, schema))
            written += len(part)
    return written
