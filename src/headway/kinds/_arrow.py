"""Arrow's tables and columns, Parquet, and Arrow IPC: read within limits, checked, and written.

pyarrow is imported where one of them is asked for. A body is looked at before anything is inflated, and
validated before anything is read: Arrow trusts the offsets in it. Text is kept as a dictionary until its size is known.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.errors import BadInput, SignatureError, TooLarge, UnsupportedMedia
from headway.kinds import _messages, _pages
from headway.kinds._columns import DIGITS, PLACES, Column
from headway.model.columns import Columns

PARQUET = "application/vnd.apache.parquet"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
_MOST_PAGES = 100_000
_MOST_NAMES = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one body may hold, once it is inflated."""

    rows: int
    size_bytes: int

    def check_rows(self, rows: int) -> None:
        """Raise BadInput where there are more."""
        if rows > self.rows:
            raise BadInput(where="body", expected=f"at most {self.rows} rows", found=rows)

    def check_bytes(self, size_bytes: int) -> None:
        """Raise TooLarge where there are more."""
        if size_bytes > self.size_bytes:
            raise TooLarge(what="the inflated body", limit_bytes=self.size_bytes)


def library() -> Any:
    """The library pyarrow. Raises UnsupportedMedia where it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415  (heavy, and only for bodies of its own)
        import pyarrow.compute  # noqa: PLC0415  (as above)
        import pyarrow.ipc  # noqa: PLC0415  (as above)
        import pyarrow.parquet  # noqa: PLC0415  (as above)
    except ImportError as e:
        raise UnsupportedMedia(
            "Parquet and Arrow need the library pyarrow, which this server does not have; its operator adds it "
            "with: pip install 'headway[arrow]'. Send or accept text/csv or application/json instead"
        ) from e
    return pa


# Types


def type_of(column: Column) -> Any:
    """The Arrow type of a column. Raises SignatureError where it has none."""
    pa = library()
    if column.kind == "list" and column.item is not None:
        return pa.list_(type_of(column.item))
    makers: Mapping[str, Callable[[], Any]] = {
        "bool": pa.bool_,
        "int": pa.int64,
        "float": pa.float64,
        "text": pa.string,
        "uuid": pa.string,
        "bytes": pa.binary,
        "choice": lambda: pa.dictionary(pa.int32(), pa.string()),
        "datetime": lambda: pa.timestamp("us"),
        "instant": lambda: pa.timestamp("us", "UTC"),
        "date": pa.date32,
        "time": lambda: pa.time64("us"),
        "duration": lambda: pa.duration("us"),
        "decimal": lambda: pa.decimal128(DIGITS, PLACES),
    }
    if column.kind not in makers:
        advice = "give it a scalar, a date, a Literal, an Enum of text, or a list of one of these"
        raise SignatureError(
            where=f"column {column.name}", found="its type in Arrow", advice=advice
        )
    return makers[column.kind]()


def made(columns: Sequence[Column], lists: Sequence[list[Any]]) -> Any:
    """A pyarrow.Table of checked values."""
    pa = library()
    arrays = [_array(pa, c, values) for c, values in zip(columns, lists, strict=True)]
    return pa.table(arrays, names=[c.name for c in columns])


def _array(pa: Any, column: Column, values: list[Any]) -> Any:
    if column.kind != "choice":
        return pa.array(values, type_of(column))
    numbers = {choice: i for i, choice in enumerate(column.choices)}
    indices = pa.array([None if v is None else numbers[v] for v in values], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.choices, pa.string()))


# From Arrow to lists


def lists_of(table: Any, columns: Mapping[int, Column], limits: Limits) -> Columns:
    """A table's columns by their place in it, as Python values. Raises BadInput, TooLarge."""
    pa = library()
    size, lists = 0, {}
    for place, column in columns.items():
        array = _flat(pa, table.column(place), column)
        size += _weight(pa, array)
        limits.check_bytes(size)
        lists[column.name] = _values(pa, array)
    return Columns(lists, table.num_rows)


def _flat(pa: Any, chunked: Any, column: Column) -> Any:
    """One array of a type that is read here. Raises BadInput."""
    kind = chunked.type
    try:
        if pa.types.is_timestamp(kind):
            wanted = pa.date32() if column.kind == "date" else pa.timestamp("us", kind.tz)
            if column.kind == "date" and not chunked.cast(pa.date32(), safe=False).cast(
                kind
            ).equals(chunked):
                raise _strange(column, f"{kind} with times of day")
            chunked = chunked.cast(wanted, safe=column.kind != "date")
        elif pa.types.is_duration(kind) or pa.types.is_time(kind):
            chunked = chunked.cast(
                pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
            )
    except pa.ArrowInvalid as e:
        raise _strange(column, f"{kind} finer than microseconds") from e
    if isinstance(kind, pa.BaseExtensionType):
        chunked = pa.chunked_array([c.storage for c in chunked.chunks], kind.storage_type)
    array = chunked.combine_chunks() if chunked.num_chunks else pa.array([], chunked.type)
    if isinstance(array, pa.ChunkedArray):
        raise _strange(column, "more than an array holds")
    if not _is_known(pa, array.type):
        raise _strange(column, str(kind))
    return array


def _strange(column: Column, found: str) -> BadInput:
    return BadInput(
        where=f"column {column.name}", expected="values of its type", found=f"Arrow's {found[:60]}"
    )


