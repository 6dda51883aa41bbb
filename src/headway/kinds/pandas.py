"""DataFrames of pandas by the mark `hw.Rows`; an optional integer is `Int64`, text an `object` of str."""

import datetime
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from headway.errors import BadOutput
from headway.kinds._columns import Column
from headway.kinds._table import TableField, table_field

TYPES: Sequence[str] = ("pandas.DataFrame", "pandas.core.frame.DataFrame")
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ("pandas>=2",)

_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "bool",
        "int": "int64",
        "float": "float64",
        "datetime": "datetime64[us]",
        "instant": "datetime64[us, UTC]",
        "date": "datetime64[us]",
        "duration": "timedelta64[us]",
    }
)
_LACKING: Mapping[str, str] = MappingProxyType({**_DTYPES, "bool": "boolean", "int": "Int64"})


class Frames:
    """DataFrames, as `_table` asks for them."""

    def make(self, columns: Sequence[Column], lists: Sequence[list[Any]]) -> pd.DataFrame:
        """A DataFrame of checked values."""
        return pd.DataFrame({c.name: _series(c, v) for c, v in zip(columns, lists, strict=True)})

    def names(self, table: Any) -> list[str]:
        """The columns' names."""
        if not isinstance(table, pd.DataFrame):
            raise BadOutput(expected="a pandas.DataFrame", found=type(table).__name__)
        return list(table.columns)

    def values(self, table: Any, column: Column) -> list[Any]:
        """A column's values, None where one is lacking."""
        series = table[column.name]
        if column.kind in ("datetime", "instant", "date", "duration") and series.dtype != object:
            return [None if v is pd.NaT else _python(v, column.kind) for v in series.tolist()]
        values: list[Any] = series.tolist()
        if not column.may_lack:
            return values
        return [
            None if lacks else v for v, lacks in zip(values, series.isna().tolist(), strict=True)
        ]


def _python(value: Any, kind: str) -> Any:
    if kind == "duration":
        return value.floor("us").to_pytimedelta() if isinstance(value, pd.Timedelta) else value
    if not isinstance(value, pd.Timestamp):
        return value
    made = value.floor("us").to_pydatetime()
    is_midnight = made.time() == datetime.time()
    return made.date() if kind == "date" and is_midnight else made


def _series(column: Column, values: list[Any]) -> Any:
    if column.kind == "choice":
        return pd.Series(pd.Categorical(values, categories=list(column.choices)))
    dtype = (_LACKING if column.may_lack else _DTYPES).get(column.kind, "object")
    return pd.Series(values, dtype=dtype)


def read_field(annotation: Any, marks: Sequence[Any]) -> TableField:
    """Make the field of a DataFrame. Raises SignatureError."""
    return table_field(Frames(), annotation, marks)
