"""The arrays of one call: by their names, of the right dtype, a row at a time where a model takes no more."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from headway.model.call import TensorSpec
from headway.runtimes import texts

_OBJECT = np.dtype(object)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of an array that holds what a TensorSpec calls so."""
    return _OBJECT if name == "bytes" else np.dtype(name)


def arrange(
    inputs: Sequence[TensorSpec], arrays: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Arrays by the names of a model's inputs, in their order.

    Raises:
        TypeError: an input is missing, unknown, given twice, or of a dtype that can't be taken exactly.
    """
    placed = {spec.name: array for spec, array in zip(inputs, arrays, strict=False)}
    twice = placed.keys() & named.keys()
    if twice or len(arrays) > len(inputs) or len(placed) + len(named) != len(inputs):
        raise TypeError(
            f"expected the inputs {_listed(inputs)}; found {len(arrays)} by position and {list(named)}"
        )
    placed |= named
    if unknown := placed.keys() - {spec.name for spec in inputs}:
        raise TypeError(f"there is no input {min(unknown)!r}; expected {_listed(inputs)}")
    return {s.name: exactly(placed[s.name], numpy_dtype(s.dtype), s.name) for s in inputs}


def exactly(value: Any, dtype: np.dtype[Any], name: str) -> Any:
    """An array of a dtype, of what can be cast to it without a loss.

    Raises:
        TypeError: it can't.
    """
    if dtype is _OBJECT:
        return _strings(value)
    array = np.asarray(value)
    if array.dtype == dtype:
        return array.astype(dtype, copy=False)
    if array.dtype.kind == dtype.kind and np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype)
    raise TypeError(
        f"input {name!r}: expected {dtype}, found {array.dtype}; cast it where that is right"
    )


def row_by_row(
    run: Callable[[dict[str, Any]], dict[str, Any]], placed: Mapping[str, Any]
) -> dict[str, Any]:
    """Ask a model that takes one row a call for each row, and join its answers."""
    rows = len(next(iter(placed.values())))
    # No rows are one row less: the model must still say what its outputs look like.
    if rows == 0:
        one = {n: np.zeros((1, *a.shape[1:]), a.dtype) for n, a in placed.items()}
        return {n: a[:0] for n, a in run(one).items()}
    answers = [run({n: a[r : r + 1] for n, a in placed.items()}) for r in range(rows)]
    if rows == 1:
        return answers[0]
    return {n: np.concatenate([a[n] for a in answers]) for n in answers[0]}


def _listed(inputs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{i.name} ({i.dtype})" for i in inputs)


def _strings(value: Any) -> Any:
    array = np.asarray(value, dtype=object)
    made = np.empty(array.size, dtype=object)
    made[:] = texts(array.ravel().tolist())
    return made.reshape(array.shape)
