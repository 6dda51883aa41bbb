"""`headway serve`: the service. Its flags come from the settings table; `server.run` works."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from headway import config
from headway.config import ModelSettings, ModelSpec, Row, ServerSettings
from headway.errors import ConfigError, Exit
from headway.model import project

_OPEN = (
    "warning: it listens on {host} without keys: whoever can reach this machine can ask its models. "
    "`headway key` makes a key, `--key-file` demands one; or listen on 127.0.0.1."
)
_SECTIONS = (("Server options", ServerSettings), ("Options of every model", ModelSettings))


class _Command(click.Command):
    """A command whose help lists the settings by what they concern."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        for title, table in _SECTIONS:
            with formatter.section(title):
                keys = [row.key for row in config.rows(table) if row.setting.flag]
                formatter.write_dl([found for key in keys if (found := records.pop(key))])
        with formatter.section("Other options"):
            formatter.write_dl([found for found in records.values() if found])


def _option(row: Row) -> click.Option:
    default = "" if row.is_optional or row.default == "" else f"; default {row.default}"
    if row.type is bool:
        flag = f"{row.flag}/--no-{row.flag.removeprefix('--')}"
        default = f"; default {str(row.default).lower()}"
        return click.Option([row.key, flag], default=None, help=f"{row.setting.help}{default}")
    metavar = "|".join(row.choices) or {int: "N", float: "X", str: "TEXT"}[row.type]
    unit = row.setting.unit
    metavar = {"path": "PATH", "s": "SECONDS", "bytes": "BYTES"}.get(unit, metavar)
    text = f"{row.setting.help}{default}"
    return click.Option([row.key, row.flag], default=None, metavar=metavar, help=text)


def _serve(targets: tuple[str, ...], **given: str | bool | None) -> int:
    return serve(targets, given)


def serve(
    targets: tuple[str, ...],
    given: Mapping[str, str | bool | None],
    tell: Callable[[Mapping[str, Any]], None] = lambda info: None,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Serve until told to stop.

    Args:
        targets: as the command takes them.
        given: its flags by the settings' keys.
        tell: called when it is ready, with what `server.run.serve` tells then.
        defaults: settings of the server where nothing else says them.

    Returns:
        An exit code.
    """
    # Opened when it is used, so that --help stays quick.
    from headway.server import hosts, run  # noqa: PLC0415

    files: tuple[str, ...] = ()

    def read() -> tuple[tuple[ModelSpec, ...], ServerSettings]:
        nonlocal files
        config.check_environment()
        over = (config.environment(ModelSettings), config.flags(ModelSettings, given))
        found = project.join([project.find_models(t, *over) for t in _named(targets) or (".",)])
        if gone := sorted(set(files) - set(found.files)):  # and its keys and limits with it
            problem = "it was read before and is gone; put it back, or restart the server"
            raise ConfigError(where=gone[0], problem=problem)
        files = found.files
        settings = config.read(
            ServerSettings,
            config.flags(ServerSettings, defaults),
            found.server,
            config.environment(ServerSettings),
            config.flags(ServerSettings, given),
        )
        return found.models, settings

    models, settings = read()
    is_open = not (settings.unix or settings.key_file or hosts.is_loopback(settings.host))
    try:
        begin = functools.partial(run.serve, models, settings, read)
        return _run(begin, models, tell, open_host=settings.host if is_open else "")
    except OSError as e:
        where = e.filename or settings.unix or f"{settings.host}:{settings.port}"
        click.echo(f"error: can't listen on {where}: {e.strerror or e}", err=True)
        return Exit.LISTEN


def _named(targets: Sequence[str]) -> list[str]:
    """What is to be served: SageMaker starts a container as `docker run IMAGE serve`, whatever its entry point has."""
    return [target for target in targets if target != "serve" or Path(target).exists()]


def _run(
    begin: Callable[[Callable[[Mapping[str, Any]], None]], int],
    models: tuple[ModelSpec, ...],
    tell: Callable[[Mapping[str, Any]], None],
    *,
    open_host: str,
) -> int:
    """Serve; when it is ready, say so: one JSON line for programs, words for people."""
    is_ready = False

    def say(info: Mapping[str, Any]) -> None:
        nonlocal is_ready
        is_ready = True
        line = {key: value for key, value in info.items() if key not in ("examples", "failures")}
        click.echo("\n".join(_words(info, models)), err=True)
        if open_host:
            click.echo(_OPEN.format(host=open_host), err=True)
        tell(info)
        click.echo(json.dumps(line))  # last: who waits for it finds everything said

    code = begin(say)
    return Exit.INTERRUPTED if code == Exit.OK and not is_ready else code


def _words(info: Mapping[str, Any], models: tuple[ModelSpec, ...]) -> list[str]:
    """Address, models and a line to try; `examples` in the info has an item for each model that is loaded."""
    failures = info.get("failures", {})
    served = [m.name for m in models if m.name not in failures]
    name = served[0]
    example = json.dumps(info.get("examples", {}).get(name) or {"...": "..."})
    address = info.get("http") or ""
    unix = f"--unix-socket {info['unix']} " if info.get("unix") else ""
    path = f"{address or 'http://localhost'}/models/{name}/predict"
    body = example.replace("'", "'\\''")
    return [
        f"ready: {address or info.get('unix')}  (models: {', '.join(served)})",
        *(
            f"model {name!r} can't be loaded: {why.rstrip('.')}; it answers 503"
            for name, why in failures.items()
        ),
        f"try:   curl {unix}{path} -H 'content-type: application/json' -d '{body}'",
        *([f"page:  {address}/"] if address else []),
        *([f"admin: {info['admin_page']}"] if "admin_page" in info else []),
        "Ctrl-C ends it.",
    ]


command = _Command(
    "serve",
    callback=_serve,
    params=[
        click.Argument(["targets"], nargs=-1, metavar="[TARGET]..."),
        *(_option(r) for _, table in _SECTIONS for r in config.rows(table) if r.setting.flag),
    ],
    short_help="Serve models over HTTP.",
    help="""Serve the models of one or more targets over HTTP.

    A TARGET is a Python file with a predictor (`file.py` or `file.py:Name`), a model file, or a
    folder; by default the current folder. When the server is ready, one line of JSON on standard
    output tells its addresses. Every option is also a key of headway.yaml and a HEADWAY_* variable.

    \b
    Examples:
      headway serve                          # the project in this folder
      headway serve sentiment.py             # a predictor, or an annotated function
      headway serve model.onnx --port 0      # a model file, on a free port
      headway serve text.py digits.onnx --workers 2 --max-batch 16
      HEADWAY_PORT=9000 headway serve
    """,
)
