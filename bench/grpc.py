"""gRPC: what a call costs beside grpcio's own echo, Triton, MLServer, and our other dialects. `python -m bench grpc`.

One model (tiny), one server at a time, one load generator: h2load for gRPC, wrk or load.py for HTTP/1.1. grpcio's echo
answers the bytes that it gets, on uvloop (aio) and on threads, and has no model: no server on grpcio is quicker.
h2load sees HTTP's status alone, so that our own counters tell whether all calls were answered well.
"""

import argparse
import re
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench import envs, measure, results
from bench.drive import Void
from bench.load import Plan
from bench.models import MODELS, answers
from bench.peers import APPS
from bench.process import Tree, free_port

REQUIRES = ("grpcio==1.85.3", "uvloop==0.23.0")
METHOD = "/inference.GRPCInferenceService/ModelInfer"
SHAPES = ((1, 1), (4, 16), (64, 1))
"""Connections, and calls at a time on each."""
DIALECTS = ("native", "v2", "v2-binary")
PEERS = ("triton", "mlserver")
"""Asked the same question over gRPC, with their best settings of the sweep over HTTP."""
_RATE = re.compile(r"finished in [\d.]+m?s, ([\d.]+) req/s")
_CODES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")

Record = dict[str, Any]


def _field(number: int, data: bytes) -> bytes:
    assert len(data) < 2**14
    size = (
        bytes((len(data),)) if len(data) < 128 else bytes((len(data) & 0x7F | 0x80, len(data) >> 7))
    )
    return bytes((number << 3 | 2,)) + size + data


def question() -> bytes:
    """The first item of the tiny model, raw, with a batch axis of 1."""
    pieces, raw = [_field(1, b"tiny")], []
    for name, value in MODELS["tiny"].items()[0].items():
        shape = bytes((1, *value.shape))
        tensor = _field(1, name.encode()) + _field(2, b"FP32") + _field(3, shape)
        pieces.append(_field(5, tensor))
        raw.append(_field(7, value.astype("<f4").tobytes()))
    return b"".join(pieces + raw)


def check(python: Path, port: int) -> None:
    """Ask once with grpcio's client; raises Void unless the answer is right."""
    command = [str(python), str(APPS / "grpc_echo.py"), "ask", str(port)]
    done = subprocess.run(command, input=question(), capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise Void(done.stderr.decode().strip().splitlines()[-1])
    expected = answers(MODELS["tiny"])[0].astype("<f4").ravel()
    found = done.stdout[-4 * expected.size :]
    if not np.allclose(np.frombuffer(found, "<f4"), expected, atol=MODELS["tiny"].tolerance):
        raise Void(f"wrong answer: {done.stdout!r}")


@contextmanager
def echo(python: Path, kind: str) -> Iterator[tuple[int, Tree]]:
    """grpcio's echo, of one of its two kinds; gives its port and its process."""
    port = free_port()
    tree = Tree([str(python), str(APPS / "grpc_echo.py"), kind, str(port)], {})
    try:
        ask = [str(python), str(APPS / "grpc_echo.py"), "ask", str(port)]
        done = subprocess.run(ask, input=b"hello", capture_output=True, check=True, timeout=60)
        if done.stdout != b"hello":
            raise Void("the echo answered something else")
        yield port, tree
    finally:
        tree.stop()


def load(tree: Tree, port: int, body: Path, form: tuple[int, int], seconds: float) -> Record:
    """Calls a second by h2load, and what a second of the server's CPU answers."""
    connections, calls = form
    shape = ["-t1", f"-c{connections}", f"-m{calls}", f"-D{seconds:g}", "--warm-up-time=1"]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(body)]
    command = ["h2load", *shape, *headers, f"http://127.0.0.1:{port}{METHOD}"]
    cpu_s = tree.cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    cpu_s = tree.cpu_s() - cpu_s
    rate, codes = _RATE.search(done.stdout), _CODES.search(done.stdout)
    if not rate or not codes or any(int(n) for n in codes.groups()[1:]):
        raise Void(done.stdout[-500:])
    # The second of warming up is in the CPU time, and not in the rate.
    answered = float(rate[1]) * (seconds + 1)
    return {
        "shape": f"{connections} x {calls}",
        "rate": float(rate[1]),
        "per_cpu_s": answered / cpu_s,
    }


