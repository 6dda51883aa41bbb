"""`headway top`: a live view of a server in the terminal, from its /metrics and, if given, its admin socket."""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headway.commands._number import Number
from headway.errors import ConfigError, Exit

if TYPE_CHECKING:
    from headway.observe.scrape import Scrape
    from headway.observe.view import ModelView, View
    from headway.traffic.connection import Place
    from headway.traffic.target import Target

_TIMEOUT_S = 5.0
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To the terminal's other screen, without a cursor; and back."""
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K\n", "\x1b[J"
_NOTHING = "-"


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("--once", is_flag=True, help="Print one table, of one interval, and end.")
@click.option(
    "--interval",
    type=Number(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--admin", default="", metavar="PATH", help="The admin socket, to count workers.")
@click.option("--key", default="", metavar="KEY|@FILE", help="The server's API key.")
@click.option("--unix", default="", metavar="PATH", help="Connect to this Unix socket.")
@click.option("--ca", default="", metavar="FILE", help="Trust these certificates.")
@click.option("--insecure", is_flag=True, help="Trust any certificate.")
def command(url: str, **given: Any) -> int:
    """Show what a server does: its models, workers, queues and latencies, each second anew.

    Latencies are those of the last interval, from the histograms of /metrics. q or Ctrl-C ends it. Where
    standard output is no terminal, tables follow each other.

    \b
    Examples:
      headway top
      headway top http://127.0.0.1:8000 --once
      headway top http://127.0.0.1:8000 --admin /run/user/1000/headway/admin-127.0.0.1-8000.sock
    """  # noqa: D301  (click reads the backspace: keep these lines)
    look = _Look(url, given)
    try:
        if given["once"] or not sys.stdout.isatty():
            _print(look, given["interval"], is_once=given["once"])
        else:
            _watch(look, given["interval"])
    except KeyboardInterrupt:
        if given["once"]:
            raise
    return Exit.OK


class _Look:
    """Looks at a server, again and again."""

    def __init__(self, url: str, given: Mapping[str, Any]) -> None:
        from headway.traffic.target import read_headers, read_target, request  # noqa: PLC0415  (so that --help stays quick)

        self._target = read_target(url)
        self._place = _place(self._target, given)
        headers = read_headers((), _key(given["key"]))
        self._metrics = request(self._target, "GET", "/metrics", b"", headers)
        self._status = request(self._target, "GET", "/status", b"", ())
        self._admin = given["admin"]
        self._before: Scrape | None = None
        self._at = 0.0

    def take(self) -> list[str]:
        """The lines of a table, of what happened since it was taken last. Raises ConfigError."""
        from headway.observe.view import view  # noqa: PLC0415  (so that --help stays quick)

        after, now = self._scrape(), time.monotonic()
        workers = self._workers() if self._admin else {}
        seen = view(self._before, after, now - self._at)
        self._before, self._at = after, now
        return [*_head(seen, self._target.url), "", *_table(seen.models, workers)]

    def _scrape(self) -> "Scrape":
        from headway.observe.scrape import Scrape  # noqa: PLC0415  (so that --help stays quick)

        try:
            return Scrape(self._ask(self._place, self._metrics, "/metrics").decode())
        except ValueError as e:
            where = f"{self._target.url}/metrics"
            raise ConfigError(where=where, problem=f"this is no server of Headway's: {e}") from e

    def _workers(self) -> dict[str, str]:
        """By model: how many are ready, of how many."""
        import msgspec  # noqa: PLC0415  (so that --help stays quick)

        from headway.traffic.connection import unix_place  # noqa: PLC0415  (so that --help stays quick)

        body = self._ask(unix_place(self._admin), self._status, self._admin)
        try:
            models = msgspec.json.decode(body)["models"]
            return {m["name"]: _counted(m["workers"]) for m in models}
        except (msgspec.DecodeError, KeyError, TypeError) as e:
            raise ConfigError(
                where=self._admin, problem="this is no admin socket of Headway's"
            ) from e

    def _ask(self, place: "Place", request: bytes, what: str) -> bytes:
        from headway.traffic.connection import Broken  # noqa: PLC0415  (so that --help stays quick)
        from headway.traffic.generator import once  # noqa: PLC0415  (so that --help stays quick)

        where = self._target.url if what == "/metrics" else what
        try:
            answer = once(place, request, _TIMEOUT_S)
        except Broken as e:
            raise ConfigError(where=where, problem=str(e)) from e
        if answer.status == 401:
            raise ConfigError(where=where, problem="the server asks for a key: pass --key")
        if answer.status != 200:
            problem = (
                f"expected 200 for {what}, found {answer.status}: is it a server of Headway's?"
            )
            raise ConfigError(where=where, problem=problem)
        return answer.body


def _counted(workers: Sequence[Mapping[str, Any]]) -> str:
    ready = sum(w["phase"] == "ready" and not w["is_ejected"] for w in workers)
    return f"{ready}/{len(workers)}"


def _print(look: _Look, interval_s: float, *, is_once: bool) -> None:
    look.take()
    while True:
        time.sleep(interval_s)
        click.echo("\n".join(look.take()) + "\n" * (not is_once))
        if is_once:
            return


def _watch(look: _Look, interval_s: float) -> None:
    """Draw until somebody has seen enough; a server that is away meanwhile may come back."""
    lines, trouble = look.take(), ""
    with _screen() as wait:
        while True:
            _draw([*lines[:1], trouble, *lines[2:]])
            if wait(interval_s):
                return
            try:
                lines, trouble = look.take(), ""
            except ConfigError as e:
                trouble = f"{e.message.rstrip('.')} (these are its last figures)"


@contextmanager
def _screen() -> Iterator[Callable[[float], bool]]:
    """Take the terminal, and give it back as it was; yields what waits, and tells whether q was pressed."""
    has_keys = sys.stdin.isatty()
    before = termios.tcgetattr(sys.stdin) if has_keys else []
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def wait(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not has_keys:
                time.sleep(left)
            elif select.select([sys.stdin], [], [], left)[0]:
                pressed = os.read(sys.stdin.fileno(), 64)
                if not pressed or b"q" in pressed.lower():
                    return True
        return False

    try:
        if has_keys:
            tty.setcbreak(sys.stdin)
        click.echo(_ENTER, nl=False)
        yield wait
    finally:
        click.echo(_LEAVE, nl=False)
        if has_keys:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _draw(lines: Sequence[str]) -> None:
    width, height = os.get_terminal_size(sys.stdout.fileno())
    shown = [line[:width] for line in lines[: height - 1]]
    click.echo(_HOME + "".join(line + _END_OF_LINE for line in shown) + _BELOW, nl=False)


def _head(seen: "View", url: str) -> list[str]:
    up_s = max(0.0, time.time() - seen.started_s)
    facts = [
        f"headway {seen.version}",
        url,
        f"up {_long(up_s)}",
        f"{seen.connections:.0f} connections (+{_number(seen.opened)}/s)",
        f"{_number(seen.unrouted)}/s reached no model",
    ]
    return ["  ".join(facts)]


_COLUMNS: Mapping[str, "Callable[[ModelView], str]"] = {
    "READY": lambda m: _NOTHING if m.is_ready is None else ("yes" if m.is_ready else "NO"),
    "REQ/S": lambda m: _number(sum(m.outcomes.values()) if m.outcomes else None),
    "OK/S": lambda m: _number(m.outcomes.get("ok")),
    "QUEUE": lambda m: f"{m.queue:.0f}",
    "BUSY": lambda m: f"{m.in_flight:.0f}",
    "P50": lambda m: _time(m.p50_s),
    "P99": lambda m: _time(m.p99_s),
    "QUEUE P99": lambda m: _time(m.queue_p99_s),
    "GRAB": lambda m: _number(m.grab),
    "BATCH": lambda m: _number(m.batch),
    "ROWS/S": lambda m: _number(m.rows),
    "CACHED": lambda m: _NOTHING if m.cached is None else f"{m.cached:.0%}",
    "RESTARTS": lambda m: f"{m.restarts:.0f}",
    "EJECTED": lambda m: f"{m.ejections:.0f}",
}


def _table(models: Sequence["ModelView"], workers: Mapping[str, str]) -> list[str]:
    """A line for each model, and one below for outcomes that are not good."""
    names = ["MODEL", "WORKERS", *_COLUMNS]
    rows = [
        [_safe(m.name), workers.get(m.name, _NOTHING), *(show(m) for show in _COLUMNS.values())]
        for m in models
    ]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    lines = [_line(names, widths)]
    for model, row in zip(models, rows, strict=True):
        lines.append(_line(row, widths))
        others = [f"{o} {_number(r)}/s" for o, r in model.outcomes.items() if r and o != "ok"]
        if others:
            lines.append("  " + "  ".join(others))
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([first, *others])


def _safe(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def _number(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    if seconds == float("inf"):
        return ">60 s"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _long(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    parts = [(days, "d"), (h, "h"), (m, "m"), (s, "s")]
    first = next((i for i, (n, _) in enumerate(parts) if n), 3)
    return " ".join(f"{n}{unit}" for n, unit in parts[first : first + 2])


def _key(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(where="`--key`", problem=f"can't read {given[1:]!r}: {e}") from e


def _place(target: "Target", given: Mapping[str, Any]) -> "Place":
    """Where to connect."""
    from headway.traffic import connection  # noqa: PLC0415  (so that --help stays quick)

    if given["unix"]:
        return connection.unix_place(given["unix"])
    tls = None
    if target.scheme == "https":
        try:
            tls = connection.trust(ca_file=given["ca"], is_insecure=given["insecure"])
        except OSError as e:
            raise ConfigError(where=f"`--ca {given['ca']}`", problem=f"can't be used: {e}") from e
    try:
        return connection.find_place(target.host, target.port, tls, _TIMEOUT_S)
    except connection.Broken as e:
        raise ConfigError(where=target.url, problem=str(e)) from e
