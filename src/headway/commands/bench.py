"""`headway bench`: load on a service, latency percentiles, a picture, a comparison. `headway.traffic` works."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headway.commands._number import Number
from headway.errors import ConfigError, Exit

if TYPE_CHECKING:
    from headway.traffic.compare import Difference
    from headway.traffic.connection import Place
    from headway.traffic.plan import Plan, Run
    from headway.traffic.target import Target

_CLOSED, _OPEN = 16, 256
"""Connections where none are asked for."""
_TRIED = 16
"""Questions that are asked once before the load."""


class _Read(click.ParamType):  # type: ignore[type-arg]
    """A value that a function of `headway.traffic.units` reads."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from headway.traffic import units  # noqa: PLC0415  (so that --help stays quick)

        try:
            return getattr(units, self.name)(value) if isinstance(value, str) else value
        except ValueError as e:
            self.fail(str(e), param, ctx)


_SECONDS, _SHARE = _Read("seconds"), _Read("share")
_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("url")
@click.option(
    "--rate",
    type=Number(0, min_open=True),
    help="Open loop: requests a second, whatever the answers do.",
)
@click.option(
    "--connections",
    "-c",
    type=click.IntRange(1, 10_000),
    help=f"Most at a time; default {_CLOSED}, in an open loop {_OPEN}.",
)
@click.option(
    "--duration", "-d", type=_SECONDS, default="10s", show_default=True, help="How long to measure."
)
@click.option("--requests", "-n", type=click.IntRange(1), help="End after so many.")
@click.option(
    "--warm-up",
    type=_SECONDS,
    default="1s",
    show_default=True,
    help="Load before what is measured.",
)
@click.option(
    "--timeout", type=_SECONDS, default="30s", show_default=True, help="Give a request up."
)
@click.option(
    "--pattern",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Of an open loop.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the pattern.")
@click.option(
    "--protocol",
    default="native",
    show_default=True,
    help="native, v2, v2-binary, or any that is installed.",
)
@click.option(
    "--input",
    "input_",
    type=_PATH,
    help="What to ask instead of the model's examples: .json, .jsonl, or a file as it is.",
)
@click.option("--content-type", default="", help="Of an input that is sent as it is.")
@click.option("--key", default="", metavar="KEY|@FILE", help="The server's API key.")
@click.option(
    "--header", multiple=True, metavar="'NAME: VALUE'", help="Send it too; may be given again."
)
@click.option("--unix", default="", metavar="PATH", help="Connect to this Unix socket.")
@click.option("--ca", default="", metavar="FILE", help="Trust these certificates.")
@click.option("--insecure", is_flag=True, help="Trust any certificate.")
@click.option(
    "--check", is_flag=True, help="Count answers that differ from the first to the same question."
)
@click.option("--save", type=_PATH, help="Keep the run, to compare with.")
@click.option("--compare", type=_PATH, help="Tell how this run differs from one that was saved.")
@click.option("--svg", type=_PATH, help="Draw a picture.")
@click.option("--html", type=_PATH, help="Write a page with the picture.")
@click.option("--json", "is_json", is_flag=True, help="The figures as JSON on standard output.")
@click.option(
    "--max-p99", type=_SECONDS, metavar="DURATION", help="End with code 6 if the p99 is longer."
)
@click.option(
    "--max-errors", type=_SHARE, metavar="SHARE", help="End with code 6 if more fail or are wrong."
)
def command(url: str, **given: Any) -> int:
    """Put load on a service and tell how it answers.

    URL is a server of Headway's, a model of it, or any path that takes a POST (with --input).
    Without --rate each connection asks again when it is answered. With it, requests have intended
    times and latency counts from them, so that a service that stalls can't hide who waits.

    \b
    Examples:
      headway bench http://127.0.0.1:8000/models/sentiment
      headway bench http://127.0.0.1:8000/models/sentiment --rate 500 --duration 30s --save a.json
      headway bench http://127.0.0.1:8000/models/sentiment --rate 500 --duration 30s --compare a.json
      headway bench http://127.0.0.1:8000 --protocol v2-binary --max-p99 50ms --max-errors 0.1%
      headway bench http://127.0.0.1:9000/score --input question.json
    """  # noqa: D301  (click reads the backspace: keep these lines)
    # Opened when it is used, so that --help stays quick.
    from headway.traffic import report  # noqa: PLC0415  (so that --help stays quick)
    from headway.traffic.compare import compare  # noqa: PLC0415  (so that --help stays quick)
    from headway.traffic.generator import Generator  # noqa: PLC0415  (so that --help stays quick)

    for name in ("save", "svg", "html"):
        if given[name]:
            report.expect_to_write(given[name])
    before = report.read(given["compare"]) if given["compare"] else None
    target, place, requests = _aim(url, given)
    watch = _Progress() if sys.stderr.isatty() else None
    began = datetime.now(UTC)
    run = Generator(place, _plan(requests, given), watch).execute()
    if watch is not None:
        watch.clear()
    run.target, run.protocol, run.at = (
        target.url,
        given["protocol"],
        began.isoformat("T", "seconds"),
    )
    differences = compare(before, run) if before else []
    if before and (unlike := report.unlike(before, run)):
        told = f"warning: the two runs were asked differently: {', '.join(unlike)}"
        click.echo(told, err=True)
    _show(run, differences, is_json=given["is_json"])
    _keep(run, given)
    if run.was_interrupted:
        return Exit.INTERRUPTED
    return _judge(run, given)


def _aim(url: str, given: dict[str, Any]) -> "tuple[Target, Place, list[bytes]]":
    """Where to ask, and the whole requests, each of the first few proven to get a good answer."""
    from headway.traffic import questions  # noqa: PLC0415  (so that --help stays quick)
    from headway.traffic.generator import once  # noqa: PLC0415  (so that --help stays quick)
    from headway.traffic.target import read_headers, read_target, request  # noqa: PLC0415  (so that --help stays quick)

    target = read_target(url)
    headers = read_headers(given["header"], _key(given["key"]))
    place = _place(target, given)

    def ask(data: bytes) -> tuple[int, bytes]:
        with _told(target):
            answer = once(place, data, given["timeout"])
        return answer.status, answer.body

    bodies, content_type = questions.read_file(given["input_"]) if given["input_"] else ([], "")
    if target.model or target.is_whole_server:
        target, model = questions.find_model(
            target, lambda path: ask(request(target, "GET", path, b"", headers))
        )
        asked = questions.parse(bodies) if bodies else list(model.examples)
        if not asked:
            problem = "has no examples to ask: pass --input FILE, or give its predictor `examples`"
            raise ConfigError(where=f"model {target.model!r}", problem=problem)
        requests = questions.of_model(model, given["protocol"], asked, target, headers)
    elif bodies:
        kind = given["content_type"] or content_type
        requests = questions.as_they_are(bodies, kind, target, headers)
        given["protocol"] = "as it is"
    else:
        problem = "names no model of a Headway server; say what to ask there with --input FILE"
        raise ConfigError(where=target.url, problem=problem)
    for turn, data in enumerate(requests[:_TRIED]):
        status, body = ask(data)
        if not 200 <= status < 300:
            problem = (
                f"question {turn + 1} is answered {status}: {questions.words(body) or 'no words'}"
            )
            raise ConfigError(where=target.url, problem=problem)
    return target, place, requests


def _key(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(where="`--key`", problem=f"can't read {given[1:]!r}: {e}") from e


@contextmanager
def _told(target: "Target") -> Iterator[None]:
    """Say a connection's trouble as a user's error."""
    from headway.traffic.connection import Broken  # noqa: PLC0415  (so that --help stays quick)

    try:
        yield
    except Broken as e:
        raise ConfigError(where=target.url, problem=str(e)) from e


def _place(target: "Target", given: dict[str, Any]) -> "Place":
    """Where to connect."""
    from headway.traffic import connection  # noqa: PLC0415  (so that --help stays quick)

    if given["unix"]:
        return connection.unix_place(given["unix"])
    try:
        is_tls = target.scheme == "https"
        tls = (
            connection.trust(ca_file=given["ca"], is_insecure=given["insecure"]) if is_tls else None
        )
    except OSError as e:
        raise ConfigError(where=f"`--ca {given['ca']}`", problem=f"can't be used: {e}") from e
    with _told(target):
        return connection.find_place(target.host, target.port, tls, given["timeout"])


def _plan(requests: Sequence[bytes], given: dict[str, Any]) -> "Plan":
    from headway.traffic.plan import Plan  # noqa: PLC0415  (so that --help stays quick)

    rate = given["rate"] or 0.0
    return Plan(
        requests=requests,
        connections=given["connections"] or (_OPEN if rate else _CLOSED),
        duration_s=given["duration"],
        warm_up_s=given["warm_up"],
        rate_per_s=rate,
        is_even=given["pattern"] == "constant",
        seed=given["seed"],
        count=given["requests"] or 0,
        timeout_s=given["timeout"],
        is_checked=given["check"],
        slice_s=min(max(given["duration"] / 600, 1.0), max(given["duration"] / 20, 0.05)),
    )


class _Progress:
    """A line on the terminal that tells how it goes."""

    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, seconds: float, run: "Run") -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + 1
            bad = sum(run.errors.values())
            click.echo(
                f"\r\x1b[K{seconds:.0f} s  {run.answered} answers, {bad} errors", err=True, nl=False
            )

    def clear(self) -> None:
        """Leave the terminal as it was."""
        click.echo("\r\x1b[K", err=True, nl=False)


def _show(run: "Run", differences: "list[Difference]", *, is_json: bool) -> None:
    import msgspec  # noqa: PLC0415  (so that --help stays quick)

    from headway.traffic import picture, report  # noqa: PLC0415  (so that --help stays quick)

    if is_json:
        click.echo(msgspec.json.encode(report.summary(run, differences)))
    else:
        for name, words in report.table(run):
            click.echo(f"{name:>11}  {words}")
        for lines in (picture.histogram(run.latency), picture.over_time(run)):
            click.echo("\n".join(["", *lines]))
        if differences:
            click.echo(
                "\n".join(["\ncompared with the saved run:", *map(report.told, differences)])
            )
    for doubt in run.doubts():
        click.echo(
            f"warning: these figures tell of the generator, not of the service: {doubt}", err=True
        )
    if not run.latency.count:
        click.echo("warning: there was no good answer", err=True)


def _keep(run: "Run", given: dict[str, Any]) -> None:
    """Write the files that were asked for."""
    from headway.traffic import drawing, report  # noqa: PLC0415  (so that --help stays quick)

    if given["save"]:
        report.save(run, given["save"])
    if given["svg"]:
        report.write(given["svg"], drawing.svg(run))
    if given["html"]:
        report.write(given["html"], drawing.page(run, report.table(run)))


def _judge(run: "Run", given: dict[str, Any]) -> int:
    """Whether the bounds that were asked for are kept; no answer keeps none."""
    p99_s = run.latency.quantile(0.99) / 1e9
    missed = []
    if given["max_p99"] is not None and (p99_s > given["max_p99"] or not run.answered):
        missed.append(f"p99 {p99_s * 1e3:.3g} ms is over --max-p99 {given['max_p99'] * 1e3:g} ms")
    if given["max_errors"] is not None and (
        run.error_share > given["max_errors"] or not run.answered
    ):
        missed.append(
            f"{run.error_share:.3%} failed or wrong is over --max-errors {given['max_errors']:.3%}"
        )
    for line in missed:
        click.echo(f"missed: {line}", err=True)
    return Exit.MISSED if missed else Exit.OK
