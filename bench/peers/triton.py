"""NVIDIA Triton from the nvidia-pytriton wheel, which carries its Python backend and no other.

The model (`apps/triton_model.py`) runs onnxruntime in as many instances as there are workers.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import envs, v2
from bench.peers import APPS, Launch, Request, Tuning

REQUIRES = ("numpy==1.26.4", envs.ONNXRUNTIME, "nvidia-pytriton==0.7.0")
"""The wheel takes no later numpy."""
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("v2", "v2-binary"),
    "minilm": ("v2", "v2-binary"),
    "mobilenet": ("v2-binary", "v2"),
}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {
    "tiny": {"workers": 1, "batch": 16, "wait_us": 0, "http_threads": 2},
    "minilm": {"workers": 2, "batch": 4, "wait_us": 0, "http_threads": 8},
    "mobilenet": {"workers": 2, "batch": 1, "wait_us": 0, "http_threads": 8},
}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {"workers": workers, "batch": batch, "wait_us": wait_us, "http_threads": threads}
        for workers in (1, 2)
        for batch, wait_us in ((1, 0), (16, 0), (64, 0))
        for threads in (2, 8)
    ],
    "minilm": [
        {"workers": 2, "batch": batch, "wait_us": 0, "http_threads": 8} for batch in (1, 4, 8)
    ],
    "mobilenet": [
        {"workers": 2, "batch": batch, "wait_us": 0, "http_threads": 8} for batch in (1, 4)
    ],
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {"workers": 2, "batch": 4, "wait_us": 0, "http_threads": 8},
    "batch": {"workers": 1, "batch": 4, "wait_us": 0, "http_threads": 8},
}

_TENSORS = {
    "tiny": (
        {"x": ("FP32", [30])},
        {"label": ("INT64", [1]), "probabilities": ("FP32", [2])},
    ),
    "minilm": (
        {"input_ids": ("INT64", [-1]), "attention_mask": ("INT64", [-1])},
        {"sentence": ("FP32", [384])},
    ),
    "mobilenet": ({"image": ("FP32", [3, 224, 224])}, {"logits": ("FP32", [1000])}),
}
"""Inputs and outputs of each model: type and shape without the batch axis."""


def command(launch: Launch) -> Sequence[str]:
    """tritonserver on a model repository that is written here, into the cache."""
    wheel = envs.site_packages("triton")
    repository = envs.cache("triton", "repository")
    _write(launch, repository / launch.model)
    server = wheel / "pytriton" / "tritonserver"
    _place_stub(server)
    options = {
        "model-repository": repository,
        "backend-directory": server / "backends",
        "http-address": "127.0.0.1",
        "http-port": launch.port,
        "http-thread-count": launch.tuning["http_threads"],
        "allow-grpc": "true" if launch.grpc_port else "false",
        "grpc-address": "127.0.0.1",
        "grpc-port": launch.grpc_port or launch.port + 1,
        "allow-metrics": "false",
        "model-control-mode": "explicit",
        "load-model": launch.model,
        "log-info": "false",
    }
    return [str(server / "bin" / "tritonserver"), *(f"--{k}={v}" for k, v in options.items())]


def environment(launch: Launch) -> Mapping[str, str]:
    """Where its libraries and its interpreter are, and what the app reads."""
    return {
        "LD_LIBRARY_PATH": str(envs.site_packages("triton") / "nvidia_pytriton.libs"),
        "PATH": f"{launch.python.parent}:/usr/bin:/bin",
        **launch.variables(),
    }


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """V2 tensors, in JSON or binary."""
    return v2.ask(model, item) if variant == "v2" else v2.ask_binary(model, item)


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From the tensor of that name."""
    return v2.read(body, output) if variant == "v2" else v2.read_binary(body, output)


def _place_stub(server: Path) -> None:
    """Copy the stub for this Python to where the backend looks for it, as pytriton does."""
    major_minor = envs.site_packages("triton").parent.name.removeprefix("python")
    name = "triton_python_backend_stub"
    target = server / "backends" / "python" / name
    if not target.exists():
        shutil.copy(server / "python_backend_stubs" / major_minor / name, target)


def _write(launch: Launch, folder: Path) -> None:
    """The model's folder: its configuration and its code."""
    code = folder / "1" / "model.py"
    code.parent.mkdir(parents=True, exist_ok=True)
    paths = [str(APPS), str(envs.site_packages("triton"))]
    lines = ["import sys", f"sys.path[:0] = {paths}", "from triton_model import TritonPythonModel"]
    code.write_text("\n".join(lines) + "\n")
    inputs, outputs = _TENSORS[launch.model]
    batch = int(launch.tuning["batch"])
    lines = ['backend: "python"', f"max_batch_size: {batch}"]
    lines += [f"input {{ {_tensor(name, *kind)} }}" for name, kind in inputs.items()]
    lines += [f"output {{ {_tensor(name, *kind)} }}" for name, kind in outputs.items()]
    lines.append(f"instance_group {{ kind: KIND_CPU count: {launch.tuning['workers']} }}")
    if batch > 1:
        wait = launch.tuning["wait_us"]
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {wait} }}")
    (folder / "config.pbtxt").write_text("\n".join(lines) + "\n")


def _tensor(name: str, datatype: str, dims: Sequence[int]) -> str:
    """A tensor of the configuration."""
    return f'name: "{name}" data_type: TYPE_{datatype} dims: {list(dims)}'
