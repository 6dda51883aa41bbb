"""The page: from a click to the answer on the screen, without the model's own time. `python -m bench page`.

One server, one Chromium, one click after the other; the weight of the page is that of its files. `apps/page_clicks.py`
tells what begins and ends a click.
"""

import argparse
import json
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import envs, measure, results
from bench.drive import Void
from bench.peers import APPS
from bench.process import Tree, free_port

REQUIRES = ("playwright==1.65.2",)
MODELS = ("label", "rows", "slow")
LIMIT_MS = 100
PAGE = envs.ROOT / "src" / "headway" / "server" / "page"

Record = dict[str, Any]


@contextmanager
def serving() -> Iterator[str]:
    """A server of the three predictors; gives its URL."""
    port = free_port()
    python = str(measure.install("headway"))
    command = [python, "-m", "headway", "serve", str(APPS / "page"), "--port", str(port)]
    tree = Tree(command, {})
    url = f"http://127.0.0.1:{port}/"
    try:
        wait(f"{url}health/ready")
        yield url
    finally:
        tree.stop()


def wait(url: str) -> None:
    """Until a server is ready."""
    end_at = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as e:
            if time.monotonic() > end_at:
                raise Void(f"not ready: {e}") from e
        time.sleep(0.05)


def clicked(python: Path, url: str, clicks: int) -> Record:
    """What each click took, by model."""
    command = [str(python), str(APPS / "page_clicks.py"), url, str(clicks), *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise Void(done.stderr.strip().splitlines()[-1])
    found: Record = json.loads(done.stdout)
    return found


def row(model: str, clicks: list[tuple[float, float]]) -> Record:
    """The median and the worst of a model's clicks, in ms, without what the model took."""
    own = sorted(took - model_ms for took, model_ms in clicks)
    return {
        "model": model,
        "median_ms": statistics.median(own),
        "worst_ms": own[-1],
        "model_ms": statistics.median(model_ms for _, model_ms in clicks),
    }


def table(rows: list[Record], weight: int) -> str:
    """What was found, as Markdown."""
    lines = [
        "| answer | click to screen, less the model: median ms | worst ms | the model's own ms |",
        "|---|---|---|---|",
    ]
    for one in rows:
        numbers = (results.number(one[name]) for name in ("median_ms", "worst_ms", "model_ms"))
        lines.append(f"| {one['model']} | {' | '.join(numbers)} |")
    return "\n".join([*lines, "", f"The page weighs {weight:,} bytes.", ""])


def main(arguments: list[str]) -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m bench page", description=__doc__)
    parser.add_argument("--clicks", type=int, default=20, help="for each model")
    parser.add_argument("--name", default="page", help="name of the files in bench/results")
    options = parser.parse_args(arguments)
    python = envs.ensure("page", REQUIRES)
    with serving() as url:
        found = clicked(python, url, options.clicks)
    machine = {**results.machine(), "browser": found["browser"]}
    weight = sum(path.stat().st_size for path in PAGE.iterdir())
    rows = [row(model, clicks) for model, clicks in found["clicks"].items()]
    text = f"{machine}\n\n{table(rows, weight)}"
    print(text)
    slowest = max(one["median_ms"] for one in rows)
    print(f"under {LIMIT_MS} ms: {'yes' if slowest < LIMIT_MS else 'no'}")
    target = envs.ROOT / "bench" / "results" / options.name
    results.write(
        target.with_suffix(".json"),
        {"machine": machine, "rows": rows, "weight_bytes": weight, **found},
    )
    target.with_suffix(".md").write_text(text)
