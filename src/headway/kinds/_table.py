"""Tables by the mark `hw.Rows`, whatever library keeps them: an object a row in JSON, a tensor a column elsewhere.

The row's type says the columns; the predictor gets one table for the whole batch, in the callers'
order. CSV, Parquet and Arrow IPC come in and go out as they are asked for.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from headway.errors import BadInput, BadOutput, SignatureError, UnsupportedMedia
from headway.kinds import _arrow, _csv, _rows
from headway.kinds._columns import Column, column_of
from headway.model.call import Block, Shape
from headway.model.columns import Columns, joined
from headway.model.field import Field
from headway.model.marks import Rows
from headway.model.values import ValueField, show, value_field, without_none

MEDIA_TYPES: Sequence[str] = (_csv.MEDIA, *_arrow.MEDIA_TYPES)


class Library(Protocol):
    """What a library's own kind does for its tables."""

    def make(self, columns: Sequence[Column], lists: Sequence[list[Any]]) -> Any:
        """A table of checked values."""
        ...

    def names(self, table: Any) -> list[str]:
        """The columns' names; BadOutput where it is none of the library's tables."""
        ...

    def values(self, table: Any, column: Column) -> list[Any]:
        """A column's values as Python has them, None where one is lacking."""
        ...


class TableField:
    """A table, one row a row."""

    dtype = "bytes"
    shape: Shape = ()
    is_json = True
    has_batch = True
    media_types: Sequence[str] = MEDIA_TYPES
    row_types: Sequence[str] = MEDIA_TYPES
    """Those of its content types whose body holds many rows: all."""

    def __init__(self, row: type, shape: _rows.RowShape, library: Library, where: str) -> None:
        self.columns = [column_of(n, h) for n, h in shape.hints.items()]
        self._named = {c.name: c for c in self.columns}
        self._names = [c.name for c in self.columns]
        self._shape = shape
        self._library = library
        self.optional = shape.optional
        self.parts: dict[str, Field] = {
            c.name: value_field(
                without_none(c.type)[0] if c.name in self.optional else c.type, f"{where}: {c.name}"
            )
            for c in self.columns
        }
        self.row_type = shape.struct({c.name: c.type for c in self.columns})
        self.json_type: Any = self.row_type
        self._rows: Any = list[self.row_type]  # type: ignore[name-defined]
        library.make(
            self.columns, [[] for _ in self.columns]
        )  # a type that the library lacks is told now

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one row."""
        return self._shape.schema()

    def key(self, column: Any, row: int) -> Hashable:
        """Nothing need be equal for two rows to meet."""
        return None

    def share_key(self, value: Any) -> Hashable:
        """Never asked: a table is always a batch."""
        return id(value)

    def array(self, column: Columns) -> Columns:
        """Rows that can be sliced."""
        return column

    # From callers

    def gather(self, columns: Sequence[Any]) -> Any:
        """One table of the rows of several calls."""
        whole = joined([self._columns(c) for c in columns], self._names)
        return self._library.make(
            self.columns, [c.simple(whole.lists[c.name]) for c in self.columns]
        )

    def _columns(self, rows: Any) -> Columns:
        if isinstance(rows, Columns):
            return rows
        return Columns({n: [getattr(r, n) for r in rows] for n in self._names}, len(rows))

    def from_block(self, block: Block) -> list[Any]:
        """Rows from a tensor of JSON."""
        values = ValueField(self.row_type).from_block(block)
        return list(values)

    def from_parts(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Columns:
        """Rows from a column for each field; those left out have their defaults."""
        found = {n: self._named[n].check(values) for n, values in columns.items()}
        return self._filled(found, rows)

    def read_rows(
        self, content_type: str, body: bytes | memoryview, most: int, most_bytes: int
    ) -> Columns:
        """Rows of a body of CSV, Parquet or Arrow. Raises CallerError."""
        media, *parameters = [p.strip().lower() for p in content_type.split(";")]
        if media == _csv.MEDIA:
            _check_parameters(parameters)
            read = _csv.read_csv(body, self._pick, most)
        else:
            read = _arrow.read(media, body, self._pick, _arrow.Limits(most, most_bytes))
            read.lists = {n: self._named[n].check(values) for n, values in read.lists.items()}
        return self._filled(read.lists, read.rows)

    def _pick(self, names: Sequence[str]) -> dict[int, Column]:
        """The columns of a body by their places. Raises BadInput: missing, unknown, or twice."""
        there = Counter(names)
        if len(there) < len(names):
            found = f"{there.most_common(1)[0][0][:60]!r} again"
            raise BadInput(where="columns", expected="each name once", found=found)
        external = self._shape.external
        known = {external.get(n, n): c for n, c in self._named.items()}
        unknown = [n for n in names if n not in known]
        if unknown and not self._shape.takes_unknown:
            found = f"an unknown one, {unknown[0][:60]!r}"
            raise BadInput(where="columns", expected=f"some of {', '.join(known)}", found=found)
        missing = [n for n, c in known.items() if n not in there and c.name not in self.optional]
        if missing:
            raise BadInput(f"columns: {missing[0]!r} is missing; expected {', '.join(known)}")
        return {i: known[n] for i, n in enumerate(names) if n in known}

    def _filled(self, lists: Mapping[str, list[Any]], rows: int) -> Columns:
        """All columns, with defaults for those left out, and whole rows checked where their type does that."""
        if self._shape.model is not None:
            return self._shape.checked(Columns(lists, rows))
        missing = [n for n in self._names if n not in lists]
        made = self._shape.defaults(self.row_type, missing, rows) if missing else {}
        return Columns({n: lists[n] if n in lists else made[n] for n in self._names}, rows)

    # To callers

    def check_batch(self, table: Any, rows: int) -> Columns:
        """Check the table that a predictor answered: its columns, rows and values. Raises BadOutput."""
        if isinstance(table, list | tuple):
            found = Columns(_by_name(self._names, table), len(table))
        else:
            names = self._library.names(table)
            if sorted(names) != sorted(self._names):
                raise BadOutput(
                    expected=f"columns {', '.join(self._names)}", found=", ".join(map(str, names))
                )
            lists = {c.name: self._library.values(table, c) for c in self.columns}
            found = Columns(lists, len(next(iter(lists.values()))))
        if len(found) != rows:
            raise BadOutput(expected=f"{rows} rows, one for each asked", found=len(found))
        return Columns({c.name: c.check_answer(found.lists[c.name]) for c in self.columns}, rows)

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Never asked: a table is always a batch."""
        raise BadOutput(expected="a table", found="one row")

    def empty(self) -> Columns:
        """No rows."""
        return Columns({n: [] for n in self._names}, 0)

    def to_parts(self, column: Columns) -> Mapping[str, list[Any]]:
        """A column for each field."""
        return column.lists

    def to_block(self, column: Columns) -> Block:
        """A tensor of JSON."""
        return Block(
            "bytes", (len(column),), [msgspec.json.encode(v) for v in self.to_json(column)]
        )

    def to_json(self, column: Columns) -> list[Any]:
        """Objects, one a row."""
        if not self._shape.external:
            return column.dicts()
        lists = {self._shape.external[n]: values for n, values in column.lists.items()}
        return Columns(lists, column.rows).dicts()

    def answers(self, output: Any) -> Callable[[str, Any], bytes] | None:
        """What writes an output's answers in the content types of tables; None where it is no table."""
        found = _rows.answer_columns(output)
        return partial(_write, *found) if found else None


