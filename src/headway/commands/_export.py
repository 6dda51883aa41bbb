"""`headway ui export`: the page as files for another place, which `targets` render and this writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from headway import plugins
from headway.commands._subject import MARK, Wish, read_page
from headway.errors import ConfigError, Exit
from headway.targets import Rendered


def _read_name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """A target's name, with hyphens, as its module has it."""
    known = _known()
    if value not in known:
        raise click.BadParameter(f"{value!r} is not one of {', '.join(known)}")
    return value.replace("-", "_")


def _known() -> list[str]:
    return [
        name.replace("_", "-")
        for name in plugins.in_turn("targets")
        if plugins.literal("targets", name, "SUBJECT", "") == "page"
    ]


_HELP = """Write what shows models to people into a FOLDER, by default one of the place's name, and say what to do
with it.

TARGET is what `headway serve` takes; by default the current folder. Its models are loaded here, to read
what they take. Nothing is sent anywhere.

\b
Places:
{places}

\b
Examples:
  headway ui export model.onnx --to space-static
  headway ui export sentiment.py out --to space-docker --exclude 'data/*'
  headway ui export --to streamlit
"""


def _help() -> str:
    """What `--help` shows: every target in its own words."""
    places = [
        f"  {name:15}{plugins.literal('targets', name.replace('-', '_'), 'HELP', '')}"
        for name in _known()
    ]
    return _HELP.format(places="\n".join(places))


@click.command("export", help=_help(), short_help="Write the page as files for another place.")
@click.argument("what", metavar="[TARGET] [FOLDER]", nargs=-1)
@click.option(
    "--to",
    "name",
    callback=_read_name,
    required=True,
    metavar="PLACE",
    help="Which place: see above.",
)
@click.option("--force", is_flag=True, help="Write into a folder that holds other things.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave files of the project out; may be repeated.",
)
@click.option(
    "--headway",
    default="",
    metavar="REQUIREMENT",
    help="What pip shall install as Headway there; by default this version.",
)
@click.option(
    "--ort", default="", metavar="FOLDER", help="Where npm has put onnxruntime-web (space-static)."
)
@click.option("--trusted", is_flag=True, help="The author may run code here (pickle, joblib).")
def export(what: tuple[str, ...], name: str, *, force: bool, **given: Any) -> int:
    """Write what a target renders, and say what to do with it."""
    if len(what) > 2:
        raise click.UsageError("expected a target and a folder")
    target = what[0] if what else "."
    folder = Path(what[1] if len(what) > 1 else name.replace("_", "-"))
    _check(folder, force=force)
    module = plugins.load("targets", name)
    wish = Wish(
        target,
        module.NEEDS,
        folder,
        given["headway"],
        given["exclude"],
        given["ort"],
        given["trusted"],
    )
    page = read_page(wish)
    rendered = module.render(page)
    size = write(folder, rendered)
    click.echo(f"{folder}: {len(rendered)} files, {size / 2**20:.1f} MB")
    if copied := sorted(n for n, path in rendered.items() if path in page.files.values()):
        more = f" and {len(copied) - 10} more" if len(copied) > 10 else ""
        told = f"copied, see that nothing secret is among it: {', '.join(copied[:10])}{more}"
        click.echo(told, err=True)
    if "requirements.txt" in rendered and not given["headway"]:
        told = "requirements.txt asks for Headway by its version: see that your index has it, or say with --headway"
        click.echo(f"{told} where it is", err=True)
    for line in module.advice(str(folder)):
        click.echo(line)
    return Exit.OK


def _check(folder: Path, *, force: bool) -> None:
    """Refuse to write over what was not written here."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(where=str(folder), problem="is a file; expected a folder, or nothing")
    is_foreign = folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file()
    if is_foreign and not force:
        problem = "holds other things; name another folder, or write into it with --force"
        raise ConfigError(where=str(folder), problem=problem)


def write(folder: Path, rendered: Rendered) -> int:
    """Put files into a folder, and take away what was put there before and is no longer among them.

    Returns:
        How many bytes they are together.

    Raises:
        ConfigError: one can't be written, or a link of the folder would lead out of it.
    """
    mark = json.dumps({"files": sorted(rendered)}, indent=1).encode()
    size = 0
    try:
        gone = _written(folder) - set(rendered)
        for name in (*rendered, *gone, MARK):
            _check_links(folder, name)
        for name in gone:
            (folder / name).unlink(missing_ok=True)
        for name, content in {**rendered, MARK: mark}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_bytes(content)
            size += path.stat().st_size
    except OSError as e:
        where = str(e.filename or folder)
        raise ConfigError(where=where, problem=f"can't be written: {e.strerror}") from e
    return size


def _written(folder: Path) -> set[str]:
    """What an earlier export says that it has put into a folder; nothing that lies elsewhere."""
    try:
        names = [Path(name) for name in json.loads((folder / MARK).read_bytes())["files"]]
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError) as e:
        problem = "is no list of what was exported; remove it, and export with --force"
        raise ConfigError(where=str(folder / MARK), problem=problem) from e
    return {n.as_posix() for n in names if ".." not in n.parts and not n.is_absolute()}


def _check_links(folder: Path, name: str) -> None:
    """Refuse to write through a link."""
    path = folder / name
    for place in (path, *path.parents):
        if place == folder:
            return
        if place.is_symlink():
            problem = "is a link, which may lead out of the folder; remove it"
            raise ConfigError(where=str(place), problem=problem)
