"""`headway check`: parity of all forms, golden samples, schema, warm-up. `check.run` looks, this prints."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from headway import config
from headway.config import ModelSettings, ModelSpec
from headway.errors import ConfigError

_DTYPES: Final = ("float16", "float32", "float64", "float")


@click.command()
@click.argument("target", default=".")
@click.option("--accept", is_flag=True, help="Record the answers and the schema as right.")
@click.option("--junit", metavar="FILE", default="", help="Write the findings as JUnit XML.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--tolerance",
    multiple=True,
    metavar="[TYPE=]X",
    help="Numbers may differ by so much; TYPE is float16, float32, float64 or float (Python's).",
)
@click.option("--model", metavar="NAME", default="", help="Which model, where there are several.")
@click.option(
    "--only", multiple=True, metavar="FORM", help="Ask this form only: python, engine, server."
)
@click.option(
    "--samples", metavar="FILE", default="", help="More questions: an item as JSON on each line."
)
@click.option("--trusted", is_flag=True, help="The author may run code here (pickle, joblib).")
def command(target: str, **given: Any) -> int:
    """Ask a model in all its forms, and say where the answers differ.

    TARGET is what `headway serve` takes; by default the current folder. The questions are the
    predictor's examples and the golden samples beside the code, which --accept writes. It ends with
    0 if all agree, 6 if not, or if a model has nothing to be asked, 3 if one can't be loaded.

    \b
    Examples:
      headway check                          # before a commit
      headway check --accept                 # these answers are right: golden.jsonl keeps them
      headway check --junit check.xml        # for CI
      headway check model.onnx --samples questions.jsonl --tolerance 0.001
    """  # noqa: D301  (click reads the backspace: keep these lines)
    # Opened when they are used, so that --help stays quick.
    from headway.check import run  # noqa: PLC0415  (as above)
    from headway.check import samples as questions  # noqa: PLC0415  (as above)
    from headway.model import project  # noqa: PLC0415  (as above)

    flags = config.flags(ModelSettings, {"trusted": given["trusted"] or None})
    models = project.find_models(target, config.environment(ModelSettings), flags).models
    _check_name(models, given["model"], needs_one=bool(given["samples"]))
    plan = run.Plan(
        target,
        models,
        given["model"],
        questions.read_file(Path(given["samples"])) if given["samples"] else (),
        _tolerances(given["tolerance"]),
        given["only"],
        given["accept"],
        ["--trusted"] if given["trusted"] else [],
    )
    if given["junit"] and not (folder := Path(given["junit"]).parent).is_dir():
        raise ConfigError(where="`--junit`", problem=f"there is no folder {str(folder)!r}")
    report = run.run(plan, _progress)
    text = json.dumps(_plain(report), indent=2) if given["as_json"] else "\n".join(_lines(report))
    click.echo(text)
    if given["junit"]:
        _write(Path(given["junit"]), report)
    return report.code


def _check_name(models: Sequence[ModelSpec], name: str, *, needs_one: bool) -> None:
    known = [spec.name for spec in models]
    if name and name not in known:
        raise config.unknown(name, known, f"`--model {name}`", "model")
    if needs_one and not name and len(known) > 1:
        problem = f"say by --model whose they are: {', '.join(known)}"
        raise ConfigError(where="`--samples`", problem=problem)


def _tolerances(given: Sequence[str]) -> dict[str, float]:
    """By type; one without a type is for all of them."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if name and name not in _DTYPES:
            raise config.unknown(name, _DTYPES, f"`--tolerance {text}`", "type of number")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            where = f"`--tolerance {text}`"
            raise ConfigError(where=where, problem=f"expected a number ≥ 0, found {number!r}")
        found |= {dtype: value for dtype in ([name] if name else _DTYPES)}
    return found


def _progress(line: str) -> None:
    """To people who wait, and to nobody else."""
    if sys.stderr.isatty():
        click.echo(f"... {line}", err=True)


def _write(path: Path, report: Any) -> None:
    from headway.check import junit  # noqa: PLC0415  (as above)

    try:
        path.write_bytes(junit.render(report))
    except OSError as e:
        raise ConfigError(where="`--junit`", problem=f"can't write {path}: {e.strerror}") from e


def _lines(report: Any) -> list[str]:
    """The findings for people: a line for each way, then what is wrong with it."""
    lines: list[str] = []
    width = max((len(case.form) for case in report.cases), default=0)
    for model in report.models:
        lines.append(model)
        cases = report.of(model)
        for form in dict.fromkeys(case.form for case in cases):
            found = [case for case in cases if case.form == form]
            lines += _form_lines(report, form.ljust(width), found)
    failed = sum(report.has_failed(model) for model in report.models)
    warnings = sum(len(case.warnings) for case in report.cases)
    state = f"{failed} of {len(report.models)} models failed" if failed else "all agree"
    told = f"{warnings} warning{'s' if warnings > 1 else ''}"
    return [*lines, f"{state}; {told}" if warnings else state]


def _form_lines(report: Any, form: str, cases: Sequence[Any]) -> list[str]:
    is_bad = any(report.failures(case) for case in cases)
    seconds = sum(case.seconds for case in cases)
    names = ", ".join(case.name for case in cases if not case.skipped)
    state = "FAILED" if is_bad else "ok" if names else "-"
    lines = [f"  {state:8}{form}  {f'{names}  ({seconds:.2f} s)' if names else 'not asked'}"]
    for case in cases:
        lines += [f"          {case.name}: {problem}" for problem in report.failures(case)]
        if report.is_accepting:
            lines += [f"          accepted: {change}" for change in case.changed]
        lines += [f"          warning: {warning}" for warning in case.warnings]
        lines += [f"          {note}" for note in case.notes]
        where = f"{case.name}: not asked: " if names else ""
        lines += [f"          {where}{case.skipped}"] if case.skipped else []
    return lines


def _plain(report: Any) -> dict[str, Any]:
    return {
        "ok": not any(report.has_failed(model) for model in report.models),
        "cases": [
            {
                "model": case.model,
                "form": case.form,
                "name": case.name,
                "problems": list(report.failures(case)),
                "accepted": case.changed if report.is_accepting else [],
                "warnings": case.warnings,
                "notes": case.notes,
                "skipped": case.skipped,
                "seconds": round(case.seconds, 3),
            }
            for case in report.cases
        ],
    }
