"""Dataframes as rows of a model: MLflow's `dataframe_split`, and CSV. Not a protocol by itself.

Specification: MLflow 3, "Deployment > MLflow Model Serving", for the frame; RFC 4180 and its media type for CSV. What
is made of both is a JSON array of rows, as `_instances` reads it: types and ranges are checked by the wire table.

A column is the input of its name. Of a model whose only input is a list of numbers, a frame with other names is the
matrix: each of its rows is a value of that input, in the order of the columns.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from headway.errors import BadInput, TooLarge
from headway.model.call import Description
from headway.model.counting import count_rows, may_exceed
from headway.model.drift import resolved
from headway.model.wording import told

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LONG = "field larger than field limit"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(list[Raw])


class _Split(Struct, forbid_unknown_fields=True):
    """pandas' own words: `DataFrame.to_dict(orient="split")`."""

    data: Raw
    columns: list[str | int | float] | None = None
    index: Raw = Raw()


# Frames in JSON


def rows_of_split(model: Description, frame: bytes, most: int) -> bytes:
    """The rows of a frame in pandas' split form, as a JSON array.

    Args:
        model: whose inputs the columns are.
        frame: the JSON object.
        most: rows that one request may have.

    Raises:
        BadInput: it is no such frame; with the row's index.
    """
    try:
        split = msgspec.json.decode(frame, type=_Split)
        _check_rows(split.data, most)
        rows = _rows.decode(split.data)
        if split.columns is None:
            width = len(_rows.decode(rows[0])) if rows else 0
            split.columns = [*range(width)]
        names = [str(name) for name in split.columns]
        _check_once(names)
        row_type: Any = tuple[(Raw,) * len(names)]  # type: ignore[misc]
        cells = msgspec.json.Decoder(row_type)
        table = [_cells(cells, row, i) for i, row in enumerate(rows)]
        return bytes(split.data) if is_matrix(model, names) else _by_name(names, table)
    except _UNREADABLE as e:
        raise BadInput(f"dataframe_split: {told(e, frame)}") from e


def _cells(decoder: Any, row: Raw, i: int) -> Sequence[Raw]:
    try:
        return decoder.decode(row)  # type: ignore[no-any-return]
    except _UNREADABLE as e:
        raise BadInput(f"row {i}: {told(e, row)}") from e


def rows_of_records(model: Description, records: bytes, most: int) -> bytes:
    """The rows of a frame in pandas' records form. Arguments and errors as `rows_of_split`."""
    if records.lstrip(b" \t\r\n")[:1] != b"[":
        found = records[:40].decode(errors="replace")
        raise BadInput(where="dataframe_records", expected="a list of records", found=found)
    _check_rows(records, most)
    try:
        rows = _rows.decode(records)
        first = msgspec.json.decode(rows[0], type=dict[str, Raw]) if rows else {}
        if not is_matrix(model, list(first)):
            return records
        values = (msgspec.json.decode(row, type=dict[str, Raw]) for row in rows)
        return _joined(b"[" + b",".join(_in_order(list(first), row)) + b"]" for row in values)
    except _UNREADABLE as e:
        raise BadInput(f"dataframe_records: {told(e, records)}") from e


def columns_of(rows: bytes) -> bytes:
    """Rows as columns, each whole: an object of arrays for objects, and other rows as they are.

    Raises:
        BadInput: the rows have not the same columns.
    """
    if not rows.lstrip(b"[ \t\r\n").startswith(b"{"):
        return rows
    try:
        read = msgspec.json.decode(rows, type=list[dict[str, Raw]])
    except _UNREADABLE as e:
        raise BadInput(told(e, rows)) from e
    names = list(read[0])
    cells = zip(*(_in_order(names, row) for row in read), strict=True)
    return _by_name(names, [[_joined(bytes(c) for c in column) for column in cells]])[1:-1]


def is_matrix(model: Description, names: Sequence[str]) -> bool:
    """Whether columns of these names are the elements of a model's only input, a list, and not inputs."""
    inputs = model.input_schema.get("properties", {})
    needed = model.input_schema.get("required", ()) or list(inputs)[:1]
    if not names or len(needed) != 1 or set(names) & set(inputs):
        return False
    return _is_list(resolved(inputs[needed[0]], model.input_schema))


def _is_list(schema: Mapping[str, Any]) -> bool:
    items = schema.get("items")
    return (
        schema.get("type") == "array"
        and isinstance(items, Mapping)
        and items.get("type") not in ("array", "object")
    )


def _in_order(names: Sequence[str], row: Mapping[str, Raw]) -> list[Raw]:
    if row.keys() != set(names):
        expected = f"the columns {', '.join(names)}"
        raise BadInput(
            where="dataframe_records", expected=expected[:200], found=", ".join(row)[:200]
        )
    return [row[name] for name in names]


def _check_rows(array: bytes | Raw, most: int) -> None:
    raw = bytes(array)
    if may_exceed(raw, most) and (count := count_rows(raw)) > most:
        raise BadInput(where="body", expected=f"at most {most} rows", found=count)


