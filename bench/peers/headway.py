"""Headway, installed from this tree, serving the model file alone, in two dialects."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench import envs
from bench.peers import BYTES, Launch, Request, Tuning, json_body, read_json

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

_DATATYPES = {"float32": "FP32", "int64": "INT64"}


def command(launch: Launch) -> Sequence[str]:
    """`headway serve model.onnx`."""
    headway = launch.python.parent / "headway"
    return [str(headway), "serve", str(launch.path), "--port", str(launch.port)]


def environment(launch: Launch) -> Mapping[str, str]:
    """Its own settings alone; no wait for a load balancer when it is told to end."""
    return {"HEADWAY_DRAIN_DELAY_S": "0"}


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """Named inputs of one item, or the same as V2 tensors with a batch axis of 1."""
    if variant == "native":
        return Request(f"/models/{model}/predict", json_body(item))
    path = f"/v2/models/{model}/infer"
    tensors = [_tensor(name, value) for name, value in item.items()]
    if variant == "v2":
        inputs = [
            json.dumps(tensor)[:-1] + f', "data": {_flat(value)}}}'
            for tensor, value in zip(tensors, item.values(), strict=True)
        ]
        return Request(path, f'{{"inputs": [{", ".join(inputs)}]}}'.encode())
    for tensor, value in zip(tensors, item.values(), strict=True):
        tensor["parameters"] = {"binary_data_size": value.nbytes}
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(value.tobytes() for value in item.values())
    length = ("inference-header-content-length", str(len(head)))
    return Request(path, body, BYTES, [length])


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """From the object, or from the tensor of that name."""
    if variant == "native":
        answer = json.loads(body)
        return read_json(body, output) if isinstance(answer, dict) else answer
    if variant == "v2":
        return _output(json.loads(body), output)["data"]  # type: ignore[no-any-return]
    return _binary(body, output)


def _tensor(name: str, value: Any) -> dict[str, Any]:
    """A V2 input without its data."""
    return {"name": name, "shape": [1, *value.shape], "datatype": _DATATYPES[str(value.dtype)]}


def _flat(value: Any) -> str:
    """An array's numbers as a flat JSON list."""
    return "[" + ",".join(map(str, value.ravel())) + "]"


def _output(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The V2 output of that name."""
    return next(tensor for tensor in answer["outputs"] if tensor["name"] == name)


def _binary(body: bytes, output: str) -> Sequence[float]:
    """A float32 output of a binary answer, whose JSON ends where the tensors begin."""
    answer, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    at = end
    for tensor in answer["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        if tensor["name"] == output:
            return memoryview(body[at : at + size]).cast("f").tolist()
        at += size
    raise LookupError(output)
