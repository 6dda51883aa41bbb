"""How the cost of a request grows: `python -m bench growth [AXIS...] [--rounds N] [--seconds S] [--name NAME]`.

Headway alone, and the echo beside it where that tells something, along the axes of `axes.py`. For each point:
requests/s, latencies, and CPU a request of each kind of process. Writes NAME.json, NAME.md and NAME.svg.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from rich.console import Console

from bench import axes, drive, envs, measure, panels, peers, results
from bench.axes import Ask, Point, Start
from bench.drive import Void
from bench.load import Plan
from bench.process import Tree, busy_s, free_port, own_cpu_s

LIMIT_S = 8 * 60
WARM_S = 0.5
SETTLE_S, IDLE_S = 0.5, 1.0
"""From ready to idle; how long an idle server is looked at."""
READY_LIMIT_S, POLL_S = 240.0, 0.02
LARGE_BYTES = 500_000
"""From here on load.py asks, which copies no request."""
LEAST_ANSWERS = 8
"""Of large bodies so many are asked, and as many more as the time allows."""
ROLES = ("gateway", "worker", "supervisor")
COLUMNS = {
    "rate": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "grab": "requests a grab",
    "gateway_us": "gateway µs",
    "worker_us": "worker µs",
    "supervisor_us": "supervisor µs",
    "load_us": "generator µs",
    "cores": "cores",
    "pss_mb": "PSS MB",
    "idle_cores": "idle cores",
    "start_s": "start s",
    "start_cpu_s": "CPU s to start",
}
"""What the table shows; µs are of CPU, a request."""

Record = dict[str, Any]


@dataclass(slots=True)
class Server:
    """A running server."""

    tree: Tree
    port: int
    start: Record
    """What its start took, and what it takes while nobody asks."""


def role_of(command: str) -> str:
    """Which kind of process of Headway's a command line is; an echo is a gateway alone."""
    if "headway.engine.worker" in command:
        return "worker"
    if "headway.server.process" in command or "echo.py" in command:
        return "gateway"
    return "supervisor"


@contextmanager
def serving(start: Start) -> Iterator[Server]:
    """The server of a start, ready."""
    port = free_port()
    python = peers.install(start.who)
    if start.who == "echo":
        command = [str(python), str(peers.APPS / "echo.py"), str(port)]
    else:
        flags = [part for pair in start.flags.items() for part in pair]
        headway = str(python.parent / "headway")
        command = [headway, "serve", str(start.source()), "--port", str(port), *flags]
    tree = Tree(command, {"HEADWAY_DRAIN_DELAY_S": "0"})
    try:
        while not _is_ready(port):
            if not tree.is_running():
                raise Void(f"{start.name} ended at its start: {tree.tail()}")
            if time.monotonic() - tree.started > READY_LIMIT_S:
                raise Void(f"{start.name} is not ready: {tree.tail()}")
            time.sleep(POLL_S)
        yield Server(tree, port, _weigh(tree))
    finally:
        tree.stop()


def _weigh(tree: Tree) -> Record:
    """What a server that has just become ready has taken, and takes when it is idle."""
    found = {"start_s": time.monotonic() - tree.started, "start_cpu_s": tree.cpu_s()}
    time.sleep(SETTLE_S)
    cpu, since = tree.cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    return found | {"idle_cores": (tree.cpu_s() - cpu) / (time.monotonic() - since)}


