"""What a command is, and how one is found: a module of this folder, its click command is `command`.

`headway NAME` opens commands/NAME.py on first use, so adding a command edits nothing. In this
folder alone are words printed for people and errors turned into exit codes. A command's help has
examples.
"""

import sys
import traceback
from collections.abc import Sequence
from typing import Protocol

import click

from headway import plugins
from headway.errors import Exit, HeadwayError, PluginError, exit_of


class Command(Protocol):
    """The contract of a command module."""

    command: click.Command


class _Commands(click.Group):
    """The commands that the folder has, and those that installed packages add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        try:
            return list(plugins.in_turn("commands"))
        except PluginError:  # a package takes a name of ours: `format_epilog` says so
            return plugins.names("commands")

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        try:
            module: Command = plugins.load("commands", name)
        except PluginError as e:
            if name in self.list_commands(ctx):
                return _broken(name, e.message)
            ctx.fail(e.message)
        except (Exception, SystemExit) as e:  # noqa: BLE001  (a package's; told to who lists or runs it)
            return _broken(name, f"{type(e).__name__}: {e}")
        found = getattr(module, "command", None)
        is_command = isinstance(found, click.Command)
        return found if is_command else _broken(name, "it has no click command `command`")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        try:
            plugins.added("commands")
        except PluginError as e:
            formatter.write(f"\nNo command of another package is used: {e.message}\n")


def _broken(name: str, reason: str) -> click.Command:
    """Stands for a command that can't be imported: it is listed with the reason, and raises it."""
    line = " ".join(reason.split())
    text = f"The command {name!r} can't be used: {line}"

    def fail() -> None:
        raise PluginError(text)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    short = f"(can't be used: {line})"
    return click.Command(name, settings, fail, help=text, short_help=short)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headway", message="headway %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def root(debug: bool) -> None:
    """From a trained model to a fast, safe service with one definition.

    \b
    Examples:
      headway init my-model && cd my-model && headway serve
      headway serve sentiment.py
      headway predict sentiment.py text="A joy from start to end."
    """  # noqa: D301  (click reads the backspace: keep these lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code (`headway.errors.Exit`).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = root.main(given, prog_name="headway", standalone_mode=False)
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.ClickException as e:
        e.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except HeadwayError as e:
        return _tell(e, given)
    return result if isinstance(result, int) else Exit.OK


def _tell(error: HeadwayError, given: Sequence[str]) -> Exit:
    """Say an error in words; the traceback only if `--debug` stands before the command."""
    if given[:1] == ["--debug"]:
        traceback.print_exception(error)
    click.echo(f"error: {error.message}", err=True)
    return exit_of(error)
