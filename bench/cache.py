"""What kept answers bring on a skewed stream: `python -m bench.cache [tiny|minilm] [--seconds S] [--rounds N]`.

10,000 distinct requests are drawn by Zipf's law (s = 1): random rows for the tiny model, real movie snippets for
MiniLM. Asked without a cache, with room for about a tenth of the answers, and with room for all. Needs an environment
that has Headway, onnxruntime and onnx, and wrk.
"""

import argparse
import json
import random
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import drive, models, movies

DISTINCT = 10_000
ANSWER_BYTES = {"tiny": 600, "minilm": 8800}
"""About what one kept answer takes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run."""

    rate: float
    p50_ms: float
    p99_ms: float
    hits: float
    """Share of the requests that a kept answer, or that of an equal one under way, answered."""


def _tiny(rng: random.Random) -> list[bytes]:
    return [
        json.dumps({"x": [round(rng.uniform(0, 30), 3) for _ in range(30)]}).encode()
        for _ in range(DISTINCT)
    ]


def _minilm(rng: random.Random) -> list[bytes]:
    asked = rng.sample(movies.tokens(), DISTINCT)
    return [
        json.dumps({"input_ids": ids, "attention_mask": [1] * len(ids)}).encode() for ids in asked
    ]


BODIES: dict[str, Callable[[random.Random], list[bytes]]] = {"tiny": _tiny, "minilm": _minilm}


def main() -> None:
    """Measure in interleaved rounds, print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", choices=BODIES, default="tiny")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    bodies = BODIES[given.model](random.Random(7))
    all_bytes = DISTINCT * ANSWER_BYTES[given.model] * 2
    ways = {"none": 0, "a tenth": all_bytes // 20, "all": all_bytes}
    seen: dict[str, list[Seen]] = defaultdict(list)
    path = models.MODELS[given.model].path
    with tempfile.TemporaryDirectory() as folder:
        for i, body in enumerate(bodies, 1):
            raw = drive.request_bytes(f"/models/{path.stem}/predict", "application/json", body, ())
            Path(folder, str(i)).write_bytes(raw)
        for _ in range(given.rounds):
            for way, size in ways.items():
                with movies.serving(path, "--cache-bytes", str(size)) as port:
                    _load(port, folder, given.connections, given.seconds, 1)
                    seen[way].append(_load(port, folder, given.connections, given.seconds, 2))
    for way, runs in seen.items():
        rate, p50, p99, hits = (
            median(getattr(run, name) for run in runs)
            for name in ("rate", "p50_ms", "p99_ms", "hits")
        )
        print(
            f"{given.model}, cache {way}: {rate:.0f} requests/s, p50 {p50:.2f} ms, "
            f"p99 {p99:.2f} ms, {100 * hits:.0f} % hits"
        )


def _load(port: int, folder: str, connections: int, seconds: int, seed: int) -> Seen:
    script = str(drive.HERE / "zipf.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script]
    command += [f"http://127.0.0.1:{port}/", "--", folder, str(DISTINCT), str(seed)]
    hits = _hits(port)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["bad"]:
        raise drive.Void(f"{found['bad']} bad answers")
    answered = found["answered"]
    share = (_hits(port) - hits) / answered
    return Seen(answered / found["seconds"], found["p50_ms"], found["p99_ms"], share)


def _hits(port: int) -> float:
    return sum(movies.metric(port, f"cache_{kind}_total") for kind in ("hits", "shared"))


if __name__ == "__main__":
    main()
