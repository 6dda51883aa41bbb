"""Open Inference Protocol V2 as a client of it: one item asked as JSON or as binary tensors.

https://github.com/kserve/open-inference-protocol and, for the binary form, Triton's
`protocol/extension_binary_data.md`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers import BYTES, Request

_DATATYPES = {"float32": "FP32", "int64": "INT64"}


def ask(model: str, item: Mapping[str, Any], outputs: Sequence[str] = ()) -> Request:
    """One item as V2 tensors in JSON, with a batch axis of 1.

    Args:
        model: Its name in the path.
        item: Arrays by input name, without the batch axis.
        outputs: The only outputs that are wanted; none named is all of them.
    """
    inputs = [
        json.dumps(_tensor(name, value))[:-1] + f', "data": {_flat(value)}}}'
        for name, value in item.items()
    ]
    wanted = f', "outputs": {json.dumps([{"name": name} for name in outputs])}' if outputs else ""
    return Request(_path(model), f'{{"inputs": [{", ".join(inputs)}]{wanted}}}'.encode())


def ask_binary(model: str, item: Mapping[str, Any]) -> Request:
    """The same with the tensors behind a JSON head, and binary tensors wanted back."""
    tensors = [_tensor(name, value) for name, value in item.items()]
    for tensor, value in zip(tensors, item.values(), strict=True):
        tensor["parameters"] = {"binary_data_size": value.nbytes}
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(value.tobytes() for value in item.values())
    length = ("inference-header-content-length", str(len(head)))
    return Request(_path(model), body, BYTES, [length])


def read(body: bytes, output: str) -> Sequence[float]:
    """The output of that name in a JSON answer, flat."""
    found = next(t for t in json.loads(body)["outputs"] if t["name"] == output)
    return found["data"]  # type: ignore[no-any-return]


def read_binary(body: bytes, output: str) -> Sequence[float]:
    """A float32 output of a binary answer, whose JSON ends where the tensors begin."""
    answer, at = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    for tensor in answer["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        if tensor["name"] == output:
            return memoryview(body[at : at + size]).cast("f").tolist()
        at += size
    raise LookupError(output)


def _path(model: str) -> str:
    return f"/v2/models/{model}/infer"


def _tensor(name: str, value: Any) -> dict[str, Any]:
    """A V2 input without its data."""
    return {"name": name, "shape": [1, *value.shape], "datatype": _DATATYPES[str(value.dtype)]}


def _flat(value: Any) -> str:
    """An array's numbers as a flat JSON list."""
    return "[" + ",".join(map(str, value.ravel())) + "]"
