"""The proof that padding changes no answer: each example is asked alone, and padded to the end of its bucket.

A model that is not told what is padding, by a mask, averages or attends over it as well. Rows of several lengths may
share a call only if that is seen not to happen; else the predictor is refused when it is loaded. Only for predictors
that declare `hw.Length`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import SignatureError
from headway.model.call import Call
from headway.model.marks import Context, Length
from headway.model.signature import Signature
from headway.model.wire import Wire

REL_TOL = 1e-3
ABS_TOL = 1e-5
MOST = 8
"""Examples that are tried."""


def check_lengths(signature: Signature) -> None:
    """See that the inputs agree about the length by which rows meet. Raises SignatureError."""
    marks = {
        p.name: mark
        for p in signature.parameters
        if isinstance(mark := getattr(p.field, "length", None), Length)
    }
    if not marks:
        return
    where, (first, *_) = signature.name, marks.values()
    for name, mark in marks.items():
        if (mark.name, mark.buckets) != (first.name, first.buckets):
            advice = "let all have one name and the same buckets"
            raise SignatureError(
                where=where, found=f"{name!r} with another hw.Length", advice=advice
            )
    for p in signature.parameters:
        if p.name not in marks and first.name in getattr(p.field, "axes", {}):
            advice = "name it by the same hw.Length, with its own pad"
            found = f"{p.name!r} with the axis {first.name!r}, not to be padded"
            raise SignatureError(where=where, found=found, advice=advice)
        if p.name in marks and not p.is_batched:
            advice = 'give it a "batch" axis'
            raise SignatureError(
                where=where, found=f"hw.Length in {p.name!r}, which is no batch", advice=advice
            )
    if signature.is_async:
        advice = "write a plain `def predict`"
        raise SignatureError(where=where, found="hw.Length in an async predictor", advice=advice)


def prove_padding(
    wire: Wire, predict: Callable[..., Any], examples: Sequence[Mapping[str, Any]]
) -> None:
    """Ask the examples alone and padded.

    Raises:
        SignatureError: an answer changes, or no example shows anything.
    """
    is_shown = False
    for example in examples[:MOST]:
        call = wire.read_json(msgspec.json.encode([example]))
        alone = wire.gather([(call, None)])
        padded = wire.stretched(alone)
        if all(_shape(padded[name]) == _shape(value) for name, value in alone.items()):
            continue
        is_shown = True
        plain, stretched = (_answer(wire, predict, call, a) for a in (alone, padded))
        if not _agree(plain, stretched):
            raise SignatureError(
                where=wire.description.name,
                found="an answer that changes when its question is padded",
                advice="give the model a mask, correct the pad, or leave hw.Length out",
            )
    if not is_shown:
        raise SignatureError(
            where=wire.description.name,
            found="hw.Length and no example that is shorter than its bucket",
            advice="add one to `examples`: it proves that padding changes no answer",
        )


def _answer(wire: Wire, predict: Callable[..., Any], call: Call, arguments: dict[str, Any]) -> Any:
    if wire.signature.context is not None:
        arguments[wire.signature.context] = Context("padding")
    result = wire.cut_back(wire.scatter(predict(**arguments), 1), call, None)
    return msgspec.json.decode(wire.write_json(result, is_single=True))


def _shape(value: Any) -> Any:
    return getattr(value, "shape", None)


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(one[k], other[k]) for k in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=REL_TOL, abs_tol=ABS_TOL)
    return bool(one == other)
