"""Write docs/reference from the code: settings, commands and exit codes, errors, the public names.

Everything there is made here; a page that somebody edited by hand is overwritten.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import click

import headway
from headway import commands, config, errors, plugins, protocols
from headway.server.chunks import FramingError

HOME: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
Callable = ast.FunctionDef | ast.AsyncFunctionDef
MADE: Final = "<!-- Made by scripts/docs from the code; edit it there. -->\n"


def pages() -> dict[str, str]:
    """Every page's text by file name."""
    return {
        "settings.md": settings(),
        "commands.md": the_commands(),
        "errors.md": the_errors(),
        "api.md": the_api(),
    }


def settings() -> str:
    """One table for each group of settings."""
    return f"""# Settings

{MADE}
Each setting is a key of `headway.yaml`, a variable and a flag of `headway serve`. The later of
these wins: default, `headway.yaml`, environment, flag. An unknown key or variable is an error.

In `headway.yaml`, model settings stand at the top level, for every model, or below a name in
`models`; server settings stand below `server`. A path there starts at the file's own folder.

```yaml
max_batch: 16                  # every model
models:
  sentiment: {{predictor: "sentiment.py:Sentiment", workers: 2}}
  digits: {{model: digits.onnx}}
server:
  port: 9000
```

A reload (`SIGHUP`, `POST /reload` on the admin socket, or `reload`) reads `headway.yaml` again and takes on
what is *live*: settings of the server at once, those of models with their new workers. A file
that can't be read, a wrong value, a setting that is not live and has changed, or another set of models refuses the
whole reload, with its reason in the log; all stays as it was. Flags and variables are those that the server was
started with.

Besides settings, the file knows `predictor` or `model` (what is served), `name`, `models` (with
`predictor`, `model`, `root`), and `dependencies`: a list of what pip would install, which
`headway ui export` writes into the requirements of what it makes.

## Models

{_table(config.ModelSettings)}

Where there is no default, the value is measured or derived when the server starts, and said in its
first log lines.

## The server

{_table(config.ServerSettings)}

Booleans are `true` or `false` in the environment, and a pair of flags: `--reload`, `--no-reload`.
Variables that Kubernetes makes for a Service called `headway` (`HEADWAY_SERVICE_HOST`,
`HEADWAY_PORT=tcp://...`) are not taken for settings.
"""


def _table(table: type) -> str:
    lines = ["| key | takes | default | live | what it is |", "|---|---|---|---|---|"]
    for row in config.rows(table):
        unit = f" ({row.setting.unit})" if row.setting.unit else ""
        default = "" if row.default is None else f"`{str(row.default).lower()}`"
        shown = '`""`' if row.default == "" else default
        takes = config.expected(row)
        names = f"`{row.key}`<br>`{row.variable}`<br>`{row.flag}`"
        live = "yes" if row.setting.live else "no"
        lines.append(f"| {names} | {takes}{unit} | {shown} | {live} | {row.setting.help} |")
    return "\n".join(lines)


def the_commands() -> str:
    """Each command's help, and the exit codes."""
    above = click.Context(
        commands.root, info_name="headway", terminal_width=90, **commands.root.context_settings
    )
    found = {name: plugins.load("commands", name).command for name in plugins.names("commands")}
    helps = "\n".join(text for n, c in found.items() for text in _helps(c, n, above))
    rows = "\n".join(f"| {e.value} | {doc} |" for e, doc in _members(errors.Exit))
    return f"""# Commands

{MADE}
`headway --debug COMMAND ...` shows the traceback of an error.

{helps}
## Exit codes

| code | meaning |
|---|---|
{rows}
"""


def _helps(command: click.Command, name: str, above: click.Context) -> Iterator[str]:
    """A command's help, and those of the commands below it."""
    context = click.Context(command, parent=above, info_name=name)
    lines = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## {context.command_path}\n\n```text\n{lines}\n```\n"
    inner: Mapping[str, click.Command] = getattr(command, "commands", {})
    for below in sorted(inner):
        yield from _helps(inner[below], below, context)


def _members(enum: type[IntEnum]) -> Iterator[tuple[IntEnum, str]]:
    """Members with the words that stand below each."""
    source = inspect.getsource(enum)
    for member in enum:
        _, found, below = source.partition(f"    {member.name} = {member}\n")
        assert found, f"{member.name} is not written with its number"
        yield member, " ".join(below.split('"""')[1].split())


def the_errors() -> str:
    """Each error's code, status and default message; then those that end a connection."""
    rows = "\n".join(_error_row(e) for e in _tree(errors.HeadwayError))
    framing = "\n".join(_framing_rows())
    return f"""# Errors

{MADE}
An error has a stable code. In the native protocol it is the `code` of the answer's `error`; other
dialects write errors in their own form, with the same status unless their specification says
otherwise. Words in braces stand for what was found.

| code | HTTP status | default message |
|---|---|---|
{rows}

## Requests that are refused before they are read

What is no HTTP, or none that may be served here, is refused by its framing, whatever protocol it
was for; the connection is closed after the answer.

| code | HTTP status | when |
|---|---|---|
{framing}
"""


def _tree(error: type[errors.HeadwayError]) -> Iterator[type[errors.HeadwayError]]:
    """The leaves, which are what is raised; branches only group them."""
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            if not child.__subclasses__():
                yield child
            yield from _tree(child)


