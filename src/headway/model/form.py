"""A form's parts as one item: a part for each input, by its name.

A file, or bytes, is the part as it is; a text is the part's text; every other type is JSON in the part.
A name that is given twice is refused, but for a list of files: there each part is one of them. An empty
part is one left out where the input may be, as browsers send it. Not here: how a form is cut into parts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput
from headway.model.call import Call
from headway.model.field import Field
from headway.model.integers import larger
from headway.model.media import Part
from headway.model.signature import Parameter, Signature
from headway.model.values import convert_input, read_plain
from headway.model.wording import told


def read_form(signature: Signature, parts: Sequence[tuple[str, Part]]) -> Call:
    """Read the parts of a form as one item.

    Raises:
        BadInput: one is unknown, missing, given twice, or not of its type.
    """
    given: dict[str, list[Part]] = {}
    for name, part in parts:
        given.setdefault(name, []).append(part)
    if signature.is_flat:
        return Call(1, {signature.parameters[0].name: _row(signature.parameters[0], given)}, True)
    names = [p.name for p in signature.parameters]
    _refuse_unknown(given, names)
    return Call(1, {p.name: [_value(p, given.get(p.name, []))] for p in signature.parameters}, True)


def _row(parameter: Parameter, given: Mapping[str, Sequence[Part]]) -> list[Any]:
    """The only input is a table's row: its fields are the parts."""
    field: Any = parameter.field
    _refuse_unknown(given, list(field.parts))
    columns = {n: [_read(n, field.parts[n], parts)] for n, parts in given.items()}
    if missing := set(field.parts) - set(columns) - field.optional:
        raise BadInput(f"input {min(missing)!r} is missing")
    rows: list[Any] = field.from_parts(columns, 1)
    return rows


def _refuse_unknown(given: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            known = ", ".join(names)
            raise BadInput(f"form: there is no input named {name[:40]!r}; known: {known}")


def _value(parameter: Parameter, parts: Sequence[Part]) -> Any:
    if parameter.is_optional and (not parts or _is_left_out(parameter.field, parts)):
        return parameter.default
    if not parts:
        raise BadInput(f"input {parameter.name!r} is missing")
    return _read(parameter.name, parameter.field, parts)


def _is_left_out(field: Field, parts: Sequence[Part]) -> bool:
    return field.json_type is not str and not any(p.content or p.name for p in parts)


def _read(name: str, field: Field, parts: Sequence[Part]) -> Any:
    where = f"part {name!r}"
    if getattr(field, "is_repeated", False) and (len(parts) > 1 or parts[0].name):
        # As many texts stand for them, so that the list's own limits are checked.
        convert_input([[""] * len(parts)], list[field.json_type])  # type: ignore[name-defined]
        return list(parts)
    if len(parts) > 1:
        raise BadInput(where=where, expected="one of this name", found=len(parts))
    part = parts[0]
    if hasattr(field, "from_media"):
        return part
    if field.json_type is bytes or getattr(field, "declared", None) is bytes:
        return part.content
    try:
        text = part.content.decode("utf-8")
        if field.dtype == "bytes" and not field.is_json:
            return msgspec.convert(text, field.json_type)
        value = msgspec.json.decode(text, type=field.json_type, dec_hook=read_plain)
    except UnicodeDecodeError:
        raise BadInput(where=where, expected="text in UTF-8", found="other bytes") from None
    except (msgspec.MsgspecError, RecursionError) as e:
        raise BadInput(f"{where}: {told(e, part.content)}") from None
    if getattr(field, "is_open", False) and (said := larger(part.content, value)):
        raise BadInput(f"{where}: {said}")
    return value
