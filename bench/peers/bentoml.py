"""BentoML (`apps/bentoml_onnx.py`); arrays as JSON. It has no binary form for them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import APPS, Launch, Request, Tuning, json_body

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "bentoml==1.4.39")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("json",),
    "minilm": ("json",),
    "mobilenet": ("json",),
}
IS_ONE_START = True
_PLAIN: Tuning = {"workers": 2, "service_threads": 1, "batch": 1, "latency_ms": 30000}
TUNING: Mapping[str, Tuning] = {
    "tiny": {**_PLAIN, "batch": 16},
    "minilm": {**_PLAIN, "service_threads": 4},
    "mobilenet": _PLAIN,
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {**_PLAIN, "workers": workers, "service_threads": threads, "batch": batch}
        for workers, threads in ((1, 4), (2, 1), (2, 4))
        for batch in (1, 16)
    ],
    "minilm": [{**_PLAIN, "workers": w, "service_threads": t} for w, t in ((1, 2), (2, 1), (2, 4))],
    "mobilenet": [
        {**_PLAIN, "workers": w, "service_threads": t, "batch": b}
        for w, t in ((1, 2), (2, 1), (2, 4))
        for b in (1, 4)
    ],
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {**_PLAIN, "batch": 4},
    "batch": {**_PLAIN, "workers": 1, "batch": 4},
}


def command(launch: Launch) -> Sequence[str]:
    """`bentoml serve` without reloading or development mode."""
    bentoml = str(launch.python.parent / "bentoml")
    where = ["--host", "127.0.0.1", "--port", str(launch.port), "--working-dir", str(APPS)]
    return [bentoml, "serve", "bentoml_onnx:Service", *where]


def environment(launch: Launch) -> Mapping[str, str]:
    """Its own folder, no reports to its makers, and what the app reads."""
    return {
        "BENTOML_HOME": str(envs.cache("bentoml", "home")),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{launch.python.parent}:/usr/bin:/bin",
        **launch.variables(),
    }


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """A JSON object of arrays with a batch axis of 1."""
    return Request("/predict", json_body({name: value[None] for name, value in item.items()}))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """The only row of the only output."""
    found: Sequence[float] = json.loads(body)[0]
    return found
