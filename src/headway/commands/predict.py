"""`headway predict`: one answer at the terminal, without a server, by the code of a request."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from headway import config
from headway.config import ModelSettings, ModelSpec
from headway.errors import BadInput, ConfigError, Exit
from headway.model import project
from headway.model.wording import told

_LIMIT_BYTES = 64 * 2**20


@click.command()
@click.argument("target")
@click.argument("inputs", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--json", "text", metavar="JSON", help="The inputs: text, @FILE, or - for stdin.")
@click.option("--model", metavar="NAME", default="", help="Which model, where there are several.")
@click.option("--trusted", is_flag=True, help="The author may run code here (pickle, TorchScript).")
def command(
    target: str, inputs: tuple[str, ...], text: str | None, model: str, trusted: bool
) -> int:
    """Ask a model one question.

    TARGET is what `headway serve` takes. A VALUE is text where the model wants text, else JSON;
    NAME=@FILE sends a file's content. An array of objects asks many questions. A stream is printed
    when it has ended, each item on a line of its own.

    \b
    Examples:
      headway predict sentiment.py text="A joy from start to end."
      headway predict digits.onnx --json @pixels.json
      echo '[{"text": "good"}, {"text": "bad"}]' | headway predict . --json -
    """  # noqa: D301  (click reads the backspace: keep these lines)
    # Opened when it is used, so that --help stays quick.
    from headway.engine import local  # noqa: PLC0415

    if bool(inputs) == (text is not None):
        raise click.UsageError("give inputs as NAME=VALUE, or as --json, not both and not neither")
    flags = config.flags(ModelSettings, {"trusted": trusted or None})
    found = project.find_models(target, config.environment(ModelSettings), flags)
    with local.load_spec(_choose(found.models, model)) as loaded:
        schema = loaded.description.input_schema
        asked = _parse(text) if text is not None else _named(inputs, schema)
        answer = loaded.batch(asked) if isinstance(asked, list) else loaded(**asked)
        _write(answer, is_stream=loaded.description.is_stream)
    return Exit.OK


def _choose(models: Sequence[ModelSpec], name: str) -> ModelSpec:
    """Pick the model that was asked for; with one, no name is needed."""
    known = {spec.name: spec for spec in models}
    if name in known:
        return known[name]
    if name:
        raise config.unknown(name, known, f"`--model {name}`", "model")
    if len(models) > 1:
        names = ", ".join(known)
        raise ConfigError(where="`--model`", problem=f"there are several models: {names}")
    return models[0]


def _parse(text: str) -> Any:
    """The inputs of --json: an object, or an array of objects."""
    data = _content(text, "`--json`") if text[:1] == "@" else text.encode()
    if text == "-":
        data = sys.stdin.buffer.read(_LIMIT_BYTES)
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"`--json`: {told(e, data)}") from e
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, dict) for item in items):
        raise BadInput(where="`--json`", expected="an object or an array of objects", found="else")
    return found


def _named(inputs: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of NAME=VALUE, read by the schema of one item."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    found: dict[str, Any] = {}
    for given in inputs:
        name, equals, value = given.partition("=")
        if not equals:
            raise click.UsageError(f"expected NAME=VALUE, found {given!r}")
        if name not in properties:
            raise config.unknown(name, properties, f"`{given:.80}`", "input")
        if name in found:
            raise click.UsageError(f"expected each input once, found {name!r} again")
        found[name] = _value(name, value, properties[name])
    return found


def _value(name: str, value: str, schema: Mapping[str, Any]) -> Any:
    is_text = _takes_text(schema)
    if value[:1] == "@":
        data = _content(value, f"`{name}`")
        if schema.get("contentEncoding") == "base64":
            return data
        value = data.decode(errors="replace")
    if is_text:
        return value
    try:
        return json.loads(value)
    except (json.JSONDecodeError, RecursionError) as e:
        raise BadInput(
            where=f"`{name}`", expected=_named_type(schema), found=repr(value[:80])
        ) from e


def _takes_text(schema: Mapping[str, Any]) -> bool:
    """Whether text is what the schema wants: a string, or a choice of strings."""
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if schema.get("type") == "string" or any(isinstance(c, str) for c in choices):
        return True
    return any(_takes_text(s) for s in schema.get("anyOf", ()))


def _named_type(schema: Mapping[str, Any]) -> str:
    return f"JSON ({schema['type']})" if "type" in schema else "JSON"


def _content(text: str, where: str) -> bytes:
    """What the file after an @ holds."""
    try:
        return Path(text[1:]).read_bytes()
    except OSError as e:
        raise ConfigError(where=where, problem=f"can't read {text[1:]!r}: {e.strerror}") from e


def _write(answer: Any, *, is_stream: bool) -> None:
    """Print an answer as JSON, pretty on a terminal; of a stream, each item on its own line."""
    is_pretty = sys.stdout.isatty() and not is_stream
    for value in answer if is_stream else [answer]:
        data = msgspec.json.encode(msgspec.to_builtins(value, enc_hook=_plain))
        click.echo(msgspec.json.format(data, indent=2) if is_pretty else data)


def _plain(value: Any) -> Any:
    """An array, or a number of an array's type, as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise BadInput(where="the answer", expected="what JSON can hold", found=type(value).__name__)
