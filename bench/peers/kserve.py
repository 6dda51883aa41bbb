"""KServe's Python server (`apps/kserve_onnx.py`), which is FastAPI and uvicorn with V2 models."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs, v2
from bench.peers import APPS, Launch, Request, Tuning

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "kserve==0.21.0")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("v2", "v2-binary"),
    "minilm": ("v2", "v2-binary"),
    "mobilenet": ("v2", "v2-binary"),
}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {
    "tiny": {"style": "async", "workers": 2},
    "minilm": {"style": "def", "workers": 2},
    "mobilenet": {"style": "def", "workers": 2},
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
    "workers": {"style": "def", "workers": 2},
    "batch": "it has no batching: each request is a call of its own",
}


def command(launch: Launch) -> Sequence[str]:
    """The app."""
    where = ["--http_port", str(launch.port), "--workers", str(launch.tuning["workers"])]
    return [str(launch.python), str(APPS / "kserve_onnx.py"), *where]


def environment(launch: Launch) -> Mapping[str, str]:
    """What the app reads."""
    return launch.variables()


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """V2 tensors, in JSON or binary."""
    return v2.ask(model, item) if variant == "v2" else v2.ask_binary(model, item)


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From the tensor of that name."""
    return v2.read(body, output) if variant == "v2" else v2.read_binary(body, output)
