"""LitServe (`apps/litserve_onnx.py`); JSON alone: it answers raw bytes with 500."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import APPS, Launch, Request, Tuning, json_body, read_json

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "litserve==0.2.19")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("json",),
    "minilm": ("json",),
    "mobilenet": ("json",),
}
IS_ONE_START = True
_PLAIN: Tuning = {"workers": 2, "fronts": 1, "batch": 1, "wait_s": "0", "fast_queue": 1}
TUNING: Mapping[str, Tuning] = {
    "tiny": {**_PLAIN, "fronts": 2},
    "minilm": _PLAIN,
    "mobilenet": _PLAIN,
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {"workers": workers, "fronts": fronts, "batch": b, "wait_s": wait_s, "fast_queue": fast}
        for workers, fronts in ((1, 1), (2, 1), (2, 2))
        for b, wait_s in ((1, "0"), (16, "0.001"))
        for fast in (0, 1)
    ],
    **{
        model: [
            {**_PLAIN, "batch": b, "wait_s": w, "fronts": f, "fast_queue": q}
            for b, w in ((1, "0"), (4, "0.001"))
            for f in (1, 2)
            for q in (0, 1)
        ]
        for model in ("minilm", "mobilenet")
    },
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {**_PLAIN, "batch": 4, "wait_s": "0.01"},
    "batch": {**_PLAIN, "workers": 1, "batch": 4, "wait_s": "0.2"},
}


def command(launch: Launch) -> Sequence[str]:
    """The app."""
    return [str(launch.python), str(APPS / "litserve_onnx.py"), str(launch.port)]


def environment(launch: Launch) -> Mapping[str, str]:
    """What the app reads."""
    return launch.variables()


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """A JSON object."""
    return Request("/predict", json_body(item))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From a JSON object."""
    return read_json(body, output)
