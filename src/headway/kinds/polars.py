"""DataFrames of polars by the mark `hw.Rows`; a Literal or an Enum of text is a `pl.Enum`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from headway.errors import BadOutput, SignatureError
from headway.kinds._columns import DIGITS, PLACES, Column
from headway.kinds._table import TableField, table_field

TYPES: Sequence[str] = ("polars.dataframe.frame.DataFrame",)
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ("polars>=1",)

_DTYPES: Mapping[str, Any] = MappingProxyType(
    {
        "bool": pl.Boolean(),
        "int": pl.Int64(),
        "float": pl.Float64(),
        "text": pl.String(),
        "uuid": pl.String(),
        "bytes": pl.Binary(),
        "datetime": pl.Datetime("us"),
        "instant": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
        "time": pl.Time(),
        "duration": pl.Duration("us"),
        "decimal": pl.Decimal(DIGITS, PLACES),
    }
)


class Frames:
    """DataFrames, as `_table` asks for them."""

    def make(self, columns: Sequence[Column], lists: Sequence[list[Any]]) -> pl.DataFrame:
        """A DataFrame of checked values."""
        return pl.DataFrame(
            [pl.Series(c.name, v, dtype=_dtype(c)) for c, v in zip(columns, lists, strict=True)]
        )

    def names(self, table: Any) -> list[str]:
        """The columns' names."""
        if not isinstance(table, pl.DataFrame):
            raise BadOutput(expected="a polars.DataFrame", found=type(table).__name__)
        return table.columns

    def values(self, table: Any, column: Column) -> list[Any]:
        """A column's values, None where one is lacking."""
        values: list[Any] = table.get_column(column.name).to_list()
        return values


def _dtype(column: Column) -> Any:
    if column.kind == "choice":
        return pl.Enum(column.choices)
    if column.kind == "list" and column.item is not None:
        return pl.List(_dtype(column.item))
    if column.kind not in _DTYPES:
        advice = "give it a scalar, a date, a Literal, an Enum of text, or a list of one of these"
        raise SignatureError(
            where=f"column {column.name}", found="its type in polars", advice=advice
        )
    return _DTYPES[column.kind]


def read_field(annotation: Any, marks: Sequence[Any]) -> TableField:
    """Make the field of a DataFrame. Raises SignatureError."""
    return table_field(Frames(), annotation, marks)
