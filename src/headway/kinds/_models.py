"""Models of pydantic, without importing it: what a class that has its validator can do.

Bodies are validated as pydantic validates JSON; the model's own rules decide what is lax and what is extra.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from headway.model.integers import larger
from headway.model.values import REF_TEMPLATE


def is_model(kind: Any) -> bool:
    """Whether a type is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__")


def names_of(model: Any) -> dict[str, str]:
    """The name in JSON of each field, by its name in Python; its alias where it has one."""
    return {n: _alias(f) or n for n, f in model.model_fields.items()}


def _alias(field: Any) -> str | None:
    wanted = field.validation_alias or field.alias
    return wanted if isinstance(wanted, str) else None


def hints_of(model: Any) -> dict[str, Any]:
    """The annotation of each field, without the limits, which the model itself holds."""
    return {n: f.annotation for n, f in model.model_fields.items()}


def optional_of(model: Any) -> frozenset[str]:
    """The names of fields that may be left out."""
    return frozenset(n for n, f in model.model_fields.items() if not f.is_required())


def takes_unknown(model: Any) -> bool:
    """Whether fields that it does not name are let pass."""
    return bool(model.model_config.get("extra", "ignore") != "forbid")


def schema_of(model: Any, mode: str = "validation") -> dict[str, Any]:
    """JSON Schema, definitions under `$defs`."""
    template = REF_TEMPLATE.format(name="{model}")
    schema: dict[str, Any] = model.model_json_schema(ref_template=template, mode=mode)
    return schema


def from_json(model: Any, value: Any) -> Any:
    """A model from values of JSON. Raises ValueError, which tells the place within the model."""
    text = msgspec.json.encode(value)
    if said := larger(text):
        raise ValueError(said.removeprefix("$."))
    return _validated(model.__pydantic_validator__.validate_json, text)


def from_values(model: Any, values: Mapping[str, Any]) -> Any:
    """A model from Python values. Raises ValueError."""
    return _validated(model.__pydantic_validator__.validate_python, values)


def _validated(validate: Any, value: Any) -> Any:
    try:
        return validate(value)
    except ValueError as e:
        errors = getattr(e, "errors", None)
        if errors is None:
            raise
        raise ValueError(_told(errors(include_url=False, include_context=False)[0])) from None


def _told(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    said = str(error["msg"])
    said = said[:1].lower() + said[1:] if said[1:2].islower() else said
    return f"{place}: {said}" if place else said


def to_json(value: Any) -> Any:
    """A model as values of JSON, by its aliases."""
    return value.model_dump(mode="json", by_alias=True)
