"""`headway feedback`: what people said of answers: counted, exported, forgotten."""

import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headway import plugins
from headway.errors import ConfigError, Exit

if TYPE_CHECKING:
    from headway.observe.feedback import Row, Store

_FILE = "feedback.db"
_FORMATS = ("parquet", "csv", "jsonl")

file_option = click.option(
    "--file",
    "path",
    default=_FILE,
    show_default=True,
    metavar="PATH",
    help="The file that the server's setting `feedback` names.",
)
model_option = click.option("--model", default="", metavar="NAME", help="Of this model alone.")


@click.group()
def command() -> None:
    """What people said of answers on the page: count it, export it, forget it.

    \b
    Examples:
      headway feedback count
      headway feedback export --to feedback.parquet
      headway feedback export --model sentiment --to said.csv
    """  # noqa: D301  (click reads the backspace: keep these lines)


@command.command()
@file_option
def count(path: str) -> int:
    """Count opinions by model and version."""
    with _opened(path) as store:
        counts = store.counts()
    for model, versions in sorted(counts.items()):
        for version, said in sorted(versions.items()):
            line = (
                f"{model} version {version}: {said.get('good', 0)} good, {said.get('bad', 0)} bad"
            )
            click.echo(line)
    if not counts:
        click.echo("nothing has been said yet", err=True)
    return Exit.OK


@command.command()
@file_option
@model_option
@click.option(
    "--to",
    required=True,
    metavar="FILE",
    help="A .parquet, .csv or .jsonl file; - is JSON Lines on standard output.",
)
def export(path: str, model: str, to: str) -> int:
    """Write opinions to a file: what was tried, what came back, what was said of it, the oldest first.

    Inputs, outputs and right answers are JSON: in Parquet and CSV as text, in JSON Lines as they are.

    \b
    Examples:
      headway feedback export --to feedback.parquet
      headway feedback export --to - | jq 'select(.verdict == "bad")'
    """  # noqa: D301  (click reads the backspace: keep these lines)
    write = _writer(to)
    with _opened(path) as store:
        if to == "-":
            written = write(store.rows(model), "")
        else:
            aside = f"{to}.part"
            try:
                written = write(store.rows(model), aside)
                os.replace(aside, to)
            finally:
                Path(aside).unlink(missing_ok=True)
    click.echo(f"{written} opinions written to {to}", err=True)
    return Exit.OK


@command.command()
@file_option
@model_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def clear(path: str, model: str, *, yes: bool) -> int:
    """Forget what was said, of one model or of all."""
    with _opened(path) as store:
        if not yes:
            click.confirm(
                f"Forget all that was said{model and f' of {model}'}?", abort=True, err=True
            )
        click.echo(f"{store.clear(model)} opinions forgotten", err=True)
    return Exit.OK


@contextlib.contextmanager
def _opened(path: str) -> "Iterator[Store]":
    from headway.observe.feedback import Store  # noqa: PLC0415  (so that --help stays quick)

    if not Path(path).exists():
        problem = "there is no such file; `--file` names the one that the setting `feedback` does"
        raise ConfigError(where=path, problem=problem)
    with contextlib.closing(Store(path)) as store:
        yield store


def _writer(to: str) -> "Callable[[Iterator[Row], str], int]":
    kind = "jsonl" if to == "-" else Path(to).suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        problem = f"expected a file that ends in .{' or .'.join(_FORMATS)}"
        raise ConfigError(where=f"--to {to}", problem=problem)
    return {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_lines}[kind]


def _flat(row: "Row") -> dict[str, Any]:
    return {
        "time": datetime.fromtimestamp(row.time_s, UTC).isoformat(timespec="milliseconds"),
        "model": row.model,
        "version": row.version,
        "request_id": row.request_id,
        "verdict": row.verdict,
        "comment": row.comment,
        "expected": row.expected,
        "input": row.input,
        "output": row.output,
    }


_NAMES = (
    "time",
    "model",
    "version",
    "request_id",
    "verdict",
    "comment",
    "expected",
    "input",
    "output",
)


def _write_lines(rows: "Iterator[Row]", path: str) -> int:
    written = 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "w", encoding="utf-8")) if path else sys.stdout
        for row in rows:
            flat = _flat(row)
            # The JSON of the three is put in as it is: its numbers keep their digits.
            plain = {name: flat[name] for name in _NAMES[:6]}
            parts = [f"{json.dumps(name)}: {flat[name] or 'null'}" for name in _NAMES[6:]]
            file.write(f"{json.dumps(plain, ensure_ascii=False)[:-1]}, {', '.join(parts)}}}\n")
            written += 1
    return written


def _write_csv(rows: "Iterator[Row]", path: str) -> int:
    written = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_NAMES)
        for row in rows:
            writer.writerow([_cell(value) for value in _flat(row).values()])
            written += 1
    return written


def _cell(value: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if value and value[0] in "=+-@\t\r" else value


def _write_parquet(rows: "Iterator[Row]", path: str) -> int:
    return int(plugins.load("kinds", "arrow").write_texts(map(_flat, rows), _NAMES, path))
