"""Writes a typed Python module for a server's models: pure, and the same for the same schemas.

What it writes needs only `headway`: it passes mypy's and pyright's strict checks, and sends what `Client` sends.
"""

import json
import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import indent
from typing import Any, Final

from headway.client.shapes import (
    Choice,
    Listed,
    Mapped,
    ModelShape,
    OneOf,
    Part,
    Record,
    Reference,
    Scalar,
    Shape,
    identifier,
)

_HEAD: Final = '''"""Typed clients of a Headway server.

Made by `headway client generate`: make it again rather than edit it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast

import headway
from headway.client.arguments import Array, File

__all__ = [
{names}]

_USED = (Array, AsyncIterator, File, Iterator, Literal, Mapping, NotRequired, Sequence)
"""What every such module imports, whether these models need it or not."""
'''
_SCALARS: Final = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "null": "None",
    "any": "Any",
}


def write_python(models: Sequence[ModelShape]) -> str:
    """The text of a module with `Client` and `AsyncClient`."""
    found = [record for model in models for record in model.records]
    # Those that are written as calls name others, which must be there.
    found.sort(key=lambda record: any(_is_odd(part.name) for part in record.parts))
    records = [_record(record, is_input=False) for record in found]
    inputs = [_record(m.inputs, is_input=True) for m in models]
    names = ["AsyncClient", "Client", *(m.inputs.name for m in models)]
    names += [r.name for m in models for r in m.records]
    head = _HEAD.format(names=_block(f'"{name}",' for name in sorted(names)))
    classes = [_class(models, is_async=False), _class(models, is_async=True)]
    return "\n\n".join([head, *records, *inputs, *classes])


def _record(record: Record, *, is_input: bool) -> str:
    if any(_is_odd(part.name) for part in record.parts):
        return _functional(record, is_input=is_input)
    fields = [f"{p.name}: {_field(p, is_input=is_input)}{_comment(p)}" for p in record.parts]
    lines = [*_docstring(record.doc or f"{record.name}, by name."), *(["", *fields])]
    return f"class {record.name}(TypedDict):\n{_block(lines)}"


def _functional(record: Record, *, is_input: bool) -> str:
    """A record with names that Python can't write as attributes."""
    fields = [f"{json.dumps(p.name)}: {_field(p, is_input=is_input)}," for p in record.parts]
    return (
        f'{record.name} = TypedDict(\n    "{record.name}",\n    {{\n{_block(fields, 8)}    }},\n)\n'
    )


def _field(part: Part, *, is_input: bool) -> str:
    shape = _type(part.shape, is_input=is_input)
    return shape if part.is_required else f"NotRequired[{shape}]"


def _comment(part: Part) -> str:
    words = " ".join(part.doc.split())
    return f"\n{_literal_doc(words)}" if words else ""


def _class(models: Sequence[ModelShape], *, is_async: bool) -> str:
    name = "AsyncClient" if is_async else "Client"
    lines = [*_docstring(f"`headway.{name}` with a method for each model, and its arguments.")]
    for model in models:
        lines += ["", *_method(model, is_async=is_async)]
        if not model.is_stream:
            lines += ["", *_batch(model, is_async=is_async)]
    return f"class {name}(headway.{name}):\n{_block(lines)}"


def _method(model: ModelShape, *, is_async: bool) -> Iterator[str]:
    answer = _type(model.answer, is_input=False)
    if model.is_stream:
        answer = f"{'AsyncIterator' if is_async else 'Iterator'}[{answer}]"
    begin = "async def" if is_async and not model.is_stream else "def"
    names = _arguments(model)
    yield f"{begin} {_safe(model.method)}("
    yield "    self,"
    yield "    *,"
    # Those without a default may stand behind others: all are keywords.
    yield from (f"    {_parameter(part, names[part.name])}," for part in model.inputs.parts)
    yield f") -> {answer}:"
    body = [*_docstring(_doc(model, names)), "inputs: dict[str, Any] = {"]
    kept = [p for p in model.inputs.parts if _is_always_sent(p)]
    body += [f"    {json.dumps(p.name)}: {names[p.name]}," for p in kept]
    body += ["}"]
    for part in model.inputs.parts:
        if part not in kept:
            body += [f"if {names[part.name]} is not None:"]
            body += [f"    inputs[{json.dumps(part.name)}] = {names[part.name]}"]
    ask = f"self.model({json.dumps(model.name)})"
    ask += ".stream(**inputs)" if model.is_stream else "(**inputs)"
    wait = "await " if is_async and not model.is_stream else ""
    body += [f"return cast({answer}, {wait}{ask})"]
    yield from indent("\n".join(body), "    ").split("\n")


