"""Writes a typed TypeScript module for a server's models: pure, and the same for the same schemas.

What it writes needs nothing but `fetch`: it runs in browsers and in Node. What is the same for all models is
`runtime.ts` beside this file.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

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
)

_HEAD: Final = """/**
 * A typed client of a Headway server.
 *
 * Made by `headway client generate`: make it again rather than edit it.
 */
"""
_SCALARS: Final = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "any": "unknown",
}
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def write_typescript(models: Sequence[ModelShape]) -> str:
    """The text of a module with `Client`."""
    runtime = Path(__file__).with_name("runtime.ts").read_text(encoding="utf-8")
    records = [_record(r, is_input=False) for m in models for r in m.records]
    inputs = [_record(m.inputs, is_input=True) for m in models]
    return "\n".join([_HEAD, runtime, *records, *inputs, _class(models)])


def _record(record: Record, *, is_input: bool) -> str:
    lines = [*_comment(record.doc, ""), f"export interface {record.name} {{"]
    for part in record.parts:
        lines += _comment(_told(part), "  ")
        mark = "" if part.is_required else "?"
        lines.append(f"  {_key(part.name)}{mark}: {_type(part.shape, is_input=is_input)};")
    return "\n".join([*lines, "}", ""])


def _told(part: Part) -> str:
    default = f"By default {json.dumps(part.default)}." if part.has_default else ""
    return f"{part.doc} {default}".strip()


def _class(models: Sequence[ModelShape]) -> str:
    lines = [
        "/** Asks the models of one server. */",
        "export class Client {",
        "  readonly #asker: Asker;",
        "",
        '  constructor(url = "http://127.0.0.1:8000", options: Options = {}) {',
        '    this.#asker = new Asker(url.replace(/\\/+$/, ""), options);',
        "  }",
    ]
    for model in models:
        lines += ["", *_method(model)]
        if not model.is_stream:
            lines += ["", *_batch(model)]
    return "\n".join([*lines, "}", ""])


def _method(model: ModelShape) -> Iterator[str]:
    answer = _type(model.answer, is_input=False)
    kind = f"AsyncGenerator<{answer}, void, void>" if model.is_stream else f"Promise<{answer}>"
    op = "stream" if model.is_stream else "predict"
    yield from _comment(model.doc or f"Ask {model.name}.", "  ")
    yield f"  {model.method}(inputs: {model.inputs.name}, options: Options = {{}}): {kind} {{"
    yield f"    return this.#asker.{op}<{answer}>({json.dumps(model.name)}, inputs, {_files(model)}, options);"
    yield "  }"


def _batch(model: ModelShape) -> Iterator[str]:
    answer = _type(model.answer, is_input=False)
    rows = f"rows: readonly {model.inputs.name}[], options: Options = {{}}"
    yield from _comment("The same for many items; the answers are in their order.", "  ")
    yield f"  {model.method}_batch({rows}): Promise<{_many(answer)}> {{"
    yield f"    return this.#asker.batch<{answer}>({json.dumps(model.name)}, rows, {_files(model)}, options);"
    yield "  }"


def _files(model: ModelShape) -> str:
    return json.dumps([p.name for p in model.inputs.parts if _holds_file(p.shape)])


def _holds_file(shape: Shape) -> bool:
    if isinstance(shape, OneOf):
        return any(_holds_file(s) for s in shape.shapes)
    return shape == Scalar("file")


def _type(shape: Shape, *, is_input: bool) -> str:
    match shape:
        case Scalar("file"):
            return "FileInput" if is_input else "string"
        case Scalar(name):
            return _SCALARS[name]
        case Choice(values):
            return " | ".join(map(json.dumps, values))
        case Listed(of):
            return _many(_type(of, is_input=False))
        case Mapped(of):
            return f"Record<string, {_type(of, is_input=False)}>"
        case Reference(name):
            return name
        case OneOf(shapes):
            return " | ".join(dict.fromkeys(_type(s, is_input=is_input) for s in shapes))


def _many(item: str) -> str:
    return f"({item})[]" if " | " in item else f"{item}[]"


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name)


def _comment(text: str, margin: str) -> list[str]:
    lines = text.strip().replace("*/", "* /").split("\n") if text.strip() else []
    if len(lines) < 2:
        return [f"{margin}/** {line} */" for line in lines]
    return [f"{margin}/**", *(f"{margin} * {line}".rstrip() for line in lines), f"{margin} */"]
