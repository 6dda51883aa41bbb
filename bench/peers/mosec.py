"""mosec: a Rust front with Python workers and dynamic batching (`bench/apps/mosec_onnx.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import APPS, BYTES, Launch, Request, Tuning, json_body, read_json

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "mosec==0.9.8")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("json", "msgspec"),
    "minilm": ("json", "msgspec"),
    "mobilenet": ("json", "msgspec", "binary"),
}
"""json is mosec's own, the standard library's; msgspec overrides two methods of the worker."""
IS_ONE_START = False
TUNING: Mapping[str, Tuning] = {
    "tiny": {"workers": 2, "batch": 16, "wait_ms": 1},
    "minilm": {"workers": 2, "batch": 1, "wait_ms": 1},
    "mobilenet": {"workers": 2, "batch": 1, "wait_ms": 1},
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {"workers": workers, "batch": batch, "wait_ms": wait_ms}
        for workers in (1, 2)
        for batch, wait_ms in ((1, 1), (16, 1), (32, 1), (64, 1), (64, 3))
    ],
    "minilm": [{"workers": 2, "batch": batch, "wait_ms": 1} for batch in (1, 2, 4, 8)],
    "mobilenet": [{"workers": 2, "batch": batch, "wait_ms": 1} for batch in (1, 2, 4)],
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {"workers": 2, "batch": 4, "wait_ms": 10},
    "batch": {"workers": 1, "batch": 4, "wait_ms": 200},
}


def command(launch: Launch) -> Sequence[str]:
    """The app, with room for every request that the benchmark sends."""
    where = ["--address", "127.0.0.1", "--port", str(launch.port)]
    limits = ["--timeout", "30000", "--log-level", "warning"]
    return [str(launch.python), str(APPS / "mosec_onnx.py"), *where, *limits]


def environment(launch: Launch) -> Mapping[str, str]:
    """What the app reads."""
    return launch.variables()


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """A JSON object, or the raw float32 image."""
    if variant == "binary":
        return Request("/inference", item["image"].tobytes(), BYTES)
    return Request("/inference", json_body(item))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From a JSON object, or the raw float32 answer."""
    if variant == "binary":
        return memoryview(body).cast("f").tolist()
    return read_json(body, output)