def _check_once(names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise BadInput(where="columns", expected="each name once", found=f"{name[:60]!r} again")


def _check_known(model: Description, names: Sequence[str]) -> None:
    """Refuse a header that is none, before it is taken for one of no rows."""
    root = model.input_schema
    inputs = root.get("properties", {})
    takes_others = any(resolved(each, root).get("type") == "object" for each in inputs.values())
    unknown = [name for name in names if name not in inputs]
    if unknown and not takes_others and not is_matrix(model, names):
        expected = f"some of {', '.join(inputs)}; or text/csv; header=absent"
        raise BadInput(where="columns", expected=expected[:300], found=repr(unknown[0][:60]))


def _by_name(names: Sequence[str], rows: Iterable[Iterable[Raw | bytes]]) -> bytes:
    keys = [_encode(name) + b":" for name in names]
    return _joined(
        b"{" + b",".join(key + cell for key, cell in zip(keys, row, strict=True)) + b"}"
        for row in rows
    )


def _joined(rows: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"


# CSV


def rows_of_csv(
    model: Description, body: bytes | memoryview, most: int, *, has_header: bool | None
) -> tuple[bytes, bool]:
    """The rows of a CSV body as a JSON array, and whether its first line was a header.

    Args:
        model: whose inputs the columns are.
        body: the whole text.
        most: rows that one request may have.
        has_header: None where that has to be found out: it has none if its first line is all numbers. Fields without
            a header are the inputs in their order.

    Raises:
        BadInput: with the line, or the row and the column, of what is wrong.
        TooLarge: a field is longer than a field may be.
    """
    lines = _lines(body)
    first = next(lines, None)
    if first is None:
        raise BadInput(where="body", expected="CSV", found="nothing")
    if has_header is None:
        has_header = not _is_data(model, first)
    names = first if has_header else _positions(model, first)
    _check_once(names)
    _check_known(model, names)
    rows = [] if has_header else [first]
    for row in lines:
        if len(row) != len(names):
            raise BadInput(
                where=f"row {len(rows)}", expected=f"{len(names)} fields", found=len(row)
            )
        rows.append(row)
        if len(rows) > most:
            raise BadInput(where="body", expected=f"at most {most} rows", found="more")
    if is_matrix(model, names):
        matrix = ([_token(cell, _NUMERIC) for cell in row] for row in rows)
        return _joined(b"[" + b",".join(row) + b"]" for row in matrix), has_header
    types = [_types(model, name) for name in names]
    named = (map(_token, row, types) for row in rows)
    return _by_name(names, named), has_header


def _lines(body: bytes | memoryview) -> Iterator[list[str]]:
    """The lines that are not empty, as fields."""
    try:
        text = bytes(body).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadInput(where="body", expected="text in UTF-8", found="other bytes") from e
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from (line for line in reader if line)
    except csv.Error as e:
        where = f"line {reader.line_num}"
        if _LONG in str(e):
            most = csv.field_size_limit()
            said = f"{where}: a field of CSV has at most {most} characters; send JSON"
            raise TooLarge(said) from e
        raise BadInput(where=where, expected="CSV as in RFC 4180", found=str(e)) from e


def _is_data(model: Description, first: Sequence[str]) -> bool:
    """Whether a first line holds values: nothing but numbers, and no input has such a name."""
    if set(first) & set(model.input_schema.get("properties", {})) or not all(
        map(_is_number, first)
    ):
        return False
    if first == [str(i) for i in range(len(first))]:
        expected = "text/csv; header=present or header=absent, since the first line may be either"
        raise BadInput(where="content-type", expected=expected, found="text/csv")
    return True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _positions(model: Description, first: Sequence[str]) -> list[str]:
    """Names for fields that have none: the inputs in their order, or numbers where they are a matrix."""
    inputs = list(model.input_schema.get("properties", {}))
    numbers = [str(i) for i in range(len(first))]
    if is_matrix(model, numbers):
        return numbers
    if len(first) > len(inputs):
        expected = f"at most {len(inputs)} fields: {', '.join(inputs)}"
        raise BadInput(where="row 0", expected=expected[:200], found=len(first))
    return inputs[: len(first)]


_NUMERIC = frozenset({"number"})


def _types(model: Description, name: str) -> frozenset[str]:
    """JSON's names of the types that an input takes; none where anything may stand."""
    root = model.input_schema
    schema = resolved(root.get("properties", {}).get(name, {}), root)
    found: set[str] = set()
    for part in schema.get("anyOf", [schema]):
        type_ = resolved(part, root)
        if "enum" in type_ or "const" in type_:
            values = type_.get("enum", [type_.get("const")])
            found |= {_NAMES.get(type(value), "null") for value in values}
        said = type_.get("type", ())
        found |= {said} if isinstance(said, str) else set(said)
    return frozenset(found)


_NAMES: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _token(cell: str, types: frozenset[str]) -> bytes:
    """A cell as JSON: as its column's type says; text where it can't be what is wanted, so that the wire tells."""
    if not cell and ("null" in types or (types and "string" not in types)):
        return b"null"
    if "string" in types:
        return _encode(cell)
    if _NUMBER.fullmatch(cell):
        return cell.encode()
    if "boolean" in types and cell.lower() in ("true", "false"):
        return cell.lower().encode()
    if types & {"number", "integer"}:
        return _loose_number(cell)
    try:
        return bytes(msgspec.json.decode(cell, type=Raw))
    except _UNREADABLE:
        return _encode(cell)


def _loose_number(cell: str) -> bytes:
    """A number as other languages write it (`+1`, `.5`), if it is one; null for NaN, as an empty cell."""
    try:
        value = float(cell)
    except ValueError:
        return _encode(cell)
    return _encode(value)  # null, where it is not finite


# Answers


def csv_of(rows: Sequence[Any], names: Sequence[str], *, has_header: bool) -> bytes:
    """Answers as CSV: an object's members, a list's elements or a plain value a line.

    Args:
        rows: in their JSON form.
        names: of the columns; for lists they are numbered.
        has_header: whether the names stand in front.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if has_header:
        width = max((len(row) for row in rows if isinstance(row, list)), default=0)
        writer.writerow([*map(str, range(width))] if width else names)
    for row in rows:
        cells = list(row.values()) if isinstance(row, dict) else row
        writer.writerow([_cell(v) for v in (cells if isinstance(cells, list) else [cells])])
    return out.getvalue().encode("utf-8", "surrogatepass")


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
