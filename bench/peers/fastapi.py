"""FastAPI, uvicorn and onnxruntime, as a careful user writes it (`apps/fastapi_onnx.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import APPS, BYTES, Launch, Request, Tuning, json_body, read_json

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "fastapi==0.165.0", "uvicorn[standard]==0.54.0")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("json",),
    "minilm": ("json",),
    "mobilenet": ("json", "binary"),
}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {
    "tiny": {"style": "async", "workers": 2, "threads": 1},
    "minilm": {"style": "def", "workers": 2, "threads": 1},
    "mobilenet": {"style": "def", "workers": 2, "threads": 1},
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    model: [
        {"style": style, "workers": workers, "threads": threads}
        for style in ("async", "def")
        for workers, threads in ((1, 1), (1, 2), (2, 1))
    ]
    for model in VARIANTS
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {"style": "def", "workers": 2, "threads": 1},
    "batch": "it has no batching: each request is a call of its own",
}


def command(launch: Launch) -> Sequence[str]:
    """uvicorn, quiet."""
    uvicorn = [str(launch.python), "-m", "uvicorn", "fastapi_onnx:app", "--app-dir", str(APPS)]
    quiet = ["--no-access-log", "--log-level", "warning"]
    where = ["--port", str(launch.port), "--workers", str(launch.tuning["workers"])]
    return [*uvicorn, *quiet, *where]


def environment(launch: Launch) -> Mapping[str, str]:
    """What the app reads."""
    return launch.variables()


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """A JSON object, or the raw float32 image."""
    if variant == "binary":
        return Request("/predict_binary", item["image"].tobytes(), BYTES)
    return Request("/predict", json_body(item))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From a JSON object, or the raw float32 answer."""
    if variant == "binary":
        return memoryview(body).cast("f").tolist()
    return read_json(body, output)
