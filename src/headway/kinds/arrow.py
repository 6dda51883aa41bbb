"""Tables of pyarrow by the mark `hw.Rows`; a Literal or an Enum of text is a dictionary of all its values."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

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
