"""The proof that the first axis of a model file is one of rows: rule 14 of the data path.

A free first dimension may as well be time. Rows of different callers may share a call only if
different rows, run stacked and apart, agree: in pairs, in threes, in both orders, for every output.
What could not be shown is not proven, and the reason is said in words. Not here: who calls the
model, or what follows from a refusal.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from headway.model.call import Shape, TensorSpec

_SEEDS = tuple(range(14, 22))
"""Drawn one after another while the answers show nothing: a saturated classifier often says 0 or 1."""
_ORDERS = ((0, 1), (0, 1, 2), (2, 1, 0))
_LENGTHS = (8, 32, 1, 224)
"""Tried for all free dimensions at once: what the file calls them is not known here."""
_CEILINGS = (2, 3, 256)
"""Of integers: some are indices of small tables, others bytes or counts."""
_SCALES = (1.0, 0.01, 100.0)
_MOST_ELEMENTS = 20_000_000
"""A file may ask for any size: nothing larger than this is made for a trial."""
_WORDS = (
    "the",
    "good",
    "bad",
    "movie",
    "was",
    "great",
    "terrible",
    "not",
    "buy",
    "free",
    "de",
    "und",
)
_RTOL = {"float16": 1e-2}
_ATOL = {"float16": 1e-3}


class Runnable(Protocol):
    """What is asked of a model here: a structural part of the runtimes' own contract."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What it takes."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What it answers."""
        ...

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run it once."""
        ...


@dataclass(frozen=True, slots=True)
class _Trial:
    """One way to fill what the signature leaves open."""

    length: int
    """Of every free dimension."""
    ceiling: int
    """Integers are below this."""
    scale: float
    """Of random floats."""


class _Inconclusive(Exception):
    """A trial says nothing; another might."""


class _Uniform(_Inconclusive):
    """All answers were the same, so a mix-up would not have been seen; other rows may tell."""


def prove_rows(model: Runnable) -> str | None:
    """Find out whether rows may be stacked in one call of a model.

    A model with an attribute `words` (texts that it is known to tell apart) is asked with those.

    Returns:
        None where it is proven; else why not.
    """
    fixed = [s.name for s in (*model.inputs, *model.outputs) if not s.has_rows]
    if fixed:
        return f"the first dimension of {fixed[0]!r} is fixed"
    if not model.inputs or not model.outputs:
        return "the file does not tell its inputs and outputs"
    reason = ""
    trials = list(_trials(model.inputs))
    for seed in _SEEDS:
        uniform = []
        for trial in trials:
            try:
                return _run_trial(model, trial, seed)
            except _Inconclusive as e:
                reason = reason or str(e)
                if isinstance(e, _Uniform):
                    uniform.append(trial)
        trials = uniform
    return reason


def without_rows(spec: TensorSpec) -> TensorSpec:
    """The spec of a tensor whose rows were not proven: their axis joins the shape, free."""
    return replace(spec, shape=(-1, *spec.shape), has_rows=False) if spec.has_rows else spec


def _trials(inputs: Sequence[TensorSpec]) -> Iterator[_Trial]:
    """What is open is varied, and only that: the likely first."""
    lengths = _LENGTHS if any(-1 in s.shape for s in inputs) else _LENGTHS[:1]
    ceilings = _CEILINGS if any("int" in s.dtype for s in inputs) else _CEILINGS[:1]
    scales = _SCALES if any("float" in s.dtype for s in inputs) else _SCALES[:1]
    for scale, length, ceiling in itertools.product(scales, lengths, ceilings):
        yield _Trial(length, ceiling, scale)


def _run_trial(model: Runnable, trial: _Trial, seed: int) -> str | None:
    rng = np.random.default_rng(seed)
    words = tuple(getattr(model, "words", ())) or _WORDS
    rows = {s.name: _three_rows(s, trial, words, rng) for s in model.inputs}
    alone = [_answers(model, rows, (r,)) for r in range(3)]
    for answers in alone:
        if reason := _shape_problem(answers, 1):
            return reason
    for order in _ORDERS:
        stacked = _answers(model, rows, order)
        if reason := _shape_problem(stacked, len(order)):
            return reason
        if reason := _difference(stacked, alone, order):
            if _depends_on_neighbours(model, rows):
                return reason
            raise _Inconclusive("its answers change with the number of rows")
    if not _has_variety(alone):
        raise _Uniform("its answers to random rows are all the same, so they show nothing")
    return None


def _three_rows(
    spec: TensorSpec, trial: _Trial, words: Sequence[str], rng: np.random.Generator
) -> Any:
    """Three rows, different in their first element where the type allows it."""
    shape: Shape = (3, *(trial.length if d == -1 else d for d in spec.shape))
    if math.prod(shape) > _MOST_ELEMENTS:
        raise _Inconclusive(f"input {spec.name!r} is too large to try")
    if spec.dtype == "bytes":
        return _random_texts(shape, words, rng)
    if spec.dtype.startswith("float"):
        return (rng.standard_normal(shape) * trial.scale).astype(spec.dtype)
    largest = 1 if spec.dtype == "bool" else int(np.iinfo(spec.dtype).max)
    ceiling = min(trial.ceiling, largest + 1)
    values = rng.integers(0, ceiling, shape)
    if values.size:
        values.reshape(3, -1)[:, 0] = np.arange(3) % ceiling
    return values.astype(spec.dtype)


def _random_texts(shape: Shape, words: Sequence[str], rng: np.random.Generator) -> Any:
    made = np.empty(math.prod(shape), dtype=object)
    made[:] = [" ".join(rng.choice(words, size=5)) for _ in range(made.size)]
    return made.reshape(shape)


def _answers(model: Runnable, rows: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
    try:
        answer = model(**{name: values[list(order)] for name, values in rows.items()})
    # A library's own errors have no class in common; the operator learns of this one as the reason.
    except Exception as e:
        if len(order) > 1:
            return {"": f"it fails on {len(order)} rows at once: {e}"}
        raise _Inconclusive(f"it could not be asked with random rows: {e}") from e
    if isinstance(answer, dict):
        return {name: np.asarray(a) for name, a in answer.items()}
    return {model.outputs[0].name: np.asarray(answer)}


def _shape_problem(answers: Mapping[str, Any], rows: int) -> str:
    for name, answer in answers.items():
        if isinstance(answer, str):
            return answer
        if answer.shape[:1] != (rows,):
            return f"output {name!r} has shape {list(answer.shape)} for {rows} rows"
    return ""


def _difference(
    stacked: Mapping[str, Any], alone: Sequence[Mapping[str, Any]], order: Sequence[int]
) -> str:
    for name, answer in stacked.items():
        for place, row in enumerate(order):
            if not _agree(answer[place], alone[row][name][0]):
                return f"output {name!r} of a row changes with the rows beside it"
    return ""


def _depends_on_neighbours(model: Runnable, rows: Mapping[str, Any]) -> bool:
    """Tell mixing from rounding, which some models blow up on inputs that nature never shows them.

    How many rows there are may change the order of a sum; what they hold may change nothing.
    """
    here, other, third = (_answers(model, rows, order) for order in ((0, 1), (0, 2), (2, 1)))
    return any(
        not (_agree(here[n][0], other[n][0]) and _agree(here[n][1], third[n][1])) for n in here
    )


def _agree(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    # Sums of large terms may end near zero, so the absolute tolerance grows with the row.
    finite = np.abs(other[np.isfinite(other)])
    atol = _ATOL.get(str(one.dtype), 1e-5) * max(1.0, float(finite.max(initial=0.0)))
    return bool(
        np.allclose(one, other, rtol=_RTOL.get(str(one.dtype), 1e-3), atol=atol, equal_nan=True)
    )


def _has_variety(alone: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a mix-up would have been seen: some output differs from row to row."""
    first, second, third = alone
    return any(
        not _agree(first[n][0], second[n][0]) and not _agree(second[n][0], third[n][0])
        for n in first
    )
