"""Arrays of numpy by the mark `hw.Tensor`: nested lists in JSON, one tensor elsewhere.

A column is a list of nested lists (from JSON), a Block (from a dialect of tensors), an array, or
a Cut of an answer. Whatever the predictor gets is memory of its own: it may change it in place.
"""

import math
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np

from headway.errors import BadInput, BadOutput, SignatureError
from headway.kinds._numbers import Array, Numbers, miscounted
from headway.model.call import Block, Shape
from headway.model.cut import Cut
from headway.model.marks import BATCH_AXIS, Length, Tensor

TYPES: Sequence[str] = ()
MARKS: Sequence[str] = ("Tensor",)
REQUIRES: Sequence[str] = ()

_NUMBERS = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
MAX_RANK = 32

_NARROW = 64
"""Elements of a row up to which an answer leaves as Python numbers that were made for the whole batch at once."""


class ArrayField:
    """One array a row, of a fixed dtype, each length fixed or free (-1)."""

    is_json = False

    def __init__(
        self,
        dtype: str,
        shape: Shape,
        *,
        has_batch: bool,
        description: str = "",
        names: Sequence[str | Length | None] = (),
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.has_batch = has_batch
        self.axes = {
            getattr(name, "name", name): axis for axis, name in enumerate(names) if name is not None
        }
        """The free axes that have names, without the rows' one."""
        self.length = next((n for n in names if isinstance(n, Length)), None)
        """By which rows meet."""
        self._description = description
        self._numbers = Numbers(dtype)
        self._np = self._numbers.np
        self._is_text = self._numbers.is_text
        is_flat = len(shape) < 2 and all(n >= 0 for n in shape)
        self.is_narrow = not self._is_text and is_flat and 0 < math.prod(shape) <= _NARROW
        """A row is a few numbers: what a batch answers is turned into lists, or texts, once for all callers."""
        self._free = tuple(axis for axis, length in enumerate(shape) if length < 0)
        self.json_type = self._json_type()

    def _json_type(self) -> Any:
        kind: Any = self._numbers.type()
        for length in reversed(self.shape):
            kind = list[kind]
            if length >= 0:
                kind = Annotated[kind, msgspec.Meta(min_length=length, max_length=length)]
        return kind

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one array."""
        schema = msgspec.json.schema(self.json_type)
        return {**schema, "description": self._description} if self._description else schema

    def key(self, column: Any, row: int) -> Hashable:
        """The free lengths of a row; None where there are none."""
        lengths = self._lengths_of(column, row)
        if lengths is None or self.length is None:
            return lengths
        axis = self.axes[self.length.name]
        return tuple(
            self.length.bucket(n) if free == axis else n
            for free, n in zip(self._free, lengths, strict=False)
        )

    def length_of(self, column: Any, row: int) -> int:
        """How long a row is on the axis by which rows meet."""
        assert self.length is not None
        lengths = self._lengths_of(column, row) or ()
        place = self._free.index(self.axes[self.length.name])
        return lengths[place] if place < len(lengths) else 0

    def _lengths_of(self, column: Any, row: int) -> Shape | None:
        if not self._free:
            return None
        if not isinstance(column, list):
            shape = tuple(column.shape)
            return tuple(shape[axis + 1] for axis in self._free)
        value = column[row]
        lengths = []
        for length in self.shape:
            if length < 0:
                lengths.append(len(value))
            if not value:
                break
            value = value[0]
        return tuple(lengths)

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this array."""
        array = np.asarray(value)
        return (array.shape, array.tobytes() if array.dtype.kind != "O" else tuple(array.ravel()))

    def gather(self, columns: Sequence[Any]) -> Array:
        """Join columns of several calls into one new array, rows in front."""
        if self.length is not None:
            columns = self._equally_long(columns)
        if all(type(c) is list for c in columns):
            return self._from_lists(columns)
        if all(isinstance(c, Block) for c in columns) and self._can_chain(columns):
            flat = list(chain.from_iterable(c.data for c in columns))
            rows = sum(c.shape[0] for c in columns)
            return self._numbers.packed(flat).reshape(rows, *columns[0].shape[1:])
        arrays = [self.array(c) for c in columns]
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0].copy()

    def _equally_long(self, columns: Sequence[Any]) -> Sequence[Any]:
        """Pad each row to the longest, unless all are as long."""
        found = {self.length_of(c, row) for c in columns for row in range(_rows(c))}
        if len(found) < 2:
            return columns
        return [self._long(c, max(found)) for c in columns]

    def _long(self, column: Any, length: int) -> Any:
        if not isinstance(column, list):
            return self.stretched(self.array(column), length)
        if len(self.shape) == 1 and self.length is not None:
            pad: Any = np.array(self.length.pad, self._np).item()
            return [row + [pad] * (length - len(row)) for row in column]
        rows = [self.stretched(self._from_lists([[row]]), length) for row in column]
        return np.concatenate(rows)

    def stretched(self, array: Array, length: int) -> Array:
        """Rows of one length, padded to another."""
        assert self.length is not None
        axis = self.axes[self.length.name] + 1
        widths = [(0, length - n if i == axis else 0) for i, n in enumerate(array.shape)]
        return np.pad(array, widths, constant_values=self.length.pad)

    def from_bytes(self, data: bytes) -> Array:
        """One array from its numbers (little-endian, C order), as a stream's binary message holds them.

        Raises:
            BadInput: they are too few or too many, or none that the dtype has.
        """
        if self._is_text:
            raise BadInput(where="an item of the stream", expected="JSON as text", found="bytes")
        count, rest = divmod(len(data), self._np.itemsize)
        fixed = math.prod(n for n in self.shape if n >= 0)
        free = len(self._free)
        if rest or free > 1 or (count % fixed if free and fixed else count != fixed):
            expected = f"the bytes of {self.dtype}{_show(self.shape)}"
            raise BadInput(where="an item of the stream", expected=expected, found=f"{len(data)}")
        numbers = np.frombuffer(data, self._np.newbyteorder("<")).astype(self._np)
        if numbers.dtype.kind == "b":
            numbers = np.frombuffer(data, np.uint8) != 0
        return numbers.reshape(self.shape)

    def _from_lists(self, columns: Sequence[list[Any]]) -> Array:
        values = columns[0] if len(columns) == 1 else list(chain.from_iterable(columns))
        if self._is_text:
            return self._texts(values)
        if self._free:
            return self._shaped(self._numbers.new(values), len(values))
        flat: Any = values  # msgspec has checked every length
        for _ in self.shape:
            flat = chain.from_iterable(flat)
        return self._numbers.packed(list(flat)).reshape(len(values), *self.shape)

    def _texts(self, values: list[Any]) -> Array:
        if any(n < 0 for n in self.shape):
            lengths = _lengths(values, len(self.shape) + 1)
        else:
            lengths = (len(values), *self.shape)
        for _ in self.shape:
            values = list(chain.from_iterable(values))
        array = np.empty(len(values), object)
        array[:] = values
        return self._reshaped(array, lengths)

    def _reshaped(self, array: Array, shape: Shape) -> Array:
        if math.prod(shape) != array.size:
            raise _ragged(f"shape {_show(shape)}")
        return array.reshape(shape)

    def _shaped(self, array: Array, rows: int) -> Array:
        """An array of nested lists that msgspec has checked, but for lengths of free axes."""
        if array.ndim == len(self.shape) + 1:
            return array
        if array.size:
            raise BadInput(where="data", expected=f"{len(self.shape)} axes", found=array.ndim - 1)
        shape = tuple(0 if n < 0 else n for n in self.shape)
        return self._reshaped(array, (rows, *shape))

    def _can_chain(self, columns: Sequence[Block]) -> bool:
        tail = columns[0].shape[1:]
        return all(type(c.data) is list and c.shape[1:] == tail for c in columns)

    def array(self, column: Any) -> Array:
        """A column as an array, without a copy where it is one already."""
        if isinstance(column, Block):
            return self._from_checked(column)
        if isinstance(column, Cut):
            return column.array
        return self._from_lists([column]) if isinstance(column, list) else np.asarray(column)

    def _from_checked(self, block: Block) -> Array:
        data = block.data
        if isinstance(data, list):
            return self._numbers.new(data).reshape(block.shape)
        if block.is_json:
            return self._numbers.cast(np.asarray(data)).reshape(block.shape)
        return np.frombuffer(data, self._np).reshape(block.shape)

    def from_block(self, block: Block) -> Any:
        """Check a tensor; it stays a Block until the whole batch is made."""
        if block.dtype != self.dtype:
            raise BadInput(where="datatype", expected=self.dtype, found=block.dtype)
        tail = block.shape[1:]
        if not _fits(self.shape, tail):
            wanted = _show((-1, *self.shape))
            raise BadInput(where="shape", expected=wanted, found=_show(block.shape))
        if block.is_typed:
            return block
        count = math.prod(block.shape)
        data = block.data
        if isinstance(data, list):
            return self._numbers.checked_list(block, data, count)
        view = memoryview(data)
        if block.is_json:
            if view.nbytes // view.itemsize != count:
                raise miscounted(count, view.nbytes // view.itemsize)
        elif self._is_text or view.nbytes != count * self._np.itemsize:
            raise BadInput(where="data", expected=f"{count} elements", found=f"{view.nbytes} bytes")
        elif self._np.kind == "b" and count and np.frombuffer(data, np.uint8).max() > 1:
            raise BadInput(where="data", expected="bytes 0 and 1", found="others")
        return block

    def check(self, values: Sequence[Any]) -> list[Array]:
        """Check what a predictor answered, one array a row. Raises BadOutput."""
        return [self._checked(v, self.shape) for v in values]

    def check_batch(self, output: Any, rows: int) -> Array:
        """Check the answer for a whole batch: one array, rows in front. Raises BadOutput."""
        return self._checked(output, (rows, *self.shape))

    def _checked(self, output: Any, shape: Shape) -> Array:
        if isinstance(output, (list, tuple)):
            output = self._from_answers(output)
        array = np.asarray(output)
        is_right_type = array.dtype == self._np or (self._is_text and array.dtype.kind in "UT")
        if not is_right_type or not _fits(shape, array.shape):
            raise BadOutput(expected=f"{self.dtype}{_show(shape)}", found=_described(array))
        return np.array(array, order="C")  # a copy: the predictor may use its own memory again

    def _from_answers(self, output: Sequence[Any]) -> Array:
        if any(getattr(v, "dtype", self._np) != self._np for v in output):
            raise BadOutput(expected=f"arrays of {self.dtype}", found="others")
        try:
            return np.array(output, self._np)
        except (ValueError, TypeError, OverflowError) as e:
            raise BadOutput(expected=f"an array of {self.dtype}", found=f"a list ({e})") from e

    def to_block(self, column: Any) -> Block:
        """A tensor from a column of answers, C order, little-endian."""
        if isinstance(column, list):
            try:
                array = np.stack(column) if column else self.empty()
            except ValueError as e:
                raise BadOutput(expected="arrays of one shape", found=str(e)) from e
        elif self.is_narrow and isinstance(column, Cut):
            # The batch was turned into lists once for all callers; each takes its own.
            lists = column.lists
            data: Any = lists if not self.shape else list(chain.from_iterable(lists))
            return Block(self.dtype, (len(lists), *self.shape), data)
        else:
            array = self.array(column)
        flat = np.ascontiguousarray(array).reshape(-1)
        data = [str(v) for v in flat] if self._is_text else memoryview(flat)  # type: ignore[arg-type]
        return Block(self.dtype, array.shape, data)

    def to_json(self, column: Any) -> list[Any]:
        """A column of answers as nested lists."""
        if isinstance(column, Cut):
            return column.lists
        return [v.tolist() if hasattr(v, "tolist") else v for v in column]

    def empty(self) -> Array:
        """No rows."""
        return np.empty((0, *(max(n, 0) for n in self.shape)), self._np)


def read_field(annotation: Any, marks: Sequence[Any]) -> ArrayField:
    """Make the field of an array by its mark.

    Raises:
        SignatureError: the mark can't be served.
    """
    mark = next(m for m in marks if isinstance(m, Tensor))
    described = next((m.description for m in marks if isinstance(m, msgspec.Meta)), None)
    if mark.dtype not in (*_NUMBERS, "bytes"):
        advice = f"one of {', '.join(_NUMBERS)}"
        raise SignatureError(
            where=repr(mark), found=f"dtype {mark.dtype!r}", advice=f"write {advice}"
        )
    if BATCH_AXIS in mark.shape[1:]:
        advice = 'let "batch" come first, and once'
        raise SignatureError(
            where=repr(mark), found='a "batch" axis that is not the first', advice=advice
        )
    has_batch = mark.shape[:1] == (BATCH_AXIS,)
    lengths = mark.shape[1:] if has_batch else mark.shape
    _check_lengths(mark, lengths)
    if len(lengths) > MAX_RANK or any(isinstance(n, int) and n < 0 for n in lengths):
        advice = "write a length, or None for a free one"
        raise SignatureError(where=repr(mark), found=f"shape {mark.shape}", advice=advice)
    shape = tuple(n if isinstance(n, int) else -1 for n in lengths)
    names = [n if isinstance(n, str | Length) else None for n in lengths]
    return ArrayField(
        mark.dtype, shape, has_batch=has_batch, description=described or "", names=names
    )


def _check_lengths(mark: Tensor, lengths: Sequence[int | str | Length | None]) -> None:
    """Raise SignatureError where a `Length` can't be served."""
    marked = [n for n in lengths if isinstance(n, Length)]
    if len(marked) > 1:
        advice = "leave one, and None for the others"
        raise SignatureError(where=repr(mark), found="several hw.Length", advice=advice)
    for length in marked:
        if mark.dtype == "bytes":
            raise SignatureError(
                where=repr(mark), found="hw.Length of texts", advice="pad numbers, or use None"
            )
        if min(length.buckets, default=0) < 1 or list(length.buckets) != sorted({*length.buckets}):
            advice = "write lengths above 0, each once, ascending: (16, 32, 64)"
            raise SignatureError(where=repr(mark), found=f"buckets {length.buckets}", advice=advice)


def _rows(column: Any) -> int:
    return len(column) if isinstance(column, list) else int(column.shape[0])


def _ragged(expected: str) -> BadInput:
    return BadInput(where="data", expected=expected, found="ragged lists")


def _fits(wanted: Shape, found: Shape) -> bool:
    """Whether a shape is the wanted one; -1 is any length."""
    if wanted == found and -1 not in wanted:  # nearly always
        return True
    return len(wanted) == len(found) and all(
        have >= 0 and want in (-1, have) for want, have in zip(wanted, found, strict=True)
    )


def _lengths(values: Any, depth: int) -> Shape:
    lengths = []
    for _ in range(depth):
        lengths.append(len(values))
        values = values[0] if len(values) else ()
    return tuple(lengths)


def _show(shape: Sequence[int]) -> str:
    return f"[{', '.join('any' if n < 0 else str(n) for n in shape)}]"


def _described(array: Array) -> str:
    return f"{array.dtype}{_show(array.shape)}"