def _is_ready(port: int) -> bool:
    """Whether all models of a server can answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def check(server: Server, ask: Ask) -> None:
    """Raise Void unless each request is answered right."""
    for request, wanted in zip(ask.requests, ask.expected, strict=True):
        status, body = measure.ask_once(server.port, request)
        if status != 200:
            raise Void(f"status {status}: {body[:300]!r}")
        got = np.asarray(ask.read(body), float)
        if got.size != len(wanted) or not np.allclose(got, wanted, atol=ask.tolerance, rtol=1e-3):
            raise Void(f"wrong answer: {body[:300]!r}")


def load(server: Server, point: Point, seconds: float) -> Record:
    """Check, warm up, measure one point."""
    ask = point.ask()
    check(server, ask)
    raw = [drive.request_bytes(r.path, r.content_type, r.body, r.headers) for r in ask.requests]
    plan = Plan(server.port, raw, point.connections, seconds)
    if len(raw[0]) > LARGE_BYTES:
        found = _measured(server, _whole(plan))
    else:
        drive.closed(replace(plan, seconds=WARM_S))
        found = _measured(server, plan)
    return found | {"body_bytes": len(ask.requests[0].body)}


def _whole(plan: Plan) -> Plan:
    """A plan of a number of large requests, as many as fit into its time: none is cut off, and counted by halves."""
    warm = drive.python(replace(plan, seconds=READY_LIMIT_S, limit=plan.connections))
    fitting = int(warm.answered / warm.seconds * plan.seconds)
    return replace(plan, seconds=READY_LIMIT_S, limit=max(LEAST_ANSWERS, fitting))


def _measured(server: Server, plan: Plan) -> Record:
    """One run of a generator, and what everybody spent on it."""
    cpu, own, busy, wall = server.tree.cpu_by(role_of), own_cpu_s(), busy_s(), time.monotonic()
    grabs, grabbed = _grabs(server.port)
    report = drive.closed(plan, with_python=bool(plan.limit))
    spent = {role: s - cpu.get(role, 0.0) for role, s in server.tree.cpu_by(role_of).items()}
    own, busy, wall = own_cpu_s() - own, busy_s() - busy, time.monotonic() - wall
    if not report.answered:
        raise Void(f"no answer within {plan.seconds:g} s")
    each = 1e6 / report.answered
    more, taken = _grabs(server.port)
    return (
        {
            "answered": report.answered,
            "rate": report.answered / report.seconds,
            "p50_ms": report.p50_ms,
            "p99_ms": report.p99_ms,
            "grab": (taken - grabbed) / (more - grabs) if more > grabs else 0.0,
            "load_us": own * each,
            "cores": sum(spent.values()) / wall,
            "other_cores": max(0.0, busy - own - sum(spent.values())) / wall,
            "pss_mb": server.tree.pss_mb(),
        }
        | server.start
        | {f"{role}_us": spent.get(role, 0.0) * each for role in ROLES}
    )


def _grabs(port: int) -> tuple[float, float]:
    """Grabs so far, and the requests in them; none of an echo."""
    found = {"count": 0.0, "sum": 0.0}
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            series, _, value = line.rpartition(" ")
            name, _, part = series.partition("{")[0].rpartition("_")
            if name == "headway_grab_requests" and part in found:
                found[part] += float(value)
    return found["count"], found["sum"]


class Growth:
    """One run: records, as they come."""

    def __init__(self, console: Console, seconds: float, limit_s: float) -> None:
        self.records: list[Record] = []
        self._console = console
        self._seconds = seconds
        self._end = time.monotonic() + limit_s

    def run(self, chosen: Sequence[str], rounds: int) -> None:
        """Every axis once, then those again that have more rounds: drift falls on all alike."""
        for turn in range(rounds):
            for axis in chosen:
                for start in axes.starts(axis):
                    if turn < start.rounds:
                        self._start(start, turn)

    def _start(self, start: Start, turn: int) -> None:
        """All points of one server."""
        if self._is_over(start.name, turn):
            return
        try:
            with serving(start) as server:
                for point in start.points:
                    if not self._is_over(f"{point.series}, {point.x:,}", turn):
                        self._point(server, point, turn)
        except Void as e:
            for point in start.points:
                self._keep(point, turn, {"void": str(e)})

    def _is_over(self, what: str, turn: int) -> bool:
        """Whether the time is over; says what is left out then."""
        is_over = time.monotonic() > self._end
        if is_over:
            self._console.print(f"out of time: {what} is left out in round {turn + 1}")
        return is_over

    def _point(self, server: Server, point: Point, turn: int) -> None:
        try:
            found = load(server, point, self._seconds)
        except Void as e:
            found = {"void": str(e)}
        self._keep(point, turn, found)

    def _keep(self, point: Point, turn: int, found: Record) -> None:
        place = {"axis": point.axis, "series": point.series, "x": point.x, "round": turn}
        self.records.append(place | found)
        what = f"{point.axis}: {point.series}, {point.x:,}"
        if "void" in found:
            self._console.print(f"{what}: void: {found['void'][:600]}", style="red", markup=False)
            return
        told = ", ".join(
            f"{results.number(found[m])} {COLUMNS[m]}" for m in ("rate", "p99_ms", "pss_mb")
        )
        self._console.print(f"{what}: {told}", style="dim", markup=False)


def medians(records: Sequence[Record]) -> list[Record]:
    """One record a point: the median of each figure over the rounds that are not void."""
    found: dict[tuple[str, str, float], list[Record]] = defaultdict(list)
    for record in records:
        if "void" not in record:
            found[record["axis"], record["series"], record["x"]].append(record)
    return [
        {"axis": axis, "series": series, "x": x}
        | {m: median(r[m] for r in rounds) for m in (*COLUMNS, "other_cores", "body_bytes")}
        for (axis, series, x), rounds in found.items()
    ]


TITLES: Mapping[str, tuple[str, str]] = {
    "processes": ("Workers and gateways (tiny model, 64 connections)", "workers"),
    "connections": ("Connections (tiny model)", "connections"),
    "models": ("Models in one server (64 connections)", "models"),
    "bodies": ("Size of a body (4 connections)", "bytes"),
}


def table(found: Sequence[Record]) -> str:
    """The figures as Markdown, a table an axis."""
    parts = []
    for axis, (title, unit) in TITLES.items():
        rows = [r for r in found if r["axis"] == axis]
        if not rows:
            continue
        parts += [f"**{title}**", "", f"| | {unit} | {' | '.join(COLUMNS.values())} |"]
        parts.append("|---|" + "---:|" * (len(COLUMNS) + 1))
        for row in sorted(rows, key=lambda r: (r["series"], r["x"])):
            cells = " | ".join(results.number(row[m]) for m in COLUMNS)
            parts.append(f"| {row['series']} | {row['x']:,} | {cells} |")
        parts.append("")
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m bench growth", description=__doc__)
    parser.add_argument("axes", nargs="*", help=f"which of {', '.join(axes.AXES)}; all for none")
    parser.add_argument("--rounds", type=int, default=2, help="most rounds of a point")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--name", default="growth", help="name of the files in bench/results")
    options = parser.parse_args(arguments)
    if unknown := set(options.axes) - set(axes.AXES):
        parser.error(f"no axis is called {', '.join(sorted(unknown))}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    machine = results.machine()
    console.print(machine)
    began = time.monotonic()
    growth = Growth(console, options.seconds, LIMIT_S)
    growth.run([a for a in axes.AXES if not options.axes or a in options.axes], options.rounds)
    found = medians(growth.records)
    text = table(found)
    print(text)
    most = max((r["other_cores"] for r in found), default=0.0)
    if most > results.QUIET_CORES:
        console.print(f"others used up to {results.number(most)} cores meanwhile", style="yellow")
    target = envs.ROOT / "bench" / "results" / options.name
    results.write(
        target.with_suffix(".json"),
        {"machine": machine, "medians": found, "records": growth.records},
    )
    target.with_suffix(".md").write_text(text)
    target.with_suffix(".svg").write_text(panels.draw(found))
    console.print(f"written: {target}.json, .md, .svg, after {time.monotonic() - began:.0f} s")
