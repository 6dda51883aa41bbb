"""What a predictor may answer, in four forms: a list of values, one array, a table, or a dict of arrays.

An output checks an answer, cuts it for the callers whose rows it holds, joins what was cut apart,
and gives it to JSON and to tensors. It knows nothing of requests.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

from headway.errors import BadOutput, HeadwayError, Rejected
from headway.model.call import Block, TensorSpec
from headway.model.columns import Columns, joined
from headway.model.cut import Cut, whole
from headway.model.field import Field
from headway.model.marks import Reject

OUTPUT = "output"
Errors = dict[int, HeadwayError]


class Output(Protocol):
    """The form of a predictor's answers."""

    @property
    def specs(self) -> list[TensorSpec]:
        """Its tensors."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one answer."""
        ...

    def check(self, output: Any, rows: int) -> tuple[Any, Errors]:
        """Check the answer for a batch: `rows` of the promised type; and tell those rejected."""
        ...

    def check_item(self, value: Any) -> Any:
        """Check the answer for one item."""
        ...

    def split(self, values: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """The rows in parts of so many each, in order."""
        ...

    def join(self, parts: Sequence[Any]) -> Any:
        """Rows of several, in order."""
        ...

    def cut_back(self, values: Any, axis: str, lengths: Sequence[int]) -> Any:
        """Each row cut to its length on the axis of this name, where it has one."""
        ...

    def to_json(self, values: Any) -> list[Any]:
        """Values that msgspec can write, one a row."""
        ...

    def first(self, values: Any) -> Any:
        """The first row as a value that msgspec can write."""
        ...

    def to_blocks(self, values: Any) -> list[tuple[str, Block]]:
        """Its tensors, rows in front."""
        ...

    def to_texts(self, values: Any) -> tuple[bytes, ...] | None:
        """The elements of each tensor as JSON, without brackets; None where they are not written for a whole batch."""
        ...

    def empty(self) -> Any:
        """No rows."""
        ...


class ListOutput:
    """One value of a field for each row: the form of items, and of batches that are lists."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._parts: Mapping[str, Field] | None = getattr(field, "parts", None)

    @property
    def specs(self) -> list[TensorSpec]:
        """A tensor, or one for each field of a flat struct."""
        named = self._parts or {OUTPUT: self.field}
        return [TensorSpec(n, f.dtype, f.shape, f.is_json) for n, f in named.items()]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one answer."""
        return self.field.schema()

    def check(self, output: Any, rows: int) -> tuple[list[Any], Errors]:
        """Check a list, tuple, array or table of n; a Reject in it becomes that row's error."""
        values = _as_list(output, rows)
        rejects = [i for i, v in enumerate(values) if isinstance(v, Reject)]
        if not rejects:
            return self.field.check(values), {}
        errors: Errors = {i: rejected(values[i]) for i in rejects}
        kept = iter(self.field.check([v for i, v in enumerate(values) if i not in errors]))
        return [None if i in errors else next(kept) for i in range(rows)], errors

    def check_item(self, value: Any) -> Any:
        """Check one value; a Reject in its place is raised."""
        if isinstance(value, Reject):
            raise rejected(value)
        return self.field.check([value])[0]

    def split(self, values: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """The rows in parts of so many each, in order."""
        return _slices(values, sizes)

    def join(self, parts: Sequence[Any]) -> Any:
        """Rows of several, in order."""
        return [v for part in parts for v in part]

    def cut_back(self, values: Any, axis: str, lengths: Sequence[int]) -> Any:
        """Each row cut to its length, where rows are arrays that have the axis."""
        at = getattr(self.field, "axes", {}).get(axis)
        if at is None:
            return values
        return [
            v if v is None else _shorter(v, at, n) for v, n in zip(values, lengths, strict=True)
        ]

    def to_json(self, values: Any) -> list[Any]:
        """Values that msgspec can write."""
        return self.field.to_json(values)

    def first(self, values: Any) -> Any:
        """The first row as a value that msgspec can write."""
        return self.field.to_json(values[:1])[0]

    def to_blocks(self, values: Any) -> list[tuple[str, Block]]:
        """A tensor, or one for each field of a flat struct."""
        if self._parts is None:
            return [(OUTPUT, self.field.to_block(values))]
        columns = self.field.to_parts(values)  # type: ignore[attr-defined]
        return [(name, part.to_block(columns[name])) for name, part in self._parts.items()]

    def to_texts(self, values: Any) -> tuple[bytes, ...] | None:
        """None: its values are written for each caller."""
        return None

    def empty(self) -> Any:
        """No rows."""
        return []


class ArrayOutput:
    """One array for the whole batch, rows in front."""

    def __init__(self, field: Any, name: str = OUTPUT) -> None:
        self.field = field
        self.name = name

    @property
    def specs(self) -> list[TensorSpec]:
        """Its tensor."""
        return [TensorSpec(self.name, self.field.dtype, self.field.shape)]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row."""
        schema: dict[str, Any] = self.field.schema()
        return schema

    def check(self, output: Any, rows: int) -> tuple[Cut, Errors]:
        """Check dtype, rows and shape."""
        if isinstance(output, Mapping) and set(output) == {self.name}:
            output = output[self.name]
        return whole(self.field.check_batch(output, rows)), {}

    def check_item(self, value: Any) -> Any:
        """Check the array of one item: a model file's whole answer, rows not proven."""
        if isinstance(value, Mapping) and set(value) == {self.name}:
            value = value[self.name]
        return self.field.check([value])[0]

    def split(self, values: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """The rows in parts of so many each, in order."""
        return values.cuts(sizes) if isinstance(values, Cut) else _slices(values, sizes)

    def join(self, parts: Sequence[Any]) -> Any:
        """Rows of several, in order."""
        return join_cuts(parts)

    def cut_back(self, values: Any, axis: str, lengths: Sequence[int]) -> Any:
        """Each row cut to its length, where the array has the axis; rows of several lengths become a list."""
        at = self.field.axes.get(axis)
        if at is None:
            return values
        array = values.array
        if len(set(lengths)) == 1:
            return whole(_shorter(array, at + 1, lengths[0]))
        return [_shorter(row, at, n) for row, n in zip(array, lengths, strict=True)]

    def to_json(self, values: Any) -> list[Any]:
        """Nested lists."""
        lists: list[Any] = self.field.to_json(values)
        return lists

    def first(self, values: Any) -> Any:
        """The first row as nested lists."""
        return values.first() if isinstance(values, Cut) else self.field.to_json(values[:1])[0]

    def to_blocks(self, values: Any) -> list[tuple[str, Block]]:
        """Its tensor."""
        return [(self.name, self.field.to_block(values))]

    def to_texts(self, values: Any) -> tuple[bytes, ...] | None:
        """The elements of its tensor, where a row is a few numbers."""
        return (values.text,) if self.field.is_narrow and type(values) is Cut else None

    def empty(self) -> Any:
        """No rows."""
        return whole(self.field.empty())


class TableOutput:
    """One table for the whole batch: columns of values, a row of them for each row."""

    def __init__(self, field: Any) -> None:
        self.field = field

    @property
    def specs(self) -> list[TensorSpec]:
        """A tensor for each column."""
        return [TensorSpec(n, f.dtype, f.shape, f.is_json) for n, f in self.field.parts.items()]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row."""
        schema: dict[str, Any] = self.field.schema()
        return schema

    def check(self, output: Any, rows: int) -> tuple[Columns, Errors]:
        """Check columns, rows and values."""
        return self.field.check_batch(output, rows), {}

    def check_item(self, value: Any) -> Any:
        """Never asked: a table is always a batch."""
        return self.field.check([value])[0]

    def split(self, values: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """The rows in parts of so many each, in order."""
        return _slices(values, sizes)

    def join(self, parts: Sequence[Any]) -> Any:
        """Rows of several, in order."""
        return joined(parts, list(self.field.parts))

    def cut_back(self, values: Any, axis: str, lengths: Sequence[int]) -> Any:
        """A row has no axis to be cut on."""
        return values

    def to_json(self, values: Any) -> list[Any]:
        """Objects, one a row."""
        lists: list[Any] = self.field.to_json(values)
        return lists

    def first(self, values: Any) -> Any:
        """The first row as an object."""
        return self.field.to_json(values[:1])[0]

    def to_blocks(self, values: Any) -> list[tuple[str, Block]]:
        """A tensor for each column."""
        columns = self.field.to_parts(values)
        return [(n, part.to_block(columns[n])) for n, part in self.field.parts.items()]

    def to_texts(self, values: Any) -> tuple[bytes, ...] | None:
        """None: its values are written for each caller."""
        return None

    def empty(self) -> Any:
        """No rows."""
        return self.field.empty()


class ColumnsOutput:
    """A dict, TypedDict or dataclass of arrays, each with the rows in front."""

    def __init__(self, columns: Mapping[str, ArrayOutput]) -> None:
        self.columns = columns
        self._is_narrow = all(c.field.is_narrow for c in columns.values())

    @property
    def specs(self) -> list[TensorSpec]:
        """A tensor for each array."""
        return [s for c in self.columns.values() for s in c.specs]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row: an object."""
        return {
            "type": "object",
            "properties": {n: c.schema() for n, c in self.columns.items()},
            "required": list(self.columns),
        }

    def check(self, output: Any, rows: int) -> tuple[dict[str, Cut], Errors]:
        """Check that every array is there, and each."""
        arrays = self._named(output)
        return {n: c.check(arrays[n], rows)[0] for n, c in self.columns.items()}, {}

    def check_item(self, value: Any) -> Any:
        """Check the arrays of one item."""
        arrays = self._named(value)
        return {n: c.check_item(arrays[n]) for n, c in self.columns.items()}

    def _named(self, output: Any) -> Mapping[str, Any]:
        if not isinstance(output, Mapping):
            output = {n: getattr(output, n) for n in self.columns if hasattr(output, n)}
        if set(output) != set(self.columns):
            wanted = ", ".join(self.columns)
            raise BadOutput(
                expected=f"arrays named {wanted}", found=", ".join(map(str, output)) or "none"
            )
        named: Mapping[str, Any] = output
        return named

    def split(self, values: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """The rows in parts of so many each, in order."""
        if isinstance(values, list):
            return _slices(values, sizes)
        columns = [self.columns[n].split(v, sizes) for n, v in values.items()]
        return [dict(zip(values, parts, strict=True)) for parts in zip(*columns, strict=True)]

    def join(self, parts: Sequence[Any]) -> Any:
        """Rows of several, in order."""
        if any(isinstance(p, list) for p in parts):
            return [v for part in parts for v in part]
        return {n: join_cuts([p[n] for p in parts]) for n in self.columns}

    def cut_back(self, values: Any, axis: str, lengths: Sequence[int]) -> Any:
        """Each row of each array cut to its length."""
        return {n: self.columns[n].cut_back(v, axis, lengths) for n, v in values.items()}

    def to_json(self, values: Any) -> list[Any]:
        """Objects, one a row."""
        if isinstance(values, list):
            return [{n: c.first([v[n]]) for n, c in self.columns.items()} for v in values]
        lists = {n: c.to_json(values[n]) for n, c in self.columns.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]

    def first(self, values: Any) -> Any:
        """The first row as an object."""
        if isinstance(values, list):
            return self.to_json(values[:1])[0]
        return {n: c.first(values[n]) for n, c in self.columns.items()}

    def to_blocks(self, values: Any) -> list[tuple[str, Block]]:
        """A tensor for each array."""
        if isinstance(values, list):
            values = {n: [v[n] for v in values] for n in self.columns}
        return [b for n, c in self.columns.items() for b in c.to_blocks(values[n])]

    def to_texts(self, values: Any) -> tuple[bytes, ...] | None:
        """The elements of each tensor, where a row of each is a few numbers."""
        if not self._is_narrow or type(values) is not dict:
            return None
        cuts = [values[name] for name in self.columns]
        return tuple([c.text for c in cuts]) if all(type(c) is Cut for c in cuts) else None

    def empty(self) -> Any:
        """No rows."""
        return {n: c.empty() for n, c in self.columns.items()}


def join_cuts(parts: Sequence[Any]) -> Any:
    """Join arrays of one output; rows of different shapes become a list of arrays."""
    if len(parts) == 1:
        return parts[0]
    shapes = {p.array.shape[1:] if isinstance(p, Cut) else None for p in parts}
    if len(shapes) > 1 or None in shapes:
        return [v for p in parts for v in (p.array if isinstance(p, Cut) else p)]
    import numpy as np  # noqa: PLC0415  (predictors without arrays never import it)

    return whole(np.concatenate([p.array for p in parts]))


def _shorter(array: Any, axis: int, length: int) -> Any:
    return array[(slice(None),) * axis + (slice(0, length),)]


def _slices(values: Any, sizes: Sequence[int]) -> list[Any]:
    return [values[start:stop] for start, stop in pairwise(accumulate(sizes, initial=0))]


def rejected(reject: Reject) -> Rejected:
    """The caller's error for an item that the predictor refused."""
    return Rejected(str(reject))


def _as_list(output: Any, rows: int) -> list[Any]:
    """A batch's answer as a list of exactly `rows`; a dict, a string or a generator is none."""
    if isinstance(output, (list, tuple)):
        values = list(output)
    elif hasattr(output, "to_dict") and hasattr(output, "columns"):
        values = output.to_dict("records")
    elif hasattr(output, "tolist") and hasattr(output, "shape") and output.shape:
        values = list(output) if len(output.shape) > 1 else output.tolist()
    else:
        raise BadOutput(expected=f"a list of {rows}", found=type(output).__name__)
    if len(values) != rows:
        raise BadOutput(expected=f"{rows} rows, one for each asked", found=len(values))
    return values
