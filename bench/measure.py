"""One server at a time: start it, see that it answers right, load it, weigh it."""

import base64
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench import drive, envs, peers
from bench.drive import Void
from bench.load import CLOSED, Plan, Report
from bench.models import MODELS, answers
from bench.process import Tree, busy_s, free_port, own_cpu_s

START_LIMIT_S = 120.0
POLL_S = 0.002
REFUSALS = (400, 405, 413, 415, 422, 500)
"""What no wait can change; some servers answer so while they load, so it must last."""
REFUSING_S = 60.0
SETTLING_S = 5.0
"""Ray's HAProxy reads its configuration again when the last replica has come up, and closes what is open."""
SETTLE_S = 1.0
"""Between the first answer and the weighing of an idle server."""

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Question:
    """A model's items as requests to one peer, with the answers that are right."""

    who: str
    peer: peers.Peer
    model: str
    variant: str
    requests: Sequence[peers.Request]
    expected: Sequence[Any]

    def raw(self) -> list[bytes]:
        """The requests as bytes on the wire."""
        return [
            drive.request_bytes(r.path, r.content_type, r.body, r.headers) for r in self.requests
        ]

    def check(self, index: int, status: int, body: bytes) -> None:
        """Raise Void unless this is the right answer to that request."""
        if status != 200:
            raise Void(f"status {status}: {body[:300]!r}")
        if not self.peer.HAS_ANSWERS:
            if body != self.requests[index].body:
                raise Void("the echo answered something else")
            return
        model = MODELS[self.model]
        try:
            got = np.asarray(self.peer.read(self.model, self.variant, body, model.output), float)
        except (LookupError, TypeError, ValueError) as e:
            raise Void(f"unreadable answer ({e!r}): {body[:300]!r}") from e
        wanted = self.expected[index]
        if got.size != wanted.size or not np.allclose(got.ravel(), wanted, atol=model.tolerance):
            raise Void(f"wrong answer to item {index}: {body[:300]!r}")


def question(who: str, model: str) -> Question:
    """What is asked of `peer:variant` (or of a peer's first variant)."""
    name, _, variant = who.partition(":")
    peer = peers.open_peer(name)
    variant = variant or peer.VARIANTS[model][0]
    requests = [peer.ask(model, variant, item) for item in MODELS[model].items()]
    expected = _expected(model)
    return Question(who, peer, model, variant, requests, expected)


_expected = cache(lambda model: answers(MODELS[model]))
"""The right answers, once a model."""


@dataclass(slots=True)
class Server:
    """A running server."""

    tree: Tree
    port: int
    grpc_port: int = 0
    """Where it answers gRPC besides, if it was asked to."""
    start_s: float = 0.0
    """From the start of its process to its first right answer."""

    def wait(self, asked: Question) -> None:
        """Return at the first right answer; raise Void if it never comes."""
        refused = 0.0
        while (now := time.monotonic()) - self.tree.started < START_LIMIT_S:
            if not self.tree.is_running():
                raise Void(f"{asked.who} ended at its start: {self.tree.tail()}")
            try:
                status, body = ask_once(self.port, asked.requests[0])
            except (OSError, http.client.HTTPException):
                status, body = 0, b""
            if status == 200:
                self.start_s = time.monotonic() - self.tree.started
                return asked.check(0, status, body)
            refused = (refused or now) if status in REFUSALS else 0.0
            if refused and now - refused > REFUSING_S:
                raise Void(f"{asked.who} refuses the request: {status}, {body[:300]!r}")
            time.sleep(POLL_S)
        raise Void(f"{asked.who} is not ready: status {status}, {body[:200]!r}, {self.tree.tail()}")


def ask_once(port: int, request: peers.Request) -> tuple[int, bytes]:
    """Ask on a fresh connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
    try:
        headers = {"content-type": request.content_type, **dict(request.headers)}
        connection.request("POST", request.path, request.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@cache
def _installed(name: str) -> Path | str:
    """A peer's interpreter, or why there is none; tried once a run."""
    try:
        return peers.install(name)
    except envs.InstallError as e:
        return str(e)


def install(name: str) -> Path:
    """A peer's interpreter; raises Void where it can't be installed."""
    found = _installed(name)
    if isinstance(found, str):
        raise Void(f"not installed: {found}")
    return found


