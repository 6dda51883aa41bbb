"""Fields whose values are plain Python: scalars, text, bytes, structs, and all that JSON can hold.

A column of them is a list with one value a row. Arrays, images and tables are kinds; no numpy here.
"""

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from headway.errors import BadInput, BadOutput, SignatureError
from headway.model.call import Block, Shape
from headway.model.field import Field
from headway.model.integers import are_held, held, is_open, larger
from headway.model.kind import field_of_type
from headway.model.wording import told

REF_TEMPLATE = "#/$defs/{name}"
_FORMATS = {"bool": "?", "int64": "q", "float64": "d"}
_NONE = type(None)


def plain(value: Any) -> Any:
    """Turn what JSON does not know (numpy's values, kinds) into what it does: an `enc_hook`.

    Raises:
        TypeError: nothing is known of this type.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    try:
        field = _field_of(type(value))  # type: ignore[arg-type]
    except SignatureError as e:  # a table without its mark, somewhere within an answer
        raise TypeError(e.message) from e
    if field is None:
        raise TypeError(f"{type(value).__qualname__} can't be written as JSON")
    return field.to_json([value])[0]


def whole(value: Any) -> Any:
    """Like `plain`, but two that differ in what their JSON leaves out, or hides, still differ."""
    tell = getattr(_field_of(type(value)), "identity", None)  # type: ignore[arg-type]
    return tell(value) if tell else plain(value)


def read_plain(kind: type, value: Any) -> Any:
    """Make a kind's value of values of JSON: a `dec_hook`.

    Raises:
        ValueError: it is none; msgspec adds its place.
        TypeError: nothing of this type is read from JSON.
    """
    read = getattr(_field_of(kind), "from_plain", None)
    if read is None:
        raise TypeError(f"{kind.__qualname__} can't be read from JSON")
    return read(value)


@functools.lru_cache(256)
def _field_of(kind: Any) -> Field | None:
    return field_of_type(kind)


def schema_hook(kind: type) -> dict[str, Any]:
    """The JSON Schema of a kind within a type that msgspec knows."""
    field = field_of_type(kind)
    if field is None:
        raise NotImplementedError
    return field.schema()


class ValueField:
    """One value that msgspec can read and write."""

    def __init__(self, json_type: Any) -> None:
        """Make the field of a type.

        Args:
            json_type: any type that msgspec knows, with its `Meta`.
        """
        self.declared = json_type
        self.dtype, self.is_json = _tensor_of(json_type)
        self.shape: Shape = ()
        self.json_type = held(json_type)
        self._exact: type | None = (
            json_type if json_type in (bool, int, float, str, bytes) else None
        )
        self._column_type: Any = list[self.json_type]  # type: ignore[name-defined]
        self._is_frozen = not self.is_json
        self.is_open = is_open(self.json_type)
        """Its JSON may hold integers of more than 64 bits, and has to be looked at."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one value."""
        (schema,), components = msgspec.json.schema_components(
            [self.declared], schema_hook=schema_hook, ref_template=REF_TEMPLATE
        )
        return {**schema, "$defs": components} if components else schema

    def key(self, column: Any, row: int) -> Hashable:
        """Nothing need be equal for two rows to meet."""
        return None

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this value."""
        return value if self._is_frozen else msgspec.json.encode(value, enc_hook=whole)

    def gather(self, columns: Sequence[Any]) -> list[Any]:
        """Join columns of several calls."""
        return list(columns[0]) if len(columns) == 1 else [v for c in columns for v in c]

    def from_block(self, block: Block) -> list[Any]:
        """A column from a tensor of one value a row."""
        values = read_block(block, self.dtype, self.is_json)
        if self.is_json:
            return [self._parse(v) for v in values]
        if self._exact is str or (self._exact is None and self.dtype == "bytes"):
            values = [_text(v) for v in values]
        elif self._exact is bytes:
            values = [v.encode() if isinstance(v, str) else bytes(v) for v in values]
        if self._exact is not None:
            return values
        return convert_input(values, self._column_type)

    def _parse(self, text: Any) -> Any:
        try:
            value = msgspec.json.decode(text, type=self.json_type, dec_hook=read_plain)
        except (msgspec.DecodeError, ValueError, RecursionError) as e:
            raw = text.encode() if isinstance(text, str) else text
            raise BadInput(f"an element that must hold JSON: {told(e, raw)}") from None
        raw = text.encode() if isinstance(text, str) else text
        if self.is_open and (said := larger(raw, value)):
            raise BadInput(f"an element that must hold JSON: {said}")
        return value

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check what a predictor answered, one value a row. Raises BadOutput."""
        if self._exact is not None and all(type(v) is self._exact for v in values):
            if self._exact is int and not are_held(values):
                raise BadOutput(expected="an integer of 64 bits", found="a larger one")
            return list(values)
        try:
            return msgspec.convert(values, self._column_type, dec_hook=read_plain)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError):
            pass
        try:
            simple = msgspec.to_builtins(values, enc_hook=plain, builtin_types=(bytes,))
            return msgspec.convert(simple, self._column_type, dec_hook=read_plain)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as e:
            raise BadOutput(
                f"the model's answer is not what its signature promises: {told(e)}"
            ) from e

    def to_block(self, column: Any) -> Block:
        """A tensor from a column of answers."""
        values = list(column)
        if self.is_json:
            values = [_json_of(v, is_open=self.is_open) for v in values]
        elif self._exact is None:
            values = [v.value if isinstance(v, enum.Enum) else v for v in values]
        if self.dtype == "int64" and not are_held(values):
            raise BadOutput(expected="an integer of 64 bits", found="a larger one")
        return Block(self.dtype, (len(values),), values)

    def to_json(self, column: Any) -> list[Any]:
        """A column of answers as values that msgspec can write."""
        return column  # type: ignore[no-any-return]


