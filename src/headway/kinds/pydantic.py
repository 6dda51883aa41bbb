"""Models of pydantic (2) as values: validated by their own rules, alone, nested, or in lists.

A flat model is a tensor a field, as any flat struct is. Models as rows of tables are those kinds' business.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headway.errors import BadInput
from headway.kinds import _models
from headway.model.field import Field
from headway.model.values import ValueField, flat_parts

TYPES: Sequence[str] = ("pydantic.main.BaseModel",)
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ("pydantic>=2.6",)


class ModelField(ValueField):
    """One model."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one model, by pydantic."""
        return _models.schema_of(self.declared)

    def from_plain(self, value: Any) -> Any:
        """A model from values of JSON. Raises ValueError."""
        return _models.from_json(self.declared, value)

    def identity(self, value: Any) -> bytes:
        """What is equal only for models that hold the same."""
        return _models.identity(value)

    def to_json(self, column: Any) -> list[Any]:
        """Objects, by the models' aliases."""
        return [_models.to_json(v) for v in column]


class FlatModelField(ModelField):
    """A model of scalars alone: a tensor a field, by its name outside."""

    def __init__(self, model: Any, parts: Mapping[str, Field]) -> None:
        super().__init__(model)
        names = _models.names_of(model)
        self._inside = {names[n]: n for n in parts}
        self.parts = {names[n]: part for n, part in parts.items()}
        self.optional = frozenset(names[n] for n in _models.optional_of(model))

    def from_parts(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Any]:
        """Rows from a column for each field; those left out have their defaults."""
        made = []
        for row in range(rows):
            try:
                values = {n: c[row] for n, c in columns.items()}
                made.append(_models.from_values(self.declared, values))
            except ValueError as e:
                raise BadInput(f"$[{row}]: {e}") from None
        return made

    def to_parts(self, column: Sequence[Any]) -> dict[str, list[Any]]:
        """A column for each field from rows of answers."""
        return {n: [getattr(v, inside) for v in column] for n, inside in self._inside.items()}


def read_field(annotation: Any, marks: Sequence[Any]) -> ModelField:
    """Make the field of a model."""
    parts = flat_parts(_models.hints_of(annotation), _models.optional_of(annotation))
    return FlatModelField(annotation, parts) if parts else ModelField(annotation)