def _batch(model: ModelShape, *, is_async: bool) -> Iterator[str]:
    answer = f"list[{_type(model.answer, is_input=False)}]"
    begin, wait = ("async def", "await ") if is_async else ("def", "")
    rows = "rows: Sequence[" + model.inputs.name + "]"
    yield f"{begin} {model.method}_batch(self, {rows}) -> {answer}:"
    yield f'    """Ask {model.name} about many items at once; the answers are in their order."""'
    many = "cast(Sequence[Mapping[str, Any]], rows)"
    yield f"    return cast({answer}, {wait}self.model({json.dumps(model.name)}).batch({many}))"


def _arguments(model: ModelShape) -> Mapping[str, str]:
    """What a method calls each input: no two the same, though they may differ only in what Python can't write."""
    found: dict[str, str] = {}
    for part in model.inputs.parts:
        name = _safe(part.name)
        while name in found.values():
            name += "_"
        found[part.name] = name
    return found


def _parameter(part: Part, name: str) -> str:
    shape = _type(part.shape, is_input=True)
    if part.is_required:
        return f"{name}: {shape}"
    if _is_always_sent(part):
        return f"{name}: {shape} = {_literal(part.default)}"
    return f"{name}: {shape if 'None' in shape.split(' | ') else shape + ' | None'} = None"


def _is_always_sent(part: Part) -> bool:
    """Whether its default can stand in a signature; any other is left to the server."""
    is_plain = part.default is None or isinstance(part.default, bool | int | float | str)
    return part.is_required or (part.has_default and is_plain)


def _type(shape: Shape, *, is_input: bool) -> str:
    match shape:
        case Scalar("file"):
            return "File" if is_input else "str"
        case Scalar(name):
            return _SCALARS[name]
        case Choice(values):
            return f"Literal[{', '.join(map(_literal, values))}]"
        case Listed(of, is_array):
            inner = _type(of, is_input=False)
            if not is_input:
                return f"list[{inner}]"
            return _nested(shape) + " | Array" if is_array else f"Sequence[{inner}]"
        case Mapped(of):
            return f"{'Mapping' if is_input else 'dict'}[str, {_type(of, is_input=False)}]"
        case Reference(name):
            return name
        case OneOf(shapes):
            return " | ".join(dict.fromkeys(_type(s, is_input=is_input) for s in shapes))


def _nested(shape: Shape) -> str:
    """A list of lists of numbers, of whatever kind of sequence."""
    return (
        f"Sequence[{_nested(shape.of)}]"
        if isinstance(shape, Listed)
        else _type(shape, is_input=False)
    )


def _doc(model: ModelShape, names: Mapping[str, str]) -> str:
    told = [f"    {names[p.name]}: {' '.join(p.doc.split())}" for p in model.inputs.parts if p.doc]
    doc = model.doc.strip() or f"Ask {model.name}."
    return "\n".join([doc, "", "Args:", *told]) if told else doc


def _docstring(text: str) -> list[str]:
    lines = _literal_doc(text).split("\n")
    if len(lines) > 1:
        lines[-1] = lines[-1].removesuffix('"""')
        lines.append('"""')
    return lines


def _literal_doc(text: str) -> str:
    """A text as a docstring that says just this."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    escaped = escaped[:-1] + '\\"' if escaped.endswith('"') else escaped
    return f'"""{escaped}"""'


def _literal(value: Any) -> str:
    """A plain value as Python writes it."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _is_odd(name: str) -> bool:
    return not name.isidentifier() or keyword.iskeyword(name)


def _safe(name: str) -> str:
    """A name as an argument may have it."""
    found = name if name.isidentifier() else identifier(name)
    return found + "_" if keyword.iskeyword(found) or found in ("self", "inputs") else found


def _block(lines: Iterable[str], width: int = 4) -> str:
    text = indent("\n".join(lines), " " * width)
    return "\n".join(line.rstrip() for line in text.split("\n")) + "\n"
