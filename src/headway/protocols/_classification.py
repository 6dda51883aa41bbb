"""V2's classification of outputs: the highest values of each row, as text. Not a protocol by itself.

Specification: triton-inference-server/server, docs/protocol/extension_classification.md, below "Classification".

An output's last axis is what is classified: [..., n] becomes BYTES [..., n] of at most as many as there are. An output
of objects of numbers, as `{"joy": 0.9, "anger": 0.1}`, has its names for labels.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput
from headway.model.call import Block, TensorSpec
from headway.protocols._tensors import write_json

_PARAMETER = "classification"
_MAX_COUNT = 2**31 - 1


def count_of(name: str, parameters: Mapping[str, Any], spec: TensorSpec) -> int:
    """How many classes are asked of an output; 0 for its values. Raises BadInput."""
    count = parameters.get(_PARAMETER, 0)
    where = f"output {name!r}: parameter {_PARAMETER!r}"
    if type(count) is not int or not 0 <= count <= _MAX_COUNT:
        raise BadInput(
            where=where, expected=f"an integer from 0 to {_MAX_COUNT}", found=repr(count)[:40]
        )
    if count and not spec.is_json and (spec.dtype == "bytes" or not (spec.shape or spec.has_rows)):
        raise BadInput(where=where, expected="an output of numbers", found=spec.dtype)
    return count


def classified(name: str, block: Block, count: int, *, is_json: bool) -> Block:
    """The highest values of an output, each as `value:index[:label]`. Raises BadInput: it has none."""
    if is_json:
        rows = [_scores(name, element) for element in write_json(block)]
        count = min([count, *(len(row) for row in rows)])
        texts = [text for row in rows for text in _top(list(row.values()), list(row), count, repr)]
        return Block("bytes", (*block.shape, count), texts)
    size = block.shape[-1] if len(block.shape) > 1 else 1
    shape = block.shape[:-1] if len(block.shape) > 1 else block.shape
    count = min(count, size)
    values = write_json(block)
    show = _shown if block.dtype in ("float16", "float32") else repr
    texts = []
    for start in range(0, math.prod(shape) * size, size or 1):
        texts += _top(values[start : start + size], (), count, show)
    return Block("bytes", (*shape, count), texts)


def _scores(name: str, element: bytes | str) -> dict[str, float]:
    try:
        return msgspec.json.decode(element, type=dict[str, float])
    except msgspec.MsgspecError:
        where = f"output {name!r}: parameter {_PARAMETER!r}"
        raise BadInput(where=where, expected="objects of numbers", found="others") from None


def _top(values: Sequence[Any], labels: Sequence[str], count: int, show: Any) -> list[str]:
    """Classification: "value:index:label", the highest first; equal ones in their order, NaN last."""
    order = sorted(range(len(values)), key=lambda i: (values[i] != values[i], -values[i]))
    tails = [f":{label}" for label in labels] or [""] * len(values)
    return [f"{show(values[i])}:{i}{tails[i]}" for i in order[:count]]


def _shown(value: float) -> str:
    """A single-precision number in as few digits as tell it."""
    if not math.isfinite(value):
        return repr(value)
    single = struct.pack("<f", value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((t for t in texts if struct.pack("<f", float(t)) == single), repr(value))
