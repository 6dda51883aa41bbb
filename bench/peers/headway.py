"""Headway, installed from this tree, serving the model file alone, in two dialects."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs, v2
from bench.peers import APPS, Launch, Request, Tuning, json_body, read_json

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, f"-e {envs.ROOT}")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("native", "v2", "v2-binary"),
    "minilm": ("native", "v2", "v2-binary"),
    "mobilenet": ("v2", "v2-binary", "native"),
}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {"tiny": {}, "minilm": {}, "mobilenet": {}}
"""Its defaults: nothing is tuned by hand."""
CANDIDATES: Mapping[str, Sequence[Tuning]] = {}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {"workers": 2},
    "batch": {"workers": 1, "max_batch": 4, "max_rows": 4},
}
_FLAGS = ("workers", "max_batch", "max_rows")


def command(launch: Launch) -> Sequence[str]:
    """`headway serve model.onnx`; under fault a predictor around it, which can be slow."""
    headway = launch.python.parent / "headway"
    is_slow = "calls" in launch.tuning
    what = APPS / "headway" / f"{launch.model}.py" if is_slow else launch.path
    flags = [f"--{name.replace('_', '-')}" for name in launch.tuning if name in _FLAGS]
    values = [str(value) for name, value in launch.tuning.items() if name in _FLAGS]
    options = [part for pair in zip(flags, values, strict=True) for part in pair]
    return [str(headway), "serve", str(what), "--port", str(launch.port), *options]


def environment(launch: Launch) -> Mapping[str, str]:
    """No wait for a load balancer when it is told to end; what the slow predictor reads."""
    return {"HEADWAY_DRAIN_DELAY_S": "0", "PYTHONPATH": str(APPS), **launch.variables()}


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """Named inputs of one item, or the same as V2 tensors with a batch axis of 1."""
    if variant == "native":
        return Request(f"/models/{model}/predict", json_body(item))
    return v2.ask(model, item) if variant == "v2" else v2.ask_binary(model, item)


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From the object, or from the tensor of that name."""
    if variant == "native":
        answer = json.loads(body)
        return read_json(body, output) if isinstance(answer, dict) else answer
    return v2.read(body, output) if variant == "v2" else v2.read_binary(body, output)
