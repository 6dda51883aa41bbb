"""What one row of a table is: its fields, their defaults, and the Struct that JSON is read into.

A row is a dataclass, TypedDict or msgspec Struct, or a pydantic model, which also checks whole rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headway.errors import BadInput
from headway.kinds import _models
from headway.kinds._columns import Column, column_of
from headway.model.columns import Columns
from headway.model.integers import held
from headway.model.output import OUTPUT, ArrayOutput, ListOutput, TableOutput
from headway.model.values import ValueField, struct_fields, struct_optional


@dataclass(frozen=True, slots=True)
class RowShape:
    """The fields of a row."""

    row: Any
    hints: Mapping[str, Any]
    optional: frozenset[str]
    model: Any = None
    """The pydantic model that a row is; else None."""
    external: Mapping[str, str] = field(default_factory=dict)
    """Of a model: each field's name outside."""

    @property
    def takes_unknown(self) -> bool:
        """Whether columns that it does not name are let pass."""
        return self.model is not None and _models.takes_unknown(self.model)

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one row."""
        if self.model is not None:
            return _models.schema_of(self.model)
        schema = ValueField(self.row).schema()
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        inner: dict[str, Any] = schema.get("$defs", {}).pop(name, {})
        rest = schema.get("$defs")
        return {**inner, "additionalProperties": False, **({"$defs": rest} if rest else {})}

    def struct(self, types: Mapping[str, Any]) -> type:
        """A Struct of these fields that refuses unknown ones."""
        if self.model is not None:
            return _model_struct(self)
        defaults = {} if issubclass(self.row, dict) else _defaults(self.row, self.optional)
        required = [(n, held(t)) for n, t in types.items() if n not in self.optional]
        rest = [(n, held(t), defaults.get(n)) for n, t in types.items() if n in self.optional]
        return msgspec.defstruct(
            self.row.__name__, [*required, *rest], forbid_unknown_fields=True, kw_only=True
        )

    def defaults(self, struct: Any, names: Sequence[str], rows: int) -> dict[str, list[Any]]:
        """The defaults of fields that were left out. Raises BadInput where one has none."""
        if missing := [n for n in names if n not in self.optional]:
            raise BadInput(f"column {missing[0]!r} is missing")
        made: dict[str, list[Any]] = {}
        for f in msgspec.structs.fields(struct):
            if f.name in names:
                is_made = f.default_factory is not msgspec.NODEFAULT
                made[f.name] = [f.default_factory() if is_made else f.default for _ in range(rows)]
        return made

    def checked(self, columns: Columns) -> Columns:
        """Rows that the model has validated. Raises BadInput with the row."""
        made = []
        names = [self.external[n] for n in columns.lists]
        renamed = Columns(dict(zip(names, columns.lists.values(), strict=True)), columns.rows)
        for row, values in enumerate(renamed.dicts()):
            try:
                made.append(_models.from_values(self.model, values))
            except ValueError as e:
                raise BadInput(f"row {row}, column {e}") from None
        return Columns({n: [getattr(m, n) for m in made] for n in self.hints}, columns.rows)


def shape_of(row: Any) -> RowShape | None:
    """The shape of a row's type; None where it is no struct."""
    if _models.is_model(row):
        external = _models.names_of(row)
        return RowShape(row, _models.hints_of(row), _models.optional_of(row), row, external)
    hints = struct_fields(row)
    return RowShape(row, hints, struct_optional(row)) if hints else None


def _model_struct(shape: RowShape) -> type:
    """A Struct that takes JSON as it is, and has the values that the model made of it."""

    def check(self: Any) -> None:
        model = _models.from_json(shape.model, self)
        for name in shape.hints:
            setattr(self, name, getattr(model, name))

    return msgspec.defstruct(
        shape.row.__name__,
        [(n, Any, msgspec.UNSET) for n in shape.hints],
        rename=dict(shape.external),
        forbid_unknown_fields=not shape.takes_unknown,
        namespace={"__post_init__": check},
        kw_only=True,
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


Lists = Callable[[Any], list[list[Any]]]


def answer_columns(output: Any) -> tuple[list[Column], Lists] | None:
    """The columns that an output is, and what makes lists of its answers; None where it is nested."""
    if isinstance(output, TableOutput):
        return output.field.columns, lambda values: list(values.lists.values())
    if isinstance(output, ArrayOutput):
        kind = _NUMBERS.get(output.field.dtype.rstrip("0123456789"))
        is_flat = not output.field.shape and kind is not None
        return ([column_of(output.name, kind)], lambda v: [output.to_json(v)]) if is_flat else None
    if not isinstance(output, ListOutput) or not isinstance(output.field, ValueField):
        return None
    if hasattr(output.field, "parts"):
        fields = struct_fields_of(output.field)
        columns = [column_of(n, h) for n, h in fields.items()]
        return columns, lambda v: list(output.field.to_parts(v).values())  # type: ignore[attr-defined]
    column = column_of(OUTPUT, output.field.declared)
    return None if column.kind in ("any", "list") else ([column], lambda values: [list(values)])


def struct_fields_of(output: ValueField) -> Mapping[str, Any]:
    """The annotations of a flat struct's fields."""
    shape = shape_of(output.declared)
    assert shape is not None
    return shape.hints


_NUMBERS: Mapping[str, type] = {"bool": bool, "int": int, "uint": int, "float": float}