def _error_row(error: type[errors.HeadwayError]) -> str:
    is_ours = issubclass(error, errors.ReachError)
    status = "none: raised by the client" if is_ours else protocols.status_of(error())
    message = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", inspect.getdoc(error) or "")
    return f"| `{error.code}` | {status} | {message} |"


FRAMING: Final = {
    400: "the head or the framing of the body is malformed",
    408: "the head or the body did not arrive in time (`head_timeout_s`, `body_timeout_s`, `min_body_rate`)",
    413: "the body is larger than `max_body_bytes`",
    414: "the request target is longer than `max_target_bytes`",
    417: "an expectation other than `100-continue`",
    431: "the head is larger than `max_head_bytes`, or has more than `max_headers` headers",
    501: "an unknown method, or a transfer coding other than `chunked`",
    503: "there are `max_connections` connections already, or the server stopped before all had come",
    505: "an HTTP version other than 1.1 and 1.0",
}


def _framing_rows() -> Iterator[str]:
    for status in range(400, 600):
        code = FramingError(status, "").code
        if status in FRAMING or code != "bad_request":
            yield f"| `{code}` | {status} | {FRAMING[status]} |"


def the_api() -> str:
    """Each public name of `headway`, with what its docstring and those of its members say."""
    names = "\n".join(_name(name) for name in sorted(headway.__all__, key=str.lower))
    return f"""# The Python API

{MADE}
All of it is in `import headway as hw`; other modules may change without a word in the changelog.

{names}"""


def _name(name: str) -> str:
    value = getattr(headway, name)
    said = inspect.getdoc(value) or ""
    first = said.partition("\n\n")[0]
    if inspect.ismodule(value):
        told = f"{first} [Each error](errors.md).\n"
    elif name == "__version__":
        told = "Headway's version, a text.\n"
    elif not value.__module__.startswith("headway."):
        told = f"This is `{value.__module__}.{value.__qualname__}`. {first}\n"
    else:
        told = "\n".join(_defined(name, value))
    return f"## {name}\n\n{told}"


def _defined(name: str, value: Any) -> Iterator[str]:
    """A class or function: how it is called, what it is, and a class's members."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(node, Callable | ast.ClassDef), f"{name} is neither a class nor a function"
    shown = _made(node, name) if isinstance(node, ast.ClassDef) else f"{_called(node, name)}\n\n"
    yield f"{shown}{_told(ast.get_docstring(node))}\n"
    if isinstance(node, ast.ClassDef):
        yield from _members_of(node, name)


def _made(node: ast.ClassDef, name: str) -> str:
    """How an object of a class is made, where its author says so."""
    if _is_dataclass(node):
        fields = [ast.unparse(n) for n in node.body if isinstance(n, ast.AnnAssign)]
        return f"`{name}({', '.join(fields)})`\n\n"
    made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return "".join(_called(n, name).removesuffix(" → `None`") + "\n\n" for n in made)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(d) for d in node.decorator_list)


def _members_of(node: ast.ClassDef, owner: str) -> Iterator[str]:
    """The public fields, each with the sentence that stands below it, properties and methods."""
    for member, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(member, ast.AnnAssign):
            name, shown = ast.unparse(member.target), f"`{ast.unparse(member)}`"
            said = _sentence(below)
            is_hidden = not said and _is_dataclass(node)
        elif isinstance(member, Callable):
            name, shown = member.name, _called(member, member.name)
            said = ast.get_docstring(member) or ""
            is_hidden = False
        else:
            continue
        if not is_hidden and (name == "__call__" or not name.startswith("_")):
            words = f"\n{_told(said)}\n" if said else ""
            yield f"### {owner}.{name}\n\n{shown}\n{words}"


def _sentence(node: ast.stmt | None) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return str(ast.literal_eval(node.value)) if is_text else ""  # type: ignore[union-attr]


def _called(node: Callable, name: str) -> str:
    """A call with its arguments' types, as the code has them."""
    if any(ast.unparse(d) == "property" for d in node.decorator_list):
        return f"`{name}: {ast.unparse(node.returns)}`" if node.returns else f"`{name}`"
    arguments = re.sub(r"^self(, /)?(, )?", "", ast.unparse(node.args))
    arguments = re.sub(r": '([^']+)'", r": \1", arguments)
    returned = ast.unparse(node.returns).strip("'") if node.returns else ""
    returns = f" → `{returned}`" if returned else ""
    return f"`{name}({arguments})`{returns}"


def _told(docstring: str | None) -> str:
    """A docstring in Markdown: its `Args`, `Returns` and `Raises` as lists."""
    text = inspect.cleandoc(docstring or "")
    words, *sections = re.split(r"^(Args|Returns|Raises):\n", text, flags=re.M)
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        lines = re.sub(r"\n {5,}", " ", body.rstrip())
        lines = re.sub(
            r"^    (?:(\w+): )?", lambda m: f"- `{m[1]}`: " if m[1] else "- ", lines, flags=re.M
        )
        words += f"*{name}*\n\n{lines}\n\n"
    return words.rstrip()


def main(arguments: Iterable[str]) -> int:
    """Write the pages, or with --check only say which are out of date."""
    stale = [name for name, text in pages().items() if _read(HOME / name) != text]
    if "--check" in arguments:
        sys.stderr.writelines(
            f"docs/reference/{name} is out of date: make docs\n" for name in stale
        )
        return 1 if stale else 0
    HOME.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (HOME / name).write_text(pages()[name], encoding="utf-8")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
