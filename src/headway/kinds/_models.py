"""Models of pydantic, without importing it: what a class that has its validator can do.

Bodies are validated as pydantic validates JSON; the model's own rules decide what is lax and what is extra.
"""

import secrets
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


def identity(value: Any) -> bytes:
    """All that a model holds: its JSON leaves out excluded fields, and hides secrets.

    A model that holds what can't be written down is equal to none.
    """
    try:
        return _encode(value)
    except Exception:  # noqa: BLE001  (whatever a class of the user's raises)
        return secrets.token_bytes(16)


def _parts(value: Any) -> Any:
    """What an object is made of, as `copy` would ask for it: an `enc_hook`."""
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    reduced = value.__reduce_ex__(2)
    if isinstance(reduced, str):  # a constant's name
        return reduced
    make, inputs, state, items, pairs = (*reduced, None, None, None)[:5]
    return [make.__qualname__, inputs, state, list(items or ()), list(pairs or ())]


_encode = msgspec.msgpack.Encoder(enc_hook=_parts, order="deterministic").encode


def to_json(value: Any) -> Any:
    """A model as values of JSON, by its aliases."""
    return value.model_dump(mode="json", by_alias=True)