@contextmanager
def serving(
    asked: Question, tuning: peers.Tuning | None = None, *, has_grpc: bool = False
) -> Iterator[Server]:
    """A server that has answered right, and that is ended whatever happens; with a port for gRPC if it is wanted."""
    name = asked.who.partition(":")[0]
    launch = peers.Launch(
        python=install(name),
        model=asked.model,
        path=MODELS[asked.model].path,
        port=free_port(),
        variant=asked.variant,
        tuning=asked.peer.TUNING[asked.model] if tuning is None else tuning,
        grpc_port=free_port() if has_grpc else 0,
    )
    tree = Tree(asked.peer.command(launch), asked.peer.environment(launch))
    try:
        server = Server(tree, launch.port, launch.grpc_port)
        server.wait(asked)
        yield server
    finally:
        tree.stop()


def check(server: Server, asked: Question, connections: int) -> None:
    """Ask each item several times over many connections at once; every answer must be right."""
    limit = max(2 * len(asked.requests), min(2 * connections, 64))
    plan = Plan(
        server.port, asked.raw(), min(connections, limit), 30.0, limit=limit, keep_answers=True
    )
    seen = _settled(plan)
    if len(seen.answers) < limit:
        raise Void(f"{len(seen.answers)} of {limit} answers within {plan.seconds} s")
    for index, status, body in seen.answers:
        asked.check(index, status, base64.b64decode(body))


def _settled(plan: Plan) -> Report:
    """The plan's report; a server that still closes connections after its start is asked again."""
    end = time.monotonic() + SETTLING_S
    while True:
        try:
            return drive.python(plan)
        except Void as e:
            if CLOSED not in str(e) or time.monotonic() > end:
                raise
            time.sleep(SETTLE_S)


def load(server: Server, asked: Question, plan: Plan) -> Metrics:
    """Load a warm server as planned; rates, latencies, and what it cost."""
    cpu, own, busy, wall = server.tree.cpu_s(), own_cpu_s(), busy_s(), time.monotonic()
    report = drive.open_loop(plan) if plan.rate_per_s else drive.closed(plan)
    cpu, own = server.tree.cpu_s() - cpu, own_cpu_s() - own
    busy, wall = busy_s() - busy, time.monotonic() - wall
    if not server.tree.is_running():
        raise Void(f"{asked.who} ended under load: {server.tree.tail()}")
    cores = {"cores": cpu / wall, "other_cores": max(0.0, busy - cpu - own) / wall}
    return _metrics(report, cpu) | cores | {"pss_mb": server.tree.pss_mb()}


def _metrics(report: Report, cpu_s: float) -> Metrics:
    """A report's numbers under the names that the results have."""
    kept = ("mean_ms", "p50_ms", "p99_ms", "p999_ms", "max_ms", "late_p99_ms", "answered")
    found = {name: float(value) for name, value in asdict(report).items() if name in kept}
    found["rate"] = report.answered / report.seconds
    found["per_cpu_s"] = report.answered / cpu_s if cpu_s else 0.0
    return found


def start(asked: Question) -> Metrics:
    """Cold start and idle memory."""
    with serving(asked) as server:
        time.sleep(SETTLE_S)
        return {"start_s": server.start_s, "pss_mb": server.tree.pss_mb()}


def ceiling(model: str, form: str, seconds: float) -> Metrics:
    """The model in a loop without a server, in a process of its own."""
    command = [sys.executable, "-m", "bench.ceiling", model, form, str(seconds)]
    limit_s = seconds + 60
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit_s, cwd=envs.ROOT
        )
    except subprocess.TimeoutExpired as e:
        raise Void(f"{form} took more than {limit_s:g} s") from e
    if done.returncode:
        raise Void(done.stderr.strip().splitlines()[-1])
    return {"rate": json.loads(done.stdout)["rows_per_s"]}


_IMPORT = (
    "import sys, time; t = time.perf_counter(); import headway; "
    "print((time.perf_counter() - t) * 1e3, int('numpy' in sys.modules))"
)


def import_headway() -> Metrics:
    """Milliseconds of `import headway` in a fresh interpreter, and whether numpy came with it."""
    python = install("headway")
    done = subprocess.run([python, "-c", _IMPORT], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Void(done.stderr.strip().splitlines()[-1])
    elapsed, numpy = done.stdout.split()
    return {"import_ms": float(elapsed), "has_numpy": float(numpy)}


def size(who: str) -> Metrics:
    """Megabytes (10^6) on disk of an environment with the server and what it needs."""
    source = 0
    if who == "headway-core":
        envs.ensure(who, [str(envs.ROOT)], fresh=True)
    else:
        install(who)
    if who == "headway":  # its environment points to the tree
        source = envs.tree_bytes(envs.ROOT / "src")
    return {"installed_mb": (envs.installed_bytes(who) + source) / 1e6}
