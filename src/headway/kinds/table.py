"""Tables of pandas by the mark `hw.Rows`: an object a row in JSON, a tensor a column elsewhere.

The row's type says the columns; the predictor gets one DataFrame for the whole batch, in the
callers' order.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd

from headway.errors import SignatureError
from headway.model.call import Block, Shape
from headway.model.field import Field
from headway.model.integers import held
from headway.model.marks import Rows
from headway.model.values import (
    ValueField,
    bare,
    convert_input,
    plain,
    show,
    struct_fields,
    struct_optional,
    value_field,
    without_none,
    wrong_answer,
)

TYPES: Sequence[str] = ()
MARKS: Sequence[str] = ("Rows",)
REQUIRES: Sequence[str] = ("pandas>=2",)

_DTYPES: Mapping[type, str] = {bool: "bool", int: "int64", float: "float64"}
_LACKING: Mapping[type, str] = {int: "float64", float: "float64"}
"""Of columns that may lack values, which are NaN then."""


class TableField:
    """A table, one row a row."""

    dtype = "bytes"
    shape: Shape = ()
    is_json = True
    has_batch = True

    def __init__(self, row: type, hints: Mapping[str, Any], where: str) -> None:
        self.optional = struct_optional(row)
        self.parts: dict[str, Field] = {
            n: value_field(without_none(h)[0] if n in self.optional else h, f"{where}: {n}")
            for n, h in hints.items()
        }
        self.row_type = strict_row(row, hints)
        self.json_type: Any = self.row_type
        self._value = ValueField(row)
        self._dtypes = {n: _dtype(h) for n, h in hints.items()}

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one row."""
        schema = self._value.schema()
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        inner: dict[str, Any] = schema.get("$defs", {}).pop(name, {})
        rest = schema.get("$defs")
        return {**inner, "additionalProperties": False, **({"$defs": rest} if rest else {})}

    def key(self, column: Any, row: int) -> Hashable:
        """Nothing need be equal for two rows to meet."""
        return None

    def share_key(self, value: Any) -> Hashable:
        """Never asked: a table is always a batch."""
        return msgspec.json.encode(value)

    def gather(self, columns: Sequence[Any]) -> pd.DataFrame:
        """One DataFrame of the rows of several calls."""
        rows = [row for column in columns for row in column]
        return pd.DataFrame(
            {
                n: pd.Series([msgspec.to_builtins(getattr(r, n)) for r in rows], dtype=dtype)
                for n, dtype in self._dtypes.items()
            }
        )

    def from_block(self, block: Block) -> list[Any]:
        """Rows from a tensor of JSON."""
        values = self._value.from_block(block)
        return convert_input(msgspec.to_builtins(values), list[self.row_type])  # type: ignore[name-defined]

    def from_parts(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Any]:
        """Rows from a column for each field; those left out have their defaults."""
        dicts = [{name: columns[name][i] for name in columns} for i in range(rows)]
        return convert_input(msgspec.to_builtins(dicts), list[self.row_type])  # type: ignore[name-defined]

    def to_parts(self, column: Sequence[Any]) -> dict[str, list[Any]]:
        """A column for each field from rows of answers."""
        return {n: [getattr(v, n) for v in column] for n in self.parts}

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check the rows that a predictor answered."""
        try:
            simple = msgspec.to_builtins(values, enc_hook=plain)
            return msgspec.convert(simple, list[self.row_type])  # type: ignore[name-defined]
        except (msgspec.ValidationError, TypeError, ValueError) as e:
            raise wrong_answer(e) from e

    def to_block(self, column: Any) -> Block:
        """A tensor of JSON."""
        return Block("bytes", (len(column),), [msgspec.json.encode(v) for v in column])

    def to_json(self, column: Any) -> list[Any]:
        """Objects, one a row."""
        return list(column)


def _dtype(hint: Any) -> Any:
    """The dtype of a column: of its type alone, never of the rows that happen to meet."""
    inner, may_lack = without_none(hint)
    return (_LACKING if may_lack else _DTYPES).get(bare(inner), "object")


def strict_row(row: type, hints: Mapping[str, Any]) -> type:
    """A Struct with the fields of a row that refuses unknown ones."""
    optional = struct_optional(row)
    defaults = {} if issubclass(row, dict) else _defaults(row, optional)
    hints = {n: held(h) for n, h in hints.items()}
    required = [(n, h) for n, h in hints.items() if n not in optional]
    rest = [(n, h, defaults.get(n)) for n, h in hints.items() if n in optional]
    return msgspec.defstruct(
        row.__name__, [*required, *rest], forbid_unknown_fields=True, kw_only=True
    )


def _defaults(row: type, optional: frozenset[str]) -> dict[str, Any]:
    """The default of each optional field, as a Struct of ours shall have it."""
    if issubclass(row, msgspec.Struct):
        return {
            f.name: _struct_default(f) for f in msgspec.structs.fields(row) if f.name in optional
        }
    fields: Mapping[str, Any] = row.__dataclass_fields__  # type: ignore[attr-defined]
    return {n: _dataclass_default(fields[n]) for n in optional}


def _struct_default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _dataclass_default(field: Any) -> Any:
    if callable(field.default_factory):
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def read_field(annotation: Any, marks: Sequence[Any]) -> TableField:
    """Make the field of a table by its mark.

    Raises:
        SignatureError: the row's type is no struct of values.
    """
    row = next(m.row for m in marks if isinstance(m, Rows))
    hints = struct_fields(row)
    if not hints:
        advice = "write a dataclass, TypedDict or msgspec.Struct with a field for each column"
        raise SignatureError(where="hw.Rows", found=show(row), advice=advice)
    place = f"{getattr(annotation, '__module__', '')}.{getattr(annotation, '__qualname__', '')}"
    if not (place.startswith("pandas.") and place.endswith("DataFrame")):
        raise SignatureError(
            where="hw.Rows", found=show(annotation), advice="annotate a pandas.DataFrame"
        )
    return TableField(row, hints, "hw.Rows")
