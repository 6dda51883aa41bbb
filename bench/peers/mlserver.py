"""MLServer with a runtime of the user's own (`apps/mlserver_onnx.py`); V2 in JSON.

It answers binary tensors with 500. Later uvloops end its workers at their start.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs, v2
from bench.peers import APPS, Launch, Request, Tuning
from bench.process import free_port

REQUIRES = ("numpy==2.4.6", envs.ONNXRUNTIME, "uvloop==0.21.0", "mlserver==1.7.1")
VARIANTS: Mapping[str, Sequence[str]] = {"tiny": ("v2",), "minilm": ("v2",), "mobilenet": ("v2",)}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {
    "tiny": {"workers": 0, "batch": 0, "wait_s": "0"},
    "minilm": {"workers": 1, "batch": 4, "wait_s": "0.001", "threads": 2},
    "mobilenet": {"workers": 2, "batch": 0, "wait_s": "0"},
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {"workers": workers, "batch": batch, "wait_s": wait_s}
        for workers in (0, 1, 2)
        for batch, wait_s in ((0, "0"), (16, "0.001"), (64, "0.001"))
    ],
    **{
        model: [
            {"workers": workers, "batch": batch, "wait_s": wait_s, "threads": threads}
            for workers, threads in ((0, 2), (1, 2), (2, 1))
            for batch, wait_s in ((0, "0"), (4, "0.001"))
        ]
        for model in ("minilm", "mobilenet")
    },
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {"workers": 2, "batch": 4, "wait_s": "0.01"},
    "batch": {"workers": 1, "batch": 4, "wait_s": "0.2"},
}


def command(launch: Launch) -> Sequence[str]:
    """`mlserver start` in a folder without model settings: they are in the environment."""
    folder = envs.cache("mlserver", "empty", "x").parent
    return [str(launch.python.parent / "mlserver"), "start", str(folder)]


def environment(launch: Launch) -> Mapping[str, str]:
    """Its settings of server and model, and what the app reads."""
    server = {
        "host": "127.0.0.1",
        "http_port": launch.port,
        "grpc_port": launch.grpc_port or free_port(),
        "metrics_port": free_port(),
        "metrics_dir": envs.cache("mlserver", "metrics"),
        "environments_dir": envs.cache("mlserver", "environments"),
        "parallel_workers": launch.tuning["workers"],
        "debug": "false",
    }
    model = {
        "name": launch.model,
        "implementation": "mlserver_onnx.Onnx",
        "max_batch_size": launch.tuning["batch"],
        "max_batch_time": launch.tuning["wait_s"],
    }
    settings = {f"MLSERVER_{name.upper()}": str(value) for name, value in server.items()}
    settings |= {f"MLSERVER_MODEL_{name.upper()}": str(value) for name, value in model.items()}
    return {"PYTHONPATH": str(APPS), **settings, **launch.variables()}


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """V2 tensors in JSON."""
    return v2.ask(model, item)


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From the tensor of that name."""
    return v2.read(body, output)
