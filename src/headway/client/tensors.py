"""Arrays as V2's binary tensors, and back. Pure; the only module of the client that needs numpy.

Specification: triton-inference-server/server, docs/protocol/extension_binary_data.md, on top of
kserve/open-inference-protocol, inference_rest.md.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from headway.client.arguments import encode
from headway.client.described import Plan, TensorForm
from headway.client.message import Answer
from headway.errors import BadAnswer, BadInput

LENGTH: Final = "inference-header-content-length"
_UNREADABLE: Final = (
    msgspec.DecodeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What comes of tensors that are none."""


def write_request(
    plan: Plan, given: Mapping[str, Any], *, is_single: bool
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """The body of an inference request and the headers that go with it.

    Args:
        plan: of the model.
        given: values by name: of one item, or with the rows in front.
        is_single: they are of one item.

    Raises:
        BadInput: a value does not fit its tensor.
    """
    inputs, pieces = [], []
    for name, value in given.items():
        form = plan.inputs[name]
        if form.is_json:
            shape, piece = _texts(form, value, is_single=is_single)
        else:
            array = _array(form, value)
            shape, piece = list(array.shape), array.tobytes()  # C order
        shape = [1, *shape] if is_single else shape
        told = {"binary_data_size": len(piece)}
        inputs.append(
            {"name": name, "datatype": _datatype(form.dtype), "shape": shape, "parameters": told}
        )
        pieces.append(piece)
    head = msgspec.json.encode({"inputs": inputs, "parameters": {"binary_data_output": True}})
    sent = (("content-type", "application/octet-stream"), (LENGTH, str(len(head))))
    return b"".join([head, *pieces]), sent


def read_arrays(plan: Plan, answer: Answer, url: str) -> dict[str, NDArray[Any]]:
    """The outputs of a good answer, rows in front. Raises BadAnswer."""
    try:
        size = int(answer.headers.get(LENGTH, len(answer.body)))
        head = msgspec.json.decode(answer.body[:size])
        tail = memoryview(answer.body)[size:]
        found = {}
        for output in head["outputs"]:
            form = plan.outputs[output["name"]]
            length = output.get("parameters", {}).get("binary_data_size", 0)
            found[form.name] = _read(form, output, tail[:length])
            tail = tail[length:]
    except _UNREADABLE as e:
        raise BadAnswer(url=url, found=f"tensors that can't be read ({e!r:.80})") from e
    return found


def read_single(plan: Plan, answer: Answer, url: str) -> Any:
    """The value of a good answer to one item, as JSON holds it. Raises BadAnswer."""
    arrays = read_arrays(plan, answer, url)
    if not arrays or not all(array.ndim and len(array) for array in arrays.values()):
        raise BadAnswer(url=url, found="tensors without a row")
    values = {
        name: array[0].tolist() if array.dtype != object else array[0]
        for name, array in arrays.items()
    }
    return values if plan.is_object else next(iter(values.values()))


def _array(form: TensorForm, value: Any) -> NDArray[Any]:
    """A value as an array of its tensor's type, where that loses nothing but precision."""
    dtype = np.dtype(form.dtype)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as e:  # as of a tensor on a device
        raise BadInput(where=f"`{form.name}`", expected=form.dtype, found=f"no array ({e})") from e
    try:
        if dtype.kind in "iu" and array.dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if array.size and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
                raise BadInput(where=f"`{form.name}`", expected=form.dtype, found="larger numbers")
            return array.astype(dtype)
        with np.errstate(over="raise"):
            return array.astype(dtype, casting="same_kind")
    except FloatingPointError:
        raise BadInput(
            where=f"`{form.name}`", expected=form.dtype, found="larger numbers"
        ) from None
    except (TypeError, ValueError) as e:
        found = f"{array.dtype}, which would lose more than precision"
        raise BadInput(where=f"`{form.name}`", expected=form.dtype, found=found) from e


def _texts(form: TensorForm, value: Any, *, is_single: bool) -> tuple[list[int], bytes]:
    """Elements that hold JSON, each behind its length."""
    if not is_single and not isinstance(value, Iterable):
        found = type(value).__qualname__
        raise BadInput(where=f"`{form.name}`", expected="values, one a row", found=found)
    texts = [encode(one) for one in ([value] if is_single else value)]
    data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return [] if is_single else [len(texts)], data


def _read(form: TensorForm, output: Mapping[str, Any], piece: memoryview) -> NDArray[Any]:
    shape = output["shape"]
    if not form.is_json:
        data = np.frombuffer(piece, form.dtype) if "data" not in output else output["data"]
        return np.asarray(data, form.dtype).reshape(shape)
    texts = output["data"] if "data" in output else list(_cut(piece))
    array = np.empty(len(texts), object)
    array[:] = [msgspec.json.decode(text) for text in texts]
    return array.reshape(shape)


def _cut(piece: memoryview) -> Any:
    while piece:
        size = int.from_bytes(piece[:4], "little")
        if len(piece) < 4 + size:
            raise ValueError("an element that is cut off")
        yield bytes(piece[4 : 4 + size])
        piece = piece[4 + size :]


def _datatype(dtype: str) -> str:
    """V2's name of a dtype (OIP, "Tensor Data Types")."""
    return dtype.upper().replace("FLOAT", "FP")