class StructField(ValueField):
    """A flat struct (dataclass, TypedDict, Struct) of scalars: a tensor a field."""

    def __init__(
        self, json_type: Any, parts: Mapping[str, Field], optional: frozenset[str]
    ) -> None:
        super().__init__(json_type)
        self.parts = parts
        self.optional = optional
        self._is_dict = typing.is_typeddict(bare(json_type))

    def from_parts(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Any]:
        """Rows from a column for each field; those left out have their defaults."""
        dicts = [{name: columns[name][i] for name in columns} for i in range(rows)]
        simple = msgspec.to_builtins(dicts, builtin_types=(bytes,))
        return convert_input(simple, self._column_type)

    def to_parts(self, column: Sequence[Any]) -> dict[str, list[Any]]:
        """A column for each field from rows of answers."""
        if self._is_dict:
            return {name: [v[name] for v in column] for name in self.parts}
        return {name: [getattr(v, name) for v in column] for name in self.parts}


def bare(annotation: Any) -> Any:
    """An annotation without its `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def marks_of(annotation: Any) -> tuple[Any, ...]:
    """The marks of an `Annotated`."""
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def value_field(annotation: Any, where: str) -> ValueField:
    """Make the field of a type that msgspec knows.

    Args:
        annotation: the type, with its `Meta`.
        where: the parameter's name, for the error.

    Raises:
        SignatureError: the type can't be served.
    """
    _refuse_unknown(annotation, where)
    parts = _flat_parts(annotation)
    if parts is None:
        return ValueField(annotation)
    return StructField(annotation, parts, struct_optional(bare(annotation)))


def struct_fields(kind: Any) -> dict[str, Any] | None:
    """The annotations of a struct's fields by name; None where the type is no struct."""
    if not isinstance(kind, type):
        return None
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {f.name: hints[f.name] for f in dataclasses.fields(kind) if f.init}
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {n: _required(h) for n, h in hints.items()}
    if issubclass(kind, msgspec.Struct) and not kind.__struct_config__.tag:
        if kind.__struct_fields__ != kind.__struct_encode_fields__:
            return None
        hints = typing.get_type_hints(kind, include_extras=True)
        return {n: hints[n] for n in kind.__struct_fields__}
    return None


def struct_optional(kind: Any) -> frozenset[str]:
    """The names of a struct's fields that may be left out."""
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return frozenset(
            f.name
            for f in dataclasses.fields(kind)
            if f.default is not missing or f.default_factory is not missing
        )
    if typing.is_typeddict(kind):
        return frozenset(kind.__optional_keys__)
    return frozenset(f.name for f in msgspec.structs.fields(kind) if not f.required)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """An annotation without its None, and whether it had one."""
    return _without(annotation, _NONE)


def _without(annotation: Any, unwanted: type) -> tuple[Any, bool]:
    marks = marks_of(annotation)
    inner = bare(annotation)
    if get_origin(inner) not in (Union, types.UnionType) or unwanted not in get_args(inner):
        return annotation, False
    rest = tuple(a for a in get_args(inner) if a is not unwanted)
    left: Any = Union[rest]  # noqa: UP007  (a runtime union of a tuple)
    return (Annotated[(left, *marks)] if marks else left), True


def without(annotation: Any, unwanted: type) -> Any:
    """An annotation's union without one of its members."""
    return _without(annotation, unwanted)[0]


def read_block(block: Block, dtype: str, is_json: bool) -> list[Any]:
    """The values of a tensor that holds one value a row. Raises BadInput."""
    if block.dtype != dtype:
        raise BadInput(where="datatype", expected=dtype, found=block.dtype)
    if len(block.shape) != 1:
        raise BadInput(where="shape", expected="[rows]", found=list(block.shape))
    data = block.data
    values = data if isinstance(data, list) else _unpack(data, dtype)
    if len(values) != block.shape[0]:
        raise BadInput(where="data", expected=f"{block.shape[0]} elements", found=len(values))
    if block.is_json and dtype in _FORMATS:
        return _checked_numbers(values, dtype)
    if dtype == "bytes" and not all(
        isinstance(v, (str, bytes, bytearray, memoryview)) for v in values
    ):
        raise BadInput(where="data", expected="strings", found="another type")
    return values