def _check_parameters(parameters: Sequence[str]) -> None:
    """RFC 4180: `charset` and `header`; what is read here is UTF-8 with a header."""
    taken = (
        "charset=utf-8",
        "charset=utf8",
        "charset=us-ascii",
        'charset="utf-8"',
        "header=present",
        "",
    )
    for parameter in parameters:
        if parameter not in taken:
            expected = "text/csv; charset=utf-8; header=present"
            raise UnsupportedMedia(
                what="a parameter of text/csv", found=parameter[:60], expected=expected
            )


def _by_name(names: Sequence[str], values: Sequence[Any]) -> dict[str, list[Any]]:
    """Columns of rows that are dicts or objects. Raises BadOutput."""
    try:
        return {
            n: [v[n] if isinstance(v, Mapping) else getattr(v, n) for v in values] for n in names
        }
    except (KeyError, AttributeError) as e:
        raise BadOutput(expected=f"rows with {', '.join(names)}", found=f"one without {e}") from e


def _write(columns: Sequence[Column], to_lists: Any, media: str, values: Any) -> bytes:
    lists = to_lists(values)
    if media == _csv.MEDIA:
        return _csv.write_csv(columns, lists)
    return _arrow.write(media, columns, [c.simple(v) for c, v in zip(columns, lists, strict=True)])


def table_field(library: Library, annotation: Any, marks: Sequence[Any]) -> TableField:
    """Make the field of a table by its mark.

    Raises:
        SignatureError: it has no mark, or the row's type is no struct of values, or the library has no such column.
    """
    row = next((m.row for m in marks if isinstance(m, Rows)), None)
    if row is None:
        advice = f"write Annotated[{show(annotation)}, hw.Rows(Row)] with a dataclass Row"
        raise SignatureError(
            where=show(annotation), found="a table without its mark", advice=advice
        )
    shape = _rows.shape_of(row)
    if shape is None or not shape.hints:
        advice = "write a dataclass, TypedDict, msgspec.Struct or pydantic model with a field for each column"
        raise SignatureError(where="hw.Rows", found=show(row), advice=advice)
    return TableField(row, shape, library, "hw.Rows")
