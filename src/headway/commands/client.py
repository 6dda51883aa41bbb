"""`headway client generate`: write a typed client for what a server, or a predictor here, serves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from headway import config
from headway.config import ModelSettings, ModelSpec
from headway.errors import ConfigError, Exit, HeadwayError
from headway.model import project


@click.group()
def command() -> None:
    """Clients for what is served: typed modules in Python and TypeScript.

    \b
    Examples:
      headway client generate http://127.0.0.1:8000 -o client.py
      headway client generate sentiment.py --language typescript
    """  # noqa: D301  (click reads the backspace: keep these lines)


@command.command()
@click.argument("source", metavar="URL|TARGET")
@click.option(
    "--language", type=click.Choice(["python", "typescript"]), help="By default as -o ends."
)
@click.option("-o", "--output", metavar="FILE", help="Where to write; by default standard output.")
@click.option("--trusted", is_flag=True, help="The author may run code here (pickle, joblib).")
def generate(source: str, language: str | None, output: str | None, trusted: bool) -> int:
    """Write a typed client: a method for each model, with its arguments, defaults and answer.

    A URL is that of a server that runs (the variable HEADWAY_KEY holds its key); a TARGET is what
    `headway serve` takes, and is loaded here. The same models give the same text.

    \b
    Examples:
      headway client generate http://127.0.0.1:8000 -o models.py
      headway client generate sentiment.py -o models.py
      headway client generate http://127.0.0.1:8000 -o web/models.ts
    """  # noqa: D301  (click reads the backspace: keep these lines)
    from headway.client.python import write_python  # noqa: PLC0415  (quick --help)
    from headway.client.shapes import read_models  # noqa: PLC0415  (quick --help)
    from headway.client.typescript import write_typescript  # noqa: PLC0415  (quick --help)

    is_url = "://" in source or source.startswith("unix:")
    models = read_models(_asked(source) if is_url else _loaded(source, trusted=trusted))
    language = language or ("typescript" if str(output).endswith(".ts") else "python")
    text = write_python(models) if language == "python" else write_typescript(models)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(Path(output), text)
    return Exit.OK


def _asked(url: str) -> list[Mapping[str, Any]]:
    """What a server tells of its models."""
    # Opened when it is used, so that --help stays quick.
    from headway.client.blocking import Client  # noqa: PLC0415

    with Client(url) as client:
        return [client.schema(model["name"]) for model in client.models()]


def _loaded(target: str, *, trusted: bool) -> list[Mapping[str, Any]]:
    """The same of models that are loaded here."""
    from headway.engine import local  # noqa: PLC0415  (as above)

    flags = config.flags(ModelSettings, {"trusted": trusted or None})
    found = project.find_models(target, config.environment(ModelSettings), flags)
    if not Path(target).is_dir():
        _warn(found.models[0])
    described: list[Mapping[str, Any]] = []
    for spec in found.models:
        with local.load_spec(spec) as loaded:
            details = msgspec.to_builtins(loaded.description)
            described.append({**details, "stream": details["is_stream"]})
    return described


def _warn(spec: ModelSpec) -> None:
    """Say so where a file alone has another name than in the project that it lies in."""
    try:
        others = project.find_models(spec.root).models
    except HeadwayError:  # then nothing serves it by another name
        return
    for other in others:
        if (other.root, other.source) == (spec.root, spec.source) and other.name != spec.name:
            file = spec.source.partition(":")[0]
            click.echo(
                f"{file} alone is served as {spec.name!r}, its folder as {other.name!r}: for a client "
                f"of that, give the folder",
                err=True,
            )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        problem = f"can't be written ({e.strerror})"
        raise ConfigError(where=f"`--output` {path}", problem=problem) from e