def _is_known(pa: Any, kind: Any) -> bool:
    t = pa.types
    if t.is_dictionary(kind):
        return is_text(pa, kind.value_type)
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return not t.is_dictionary(kind.value_type) and _is_known(pa, kind.value_type)
    is_plain = t.is_primitive(kind) or t.is_decimal(kind) or t.is_null(kind)
    return bool(is_plain or is_text(pa, kind))


def is_text(pa: Any, kind: Any) -> bool:
    t = pa.types
    kinds = (t.is_string, t.is_large_string, t.is_string_view, t.is_binary, t.is_large_binary)
    return any(is_one(kind) for is_one in (*kinds, t.is_binary_view, t.is_fixed_size_binary))


def _weight(pa: Any, array: Any) -> int:
    """Bytes that its values will take at least; those of a dictionary are made once."""
    if pa.types.is_dictionary(array.type):
        return _weight(pa, array.dictionary) + 8 * len(array)
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        return _view_bytes(array)
    if is_text(pa, array.type):
        return int(pa.compute.sum(pa.compute.binary_length(array)).as_py() or 0)
    if pa.types.is_nested(array.type):
        return 8 * len(array) + _weight(pa, array.flatten())
    return 8 * len(array)


def _view_bytes(array: Any) -> int:
    """Of a view, whose values may all be the same bytes: its first four bytes are a length."""
    if not len(array):
        return 0
    lengths = np.frombuffer(array.buffers()[1], np.int32)[4 * array.offset :: 4][: len(array)]
    return int(lengths[array.is_valid().to_numpy(zero_copy_only=False)].sum(dtype=np.int64))


def _values(pa: Any, array: Any) -> list[Any]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        texts = array.dictionary.to_pylist()
        return [None if i is None else texts[i] for i in array.indices.to_pylist()]
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_number and not array.null_count:
        return array.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    return array.to_pylist()  # type: ignore[no-any-return]


# From bytes to tables


Pick = Callable[[Sequence[str]], Mapping[int, Column]]
"""Says which columns the names of a body are, by their places. Raises BadInput."""


def read(media: str, body: bytes | memoryview, pick: Pick, limits: Limits) -> Columns:
    """Read the rows of a Parquet or Arrow body.

    Raises:
        BadInput: it is damaged, or its columns are not those of a row.
        TooLarge: it would take more than the limits.
        UnsupportedMedia: pyarrow is not installed.
    """
    pa = library()
    what = "Parquet" if media == PARQUET else "Arrow IPC"
    try:
        if media == PARQUET:
            table, columns = _read_parquet(pa, memoryview(body), pick, limits)
        else:
            table, columns = _read_ipc(pa, memoryview(body), pick, limits, is_file=media == FILE)
        table.validate(full=True)
        return lists_of(table, columns, limits)
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError, MemoryError) as e:
        raise _damaged(what) from e
    except (_pages.DamagedError, _messages.DamagedError) as e:
        raise _damaged(what) from e


def _damaged(what: str) -> BadInput:
    return BadInput(
        where="body", expected=f"{what} that can be read", found="damaged or other bytes"
    )


def _read_parquet(
    pa: Any, body: memoryview, pick: Pick, limits: Limits
) -> tuple[Any, Mapping[int, Column]]:
    options = {
        "pre_buffer": False,
        "arrow_extensions_enabled": False,
        "thrift_string_size_limit": _MOST_NAMES,
        "thrift_container_size_limit": _MOST_NAMES,
    }
    _check_pages(body, limits)
    source = pa.py_buffer(body)
    file = pa.parquet.ParquetFile(pa.BufferReader(source), **options)
    limits.check_rows(file.metadata.num_rows)
    schema = file.schema_arrow
    columns = pick(schema.names)
    texts = [schema.names[i] for i in columns if is_text(pa, schema.types[i])]
    file = pa.parquet.ParquetFile(pa.BufferReader(source), read_dictionary=texts, **options)
    table = file.read(use_threads=False)
    limits.check_rows(table.num_rows)
    return table, columns


def _check_pages(body: memoryview, limits: Limits) -> None:
    """Refuse what would take more than the limits once inflated, whatever the footer says of that."""
    size = count = 0
    for rows, start, stop in _pages.chunks(body):
        limits.check_rows(rows)
        for page in _pages.pages(body, start, stop):
            size += max(page.inflated_bytes, page.values * _pages.VALUE_BYTES)
            count += 1
            limits.check_bytes(size)
            if count > _MOST_PAGES:
                raise TooLarge(f"the Parquet file has more than {_MOST_PAGES} pages")


def _read_ipc(
    pa: Any, body: memoryview, pick: Pick, limits: Limits, *, is_file: bool
) -> tuple[Any, Mapping[int, Column]]:
    size = rows = 0
    for message in _messages.messages(body, is_file=is_file):
        size += message.inflated_bytes
        rows += message.rows
        limits.check_rows(rows)
        limits.check_bytes(size)
    source = pa.BufferReader(pa.py_buffer(body))
    options = pa.ipc.IpcReadOptions(use_threads=False)
    reader = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source, options=options)
    columns = pick(reader.schema.names)
    table = reader.read_all()
    limits.check_rows(table.num_rows)
    return table, columns


def write(media: str, columns: Sequence[Column], lists: Sequence[list[Any]]) -> bytes:
    """Write rows as Parquet or Arrow IPC. Raises UnsupportedMedia."""
    pa = library()
    table = made(columns, lists)
    out = io.BytesIO()
    if media == PARQUET:
        pa.parquet.write_table(table, out)
        return out.getvalue()
    new = pa.ipc.new_file if media == FILE else pa.ipc.new_stream
    with new(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


MEDIA_TYPES: Sequence[str] = (PARQUET, STREAM, FILE)
