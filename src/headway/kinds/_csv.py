"""CSV (RFC 4180) in and out: a header that names the columns, in any order, then a row a line.

A value is checked as its JSON would be. An empty field is null where a column may lack values, empty
text in a column of text, and refused elsewhere. Text is UTF-8; a byte order mark at the front is
skipped, since spreadsheets write one.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput, TooLarge
from headway.kinds._columns import Column
from headway.model.columns import Columns
from headway.model.wording import told

MEDIA = "text/csv"
_LONG = "field larger than field limit"


def read_csv(body: bytes | memoryview, pick: Callable[[Sequence[str]], Any], most: int) -> Columns:
    """Read the rows of a body.

    Args:
        body: the whole text.
        pick: says which columns a header's names are, and which of them are wanted.
        most: rows that one request may have.

    Raises:
        BadInput: with the row and the column of what is wrong.
        TooLarge: a field is longer than a field may be.
    """
    try:
        text = bytes(body).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadInput(where="body", expected="text in UTF-8", found="other bytes") from e
    lines = _lines(text)
    header: list[str] = next(lines, [])
    columns: Mapping[int, Column] = pick(header)
    rows: list[list[str]] = []
    for row in lines:
        if len(row) != len(header):
            expected = f"{len(header)} fields, as the header has"
            raise BadInput(where=f"row {len(rows)}", expected=expected, found=len(row))
        rows.append(row)
        if len(rows) > most:
            raise BadInput(where="body", expected=f"at most {most} rows", found="more")
    cells = list(zip(*rows, strict=True)) or [()] * len(header)
    return Columns({c.name: _column(c, cells[i]) for i, c in columns.items()}, len(rows))


def _lines(text: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from reader
    except csv.Error as e:
        if _LONG in str(e):
            most = csv.field_size_limit()
            raise TooLarge(
                f"line {reader.line_num}: a field of CSV has at most {most} characters; send JSON"
            ) from e
        raise BadInput(
            where=f"line {reader.line_num}", expected="CSV as in RFC 4180", found=str(e)
        ) from e


def _column(column: Column, cells: Sequence[str]) -> list[Any]:
    if column.kind in ("int", "float", "bool"):
        return _literals(column, cells)
    if column.kind in ("list", "any"):
        return [_parsed(column, row, cell) for row, cell in enumerate(cells)]
    values: Sequence[str | None] = cells
    if column.may_lack:
        values = [cell or None for cell in cells]
    return column.check(values)


def _literals(column: Column, cells: Sequence[str]) -> list[Any]:
    """Numbers, true and false: read at once as the array of JSON that they are, or else one by one.

    No value of these types holds a comma, so that the array has a value for each cell, or is refused.
    """
    words = [_written(column, cell) for cell in cells]
    text = ",".join(words)
    if text and text.count(",") == len(words) - 1:
        try:
            return msgspec.json.decode(f"[{text}]", type=list[column.type])  # type: ignore[name-defined]
        except (msgspec.DecodeError, RecursionError):
            pass
    return [_parsed(column, row, cell) for row, cell in enumerate(cells)]


def _written(column: Column, cell: str) -> str:
    """A cell as JSON has it."""
    if not cell and column.may_lack:
        return "null"
    return cell.lower() if column.kind == "bool" else cell


def _parsed(column: Column, row: int, cell: str) -> Any:
    where = f"row {row}, column {column.name}"
    word = _written(column, cell)
    try:
        return msgspec.json.decode(word, type=column.type)
    except msgspec.ValidationError as e:
        raise BadInput(f"{where}: {told(e)}") from None
    except (msgspec.DecodeError, RecursionError):
        found = repr(cell[:40]) if cell else "an empty field"
        raise BadInput(
            where=where, expected=_EXPECTED.get(column.kind, "JSON"), found=found
        ) from None


_EXPECTED: Mapping[str, str] = {"int": "an integer", "float": "a number", "bool": "true or false"}


def write_csv(columns: Sequence[Column], lists: Sequence[list[Any]]) -> bytes:
    """Write rows with their header; null, NaN and infinities are empty fields, as JSON has null for them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([c.name for c in columns])
    cells = [_cells(c, values) for c, values in zip(columns, lists, strict=True)]
    writer.writerows(zip(*cells, strict=True))
    return out.getvalue().encode("utf-8", "surrogatepass")


def _cells(column: Column, values: list[Any]) -> Sequence[Any]:
    if column.kind == "bool":
        return [None if v is None else str(v).lower() for v in values]
    if column.kind == "float":
        return [v if v is not None and abs(v) < float("inf") else None for v in values]
    if column.kind in ("list", "any"):
        return [None if v is None else msgspec.json.encode(v).decode() for v in values]
    if column.kind in ("int", "text"):
        return values
    cells: list[Any] = msgspec.to_builtins(values)
    return cells