def _unpack(data: Any, dtype: str) -> list[Any]:
    view = memoryview(data)
    if view.format not in ("B", "b", "c"):
        return view.tolist()
    width = 1 if dtype == "bool" else 8
    if dtype not in _FORMATS or view.nbytes % width:
        raise BadInput(
            where="data", expected=f"whole elements of {dtype}", found=f"{view.nbytes} bytes"
        )
    if dtype == "bool":
        raw = bytes(view)
        if raw.strip(b"\0\1"):
            raise BadInput(where="data", expected="bytes 0 and 1", found="others")
        return [b == 1 for b in raw]
    return view.cast("B").cast(_FORMATS[dtype]).tolist()  # type: ignore[call-overload, no-any-return]


def _checked_numbers(values: list[Any], dtype: str) -> list[Any]:
    found = set(map(type, values))
    if dtype == "float64":
        if not found <= {int, float}:
            raise BadInput(where="data", expected="numbers", found=_type_names(found))
        try:
            floats = [float(v) for v in values]
        except OverflowError:
            floats = [math.inf]
        if not all(map(math.isfinite, floats)):
            raise BadInput(
                where="data", expected="numbers that float64 can hold", found="a larger one"
            )
        return floats
    wanted = bool if dtype == "bool" else int
    if not found <= {wanted}:
        raise BadInput(where="data", expected=wanted.__name__, found=_type_names(found))
    if wanted is int and not are_held(values):
        raise BadInput(where="data", expected="integers of 64 bits", found="a larger one")
    return values


def _json_of(value: Any, *, is_open: bool) -> bytes:
    try:
        text = msgspec.json.encode(value, enc_hook=plain)
    except (TypeError, ValueError, RecursionError) as e:
        raise wrong_answer(e) from e
    if is_open and (said := larger(text)):
        raise BadOutput(f"the model's answer is not what its signature promises: {said}")
    return text


def _type_names(found: set[type]) -> str:
    return ", ".join(sorted(t.__name__ for t in found))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(where="data", expected="text in UTF-8", found="other bytes") from None


def convert_input(values: Any, column_type: Any) -> list[Any]:
    """Check values against a type and its limits. Raises BadInput."""
    try:
        return msgspec.convert(values, column_type, dec_hook=read_plain)  # type: ignore[no-any-return]
    except (msgspec.ValidationError, RecursionError) as e:
        raise BadInput(told(e)) from None


def wrong_answer(error: Exception) -> BadOutput:
    """The error for an answer that msgspec can't take for the promised type."""
    return BadOutput(f"the model's answer is not what its signature promises: {told(error)}")


def _required(hint: Any) -> Any:
    is_wrapped = get_origin(hint) in (typing.Required, typing.NotRequired)
    return get_args(hint)[0] if is_wrapped else hint


def _tensor_of(annotation: Any) -> tuple[str, bool]:
    """The dtype of a type's tensor, and whether the tensor holds JSON instead."""
    kind = bare(annotation)
    if kind in (bool, int, float, str, bytes):
        return {bool: "bool", int: "int64", float: "float64"}.get(kind, "bytes"), False
    values: tuple[Any, ...] = ()
    if get_origin(kind) is Literal:
        values = get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        values = tuple(m.value for m in kind)
    if values and all(type(v) is str for v in values):
        return "bytes", False
    if values and all(type(v) is int for v in values):
        return "int64", False
    return "bytes", True


def _flat_parts(annotation: Any) -> dict[str, Field] | None:
    fields = struct_fields(bare(annotation))
    return flat_parts(fields, struct_optional(bare(annotation))) if fields else None


def flat_parts(fields: Mapping[str, Any], may_lack: frozenset[str]) -> dict[str, Field] | None:
    """A field for each scalar of a struct; None where one is no scalar."""
    parts: dict[str, Field] = {}
    for name, hint in fields.items():
        inner, has_none = without_none(hint)
        if _tensor_of(inner)[1] or (has_none and name not in may_lack):
            return None
        parts[name] = ValueField(inner)
    return parts


def _refuse_unknown(annotation: Any, where: str) -> None:
    try:
        msgspec.json.schema_components([annotation], schema_hook=schema_hook)
        msgspec.json.Decoder(annotation)
    except (TypeError, NotImplementedError, RecursionError, NameError) as e:
        reason = str(e).splitlines()[-1] if str(e) else type(e).__name__
        raise SignatureError(
            f"{where}: {show(annotation)} can't be served ({reason}); use a scalar, Literal, Enum, "
            "list, dict, dataclass, TypedDict or msgspec.Struct, or a type with a mark (hw.Tensor, "
            "hw.Rows)",
            where=where,
        ) from e


def show(annotation: Any) -> str:
    """An annotation as its author would write it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
