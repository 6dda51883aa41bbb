"""What padding costs: `python -m bench.lengths [--seconds S] [--rounds N] [--connections C]`.

MiniLM is asked real movie snippets, one a request, three ways: all padded to 128 by the caller; at their exact
lengths, so that only equal lengths meet; and by buckets (`hw.Length`). Needs an environment that has Headway,
onnxruntime and onnx, and wrk.
"""

import argparse
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median, quantiles

from bench import drive, envs, models, movies
from bench.load import Plan, Report
from bench.peers import APPS

COUNT = 1000
"""Different snippets that are asked in turn."""


def _padded(ids: Sequence[int]) -> bytes:
    rest = movies.LONGEST - len(ids)
    return _body([*ids, *[0] * rest], [1] * len(ids) + [0] * rest)


def _exact(ids: Sequence[int]) -> bytes:
    return _body(ids, [1] * len(ids))


def _body(ids: Sequence[int], mask: Sequence[int]) -> bytes:
    return json.dumps({"input_ids": ids, "attention_mask": mask}).encode()


WAYS: dict[str, tuple[str, Callable[[Sequence[int]], bytes]]] = {
    "padded to 128": ("minilm.onnx", _padded),
    "exact lengths": ("minilm.onnx", _exact),
    "buckets": ("minilm.py", _exact),
}
"""What is served, and what it is asked."""


def _folder() -> Path:
    """Where the model and the predictor around it lie together."""
    folder = envs.cache("lengths", "minilm.onnx").parent
    if not (folder / "minilm.onnx").exists():
        shutil.copy(models.MODELS["minilm"].path, folder)
    shutil.copy(APPS / "headway" / "minilm.py", folder)
    return folder


def main() -> None:
    """Measure in interleaved rounds, print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--flags", default="", help="for headway serve, with spaces between")
    given = parser.parse_args()
    found = movies.tokens()
    lengths = sorted(map(len, found))
    cuts = quantiles(lengths, n=100)
    print(
        f"{len(found)} snippets: mean {mean(lengths):.1f} tokens, "
        f"p50 {cuts[49]:.0f}, p90 {cuts[89]:.0f}, p99 {cuts[98]:.0f}, longest {lengths[-1]}"
    )
    asked = random.Random(7).sample(found, COUNT)
    folder = _folder()
    seen: dict[str, list[tuple[Report, float]]] = defaultdict(list)
    for _ in range(given.rounds):
        for way, (what, body) in WAYS.items():
            bodies = [body(ids) for ids in asked]
            flags = given.flags.split()
            seen[way].append(
                _measure(folder / what, bodies, given.connections, given.seconds, flags)
            )
    for way, reports in seen.items():
        rate = median(r.answered / r.seconds for r, _ in reports)
        p50, p99 = (median(getattr(r, n) for r, _ in reports) for n in ("p50_ms", "p99_ms"))
        rows = median(rows for _, rows in reports)
        print(
            f"{way}: {rate:.0f} texts/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {rows:.1f} rows a call"
        )


def _measure(
    what: Path, bodies: Sequence[bytes], connections: int, seconds: float, flags: Sequence[str]
) -> tuple[Report, float]:
    path = f"/models/{what.stem}/predict"
    raw = [drive.request_bytes(path, "application/json", body, ()) for body in bodies]
    with movies.serving(what, *flags) as port:
        drive.closed(Plan(port, raw, connections, 1.0))
        calls, rows = movies.metric(port, "executions_total"), movies.metric(port, "rows_total")
        report = drive.closed(Plan(port, raw, connections, seconds))
        calls = movies.metric(port, "executions_total") - calls
        rows = movies.metric(port, "rows_total") - rows
    return report, rows / calls


if __name__ == "__main__":
    main()
