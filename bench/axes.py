"""Along what the cost of a request is measured: the axes, their points, and what is served and asked at each.

One axis moves at a time; the rest is as `headway serve` has it by default. Everything here is a table
or makes files; `growth.py` runs it.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench import envs, models, peers
from bench.models import MODELS

CONNECTIONS = 64
"""Where the axis is another one."""
BODY_CONNECTIONS = 4
"""Large bodies wait in the queue, and 256 MiB of them at most."""
FEATURES = 30


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked at a point, and what is right."""

    requests: Sequence[peers.Request]
    read: Callable[[bytes], Sequence[float]]
    expected: Sequence[Sequence[float]]
    tolerance: float = 1e-3


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: a series of an axis at one place."""

    axis: str
    series: str
    x: float
    connections: int
    ask: Callable[[], Ask]


@dataclass(frozen=True, slots=True)
class Start:
    """One running server, and the points that are measured on it."""

    name: str
    source: Callable[[], Path]
    points: Sequence[Point]
    flags: Mapping[str, str] = field(default_factory=dict)
    who: str = "headway"
    rounds: int = 2


def tiny() -> Ask:
    """One row of the tiny model as JSON."""
    peer = peers.open_peer("headway")
    model = MODELS["tiny"]
    requests = [peer.ask("tiny", "native", item) for item in model.items()]
    expected = [answer.tolist() for answer in models.answers(model)]
    return Ask(requests, lambda body: peer.read("tiny", "native", body, model.output), expected)


def echoed() -> Ask:
    """The same bodies, which an echo gives back."""
    requests = [peers.Request("/", request.body) for request in tiny().requests]
    return Ask(requests, list, [list(request.body) for request in requests])


def one_of(count: int, names: Sequence[int]) -> Callable[[], Ask]:
    """The first row of the tiny set, asked of some of `count` models, each of which adds its own number."""

    def ask() -> Ask:
        row = [round(0.1 * i, 1) for i in range(FEATURES)]
        body = json.dumps({"x": row}).encode()
        requests = [peers.Request(f"/models/m{n:03}/predict", body) for n in names]
        return Ask(requests, _native, [[sum(row) + n] for n in names])

    return ask


def sized(size: int, *, is_binary: bool) -> Callable[[], Ask]:
    """A body of about so many bytes: a row of float32, in V2 JSON or as a binary tensor."""

    def ask() -> Ask:
        values = _values(size, is_binary=is_binary)
        tensor = {"name": "x", "shape": [1, len(values)], "datatype": "FP32"}
        path = "/v2/models/mean/infer"
        expected = [[float(values.mean(dtype=np.float64))]]
        if not is_binary:
            head = json.dumps({"inputs": [tensor]}, separators=(",", ":"))[:-3]
            numbers = ",".join(map(str, values))
            body = f'{head},"data":[{numbers}]}}]}}'.encode()
            return Ask([peers.Request(path, body)], _v2, expected)
        tensor["parameters"] = {"binary_data_size": values.nbytes}
        head = json.dumps({"inputs": [tensor]}, separators=(",", ":"))
        length = (("inference-header-content-length", str(len(head))),)
        body = head.encode() + values.tobytes()
        return Ask([peers.Request(path, body, peers.BYTES, length)], _v2, expected)

    return ask


def _values(size: int, *, is_binary: bool) -> NDArray[np.float32]:
    """As many numbers with three decimals as fit beside the head of a body of this size."""
    count = max(4, (size - 110) // (4 if is_binary else 6))
    return np.random.default_rng(size).uniform(0.1, 0.999, count).round(3).astype(np.float32)


def _native(body: bytes) -> Sequence[float]:
    found: Sequence[float] = np.ravel(json.loads(body)).tolist()
    return found


def _v2(body: bytes) -> Sequence[float]:
    found: Sequence[float] = json.loads(body)["outputs"][0]["data"]
    return found


# What is served


def many(count: int) -> Callable[[], Path]:
    """A folder with so many models: x: float32[batch, 30] -> y: float32[batch], its sum and the model's number."""

    def write() -> Path:
        folder = envs.cache("growth", f"models-{count}", "headway.yaml").parent
        lines = ["models:"]
        for n in range(count):
            path = folder / f"m{n:03}.onnx"
            if not path.exists():
                _write(path, lambda aside, n=n: _write_sum(aside, n))  # type: ignore[misc]
            lines.append(f"  m{n:03}: {{predictor: {path.name}}}")
        (folder / "headway.yaml").write_text("\n".join(lines) + "\n")
        return folder

    return write


def mean() -> Path:
    """x: float32[batch, n], raw -> y: float32[batch], the mean of each row."""
    path = envs.cache("growth", "mean.onnx")
    if not path.exists():
        _write(path, _write_mean)
    return path


def _write(path: Path, write: Callable[[Path], None]) -> None:
    aside = path.with_suffix(".new")
    write(aside)
    os.replace(aside, path)


def _write_sum(path: Path, number: int) -> None:
    constants = {"axes": np.array([1], np.int64), "number": np.array(number, np.float32)}
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "number"], ["y"]),
    ]
    _save(path, nodes, constants, FEATURES)


def _write_mean(path: Path) -> None:
    _save(path, [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)], {}, "n")


def _save(
    path: Path, nodes: list[object], constants: dict[str, NDArray[np.generic]], length: int | str
) -> None:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", length])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    models.save(path, helper.make_graph(nodes, "growth", inputs, outputs, weights))


# The table

PROCESSES = (1, 2, 4)
CLIENTS = (1, 4, 16, 64, 256, 1000)
COUNTS = (1, 10, 30, 100)
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 64_000_000)
AXES = ("processes", "connections", "models", "bodies")


def starts(axis: str) -> Iterator[Start]:
    """The servers of an axis, with their points."""
    if axis == "processes":
        yield from _processes()
    elif axis == "connections":
        for who, ask in (("headway", tiny), ("echo", echoed)):
            points = [Point(axis, who, n, n, ask) for n in CLIENTS]
            yield Start(who, _tiny_path, points, who=who)
    elif axis == "models":
        for count in COUNTS:
            asked = {"all of them": range(count), "one of them": [count - 1]}
            points = [
                Point(axis, name, count, CONNECTIONS, one_of(count, list(names)))
                for name, names in asked.items()
            ]
            yield Start(f"{count} models", many(count), points, rounds=1)
    else:
        points = [
            Point(axis, name, size, BODY_CONNECTIONS, sized(size, is_binary=name == "binary"))
            for size in SIZES
            for name in ("binary", "JSON")
        ]
        yield Start("bodies", mean, points)


def _processes() -> Iterator[Start]:
    for gateways in PROCESSES:
        for workers in PROCESSES:
            series = f"{gateways} gateway{'s' * (gateways > 1)}"
            point = Point("processes", series, workers, CONNECTIONS, tiny)
            flags = {"--gateways": str(gateways), "--workers": str(workers)}
            yield Start(f"{series}, {workers} workers", _tiny_path, [point], flags)


def _tiny_path() -> Path:
    return MODELS["tiny"].path