def outcomes(port: int) -> Mapping[str, float]:
    """Requests of the tiny model by outcome, as /metrics counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.findall(r"headway_requests_total\{([^}]*)\} ([\d.e+]+)", text)
    told = [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(n)) for labels, n in found]
    return {labels["outcome"]: n for labels, n in told if labels.get("model") == "tiny"}


def beside(name: str, python: Path, body: Path, seconds: float) -> Iterator[Record]:
    """A peer in each shape; one that can't be measured is told, and left out."""
    try:
        with measure.serving(measure.question(name, "tiny"), has_grpc=True) as server:
            check(python, server.grpc_port)
            for shape in SHAPES:
                found = load(server.tree, server.grpc_port, body, shape, seconds)
                yield {"who": f"{name}, gRPC", **found}
    except Void as e:
        print(f"{name} is left out: {e}")


def measured(python: Path, folder: Path, seconds: float, peers: Sequence[str]) -> Iterator[Record]:
    """One round: each of the echoes, the peers, then our dialects."""
    message = question()
    body = folder / "body"
    body.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    for kind in ("aio", "threads"):
        with echo(python, kind) as (port, tree):
            for shape in SHAPES:
                yield {"who": f"grpcio echo, {kind}", **load(tree, port, body, shape, seconds)}
    for name in peers:
        yield from beside(name, python, body, seconds)
    with measure.serving(measure.question("headway:native", "tiny")) as server:
        check(python, server.port)
        for shape in SHAPES:
            found = load(server.tree, server.port, body, shape, seconds)
            yield {"who": "headway, gRPC", **found}
        seen = outcomes(server.port)
        # h2load cuts its last calls off: they are cancelled, or refused since others left.
        if sum(seen.values()) > 1.01 * seen["ok"]:
            raise Void(f"not all were answered well: {seen}")
        for dialect in DIALECTS:
            asked = measure.question(f"headway:{dialect}", "tiny")
            for connections in (1, 64):
                plan = Plan(server.port, asked.raw(), connections, seconds)
                seen = measure.load(server, asked, plan)
                kept = {name: seen[name] for name in ("rate", "per_cpu_s")}
                yield {"who": f"headway, {dialect}", "shape": f"{connections} x 1", **kept}


def table(records: Sequence[Record], key: str, title: str) -> str:
    """Medians, and how many times grpcio's better echo that is in the same shape."""
    values: dict[tuple[str, str], list[float]] = {}
    for record in records:
        values.setdefault((record["who"], record["shape"]), []).append(record[key])
    medians = {place: statistics.median(found) for place, found in values.items()}
    shapes = [f"{connections} x {calls}" for connections, calls in SHAPES]
    lines = [f"| {title} | " + " | ".join(shapes) + " |", "|---" * (len(shapes) + 1) + "|"]
    for who in dict.fromkeys(who for who, _ in medians):
        cells = []
        for shape in shapes:
            value = medians.get((who, shape))
            best = max(v for (w, s), v in medians.items() if s == shape and w.startswith("grpcio"))
            ratio = f" ({value / best:.1f} x)" if value and who == "headway, gRPC" else ""
            cells.append(f"{value:,.0f}{ratio}" if value else "")
        lines.append(f"| {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m bench grpc", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds; medians are shown")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--peers", default=",".join(PEERS), help="who else is asked, or none")
    parser.add_argument("--name", default="grpc", help="name of the files in bench/results")
    options = parser.parse_args(arguments)
    if not shutil.which("h2load"):
        parser.error("it needs h2load (the package nghttp2-client)")
    peers = [name for name in options.peers.split(",") if name and name != "none"]
    python = envs.ensure("grpcio", REQUIRES)
    machine = results.machine()
    began = time.monotonic()
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            records += measured(python, Path(folder), options.seconds, peers)
    rates = table(records, "rate", "calls/s, by connections x calls at a time")
    costs = table(records, "per_cpu_s", "calls per second of the server's CPU")
    text = f"{machine}\n\n{rates}\n{costs}"
    print(text)
    target = envs.ROOT / "bench" / "results" / options.name
    results.write(target.with_suffix(".json"), {"machine": machine, "records": records})
    target.with_suffix(".md").write_text(text)
    print(f"written: {target}.json, .md, after {time.monotonic() - began:.0f} s")
