"""`headway init`: a project that runs at once. Its files are those of a folder in `starter`."""

import re
import shlex
from pathlib import Path

import click

from headway.errors import ConfigError, Exit
from headway.model import project

_STARTER = Path(__file__).parent / "starter"
_TEMPLATES = sorted(path.parent.name for path in _STARTER.glob("*/headway.yaml"))


@click.command()
@click.argument("folder", default=".")
@click.option("--name", default="", help="The model's name; by default the folder's.")
@click.option(
    "--template",
    default="text",
    type=click.Choice(_TEMPLATES),
    help="What it predicts: from an image (an array), a stream of words, rows of a table, or text.",
    show_default=True,
)
def command(folder: str, name: str, template: str) -> int:
    """Write a project that runs: a predictor, its test, headway.yaml.

    Nothing that exists is overwritten.

    \b
    Examples:
      headway init my-model && cd my-model && headway serve
      headway init --name topics .
      headway init --template tabular rents
    """  # noqa: D301  (click reads the backspace: keep these lines)
    home = Path(folder)
    derived = re.sub(r"[^A-Za-z0-9_-]+", "-", home.resolve().name).strip("-_") or "model"
    project.check_name(name or derived, "`--name`")
    files = {home / p.name: p for p in sorted((_STARTER / template).glob("[!_]*.*"))}
    files[home / ".gitignore"] = _STARTER / "gitignore"  # a real one would hide what is beside it
    if there := [path.name for path in files if path.exists()]:
        raise ConfigError(where=folder, problem=f"already has {', '.join(there)}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        for path, starter in files.items():
            text = starter.read_text(encoding="utf-8")
            path.write_text(text.replace("{name}", name or derived), encoding="utf-8")
    except OSError as e:
        raise ConfigError(where=folder, problem=f"can't be written: {e.strerror}") from e
    _tell(home, list(files))
    return Exit.OK


def _tell(home: Path, files: list[Path]) -> None:
    click.echo(f"wrote {', '.join(path.name for path in files)}")
    enter = "" if home == Path() else f"cd {shlex.quote(str(home))} && "
    click.echo(f"try:  {enter}headway serve")
