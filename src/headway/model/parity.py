"""Whether two answers agree: exactly, but for floats, which may differ by a tolerance of their dtype.

Answers are compared in their JSON form, where NaN and infinities are null: null agrees with null. A float agrees when
the difference is at most the tolerance, absolutely up to 1 and relatively above. Integers, booleans, text and encoded
files are the same or not. Pure; not here: who was asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from headway.model.call import Description
from headway.model.drift import resolved

DEFAULTS: Final[Mapping[str, float]] = MappingProxyType(
    {"float16": 1e-2, "float32": 1e-5, "float64": 1e-9, "float": 1e-5}
)
"""By dtype; `float` is Python's own, which says nothing of how exactly it was computed."""
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two answers do not agree."""

    place: str
    expected: str
    found: str
    size: float | None = None
    """Of two numbers, as it is held against the tolerance; None where none would help."""
    tolerance: float = 0.0

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        size = "" if self.size is None else f" ({self.size:.1e} > {self.tolerance:.0e})"
        return f"{where}expected {self.expected}, found {self.found}{size}"


def tolerances(given: Mapping[str, float], model: float | None = None) -> dict[str, float]:
    """The tolerance of each dtype: defaults, one for a whole model over them, then those given by dtype."""
    return {
        name: given.get(name, default if model is None else model)
        for name, default in DEFAULTS.items()
    }


def compare(
    expected: Any, found: Any, model: Description, tolerance: Mapping[str, float]
) -> list[Difference]:
    """The differences of two answers of a model, the worst first.

    Args:
        expected: an answer in its JSON form; of a stream, a list of its items.
        found: another one.
        model: whose.
        tolerance: by dtype, as `tolerances` makes it.
    """
    dtypes = _dtypes(model)
    if model.is_stream and isinstance(expected, list) and isinstance(found, list):
        pairs = _pair_lists(expected, found, "item ")
    else:
        pairs = iter([("", expected, found)])
    differences = [d for place, a, b in pairs for d in _answer(a, b, place, dtypes, tolerance)]
    return sorted(differences, key=_badness, reverse=True)


def told(differences: list[Difference]) -> str:
    """The worst difference, and how many more there are."""
    more = len(differences) - 1
    return f"{differences[0]}{f'; and {more} more' if more else ''}"


def _badness(difference: Difference) -> float:
    if difference.size is None:
        return float("inf")
    return difference.size / difference.tolerance if difference.tolerance else difference.size


def _dtypes(model: Description) -> dict[str, str]:
    """The dtype of the floats of each output by name; "" stands for an answer that is one output."""
    named = {
        spec.name: spec.dtype if spec.dtype in DEFAULTS and spec.shape else _plain(spec.dtype)
        for spec in model.outputs
    }
    return named if is_object(model) else {"": next(iter(named.values()), "float")}


def _plain(dtype: str) -> str:
    return dtype if dtype in ("float16", "float32") else "float"


def is_object(model: Description) -> bool:
    """Whether an answer is an object with an output a member, and not one output's own value."""
    names = {spec.name for spec in model.outputs}
    properties = resolved(model.output_schema, model.output_schema).get("properties", {})
    return not any(spec.is_json for spec in model.outputs) and properties.keys() == names


def _answer(
    expected: Any, found: Any, place: str, dtypes: Mapping[str, str], tolerance: Mapping[str, float]
) -> Iterator[Difference]:
    if "" in dtypes or not (isinstance(expected, dict) and isinstance(found, dict)):
        yield from _values(expected, found, place, tolerance[dtypes.get("", "float")])
        return
    for inner, a, b in _pair_members(expected, found, place):
        name = inner.rpartition(".")[2]
        yield from _values(a, b, inner, tolerance[dtypes.get(name, "float")])


_ABSENT: Final = object()


def _values(expected: Any, found: Any, place: str, tolerance: float) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for inner, a, b in _pair_members(expected, found, place):
            yield from _values(a, b, inner, tolerance)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield Difference(place, f"{len(expected)} elements", str(len(found)))
            return
        for inner, a, b in _pair_lists(expected, found, place):
            yield from _values(a, b, inner, tolerance)
    elif _is_float(expected, found):
        size = abs(expected - found) / max(1.0, abs(expected), abs(found))
        if not size <= tolerance:
            yield Difference(place, _show(expected), _show(found), size, tolerance)
    elif type(expected) is not type(found) or expected != found:
        yield _texts(expected, found, place)


def _is_float(expected: Any, found: Any) -> bool:
    kinds = {type(expected), type(found)}
    return float in kinds and kinds <= {float, int}


def _pair_members(
    expected: Mapping[str, Any], found: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*expected, *found}):
        inner = f"{place}.{name}" if place else name
        yield inner, expected.get(name, _ABSENT), found.get(name, _ABSENT)


def _pair_lists(
    expected: list[Any], found: list[Any], place: str
) -> Iterator[tuple[str, Any, Any]]:
    for i in range(max(len(expected), len(found))):
        a = expected[i] if i < len(expected) else _ABSENT
        yield f"{place}[{i}]", a, found[i] if i < len(found) else _ABSENT


def _texts(expected: Any, found: Any, place: str) -> Difference:
    """Two values that are not the same; of long texts, where they part."""
    is_text = isinstance(expected, str) and isinstance(found, str)
    if not is_text or max(len(expected), len(found)) <= _SHOWN:
        return Difference(place, _show(expected), _show(found))
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    cut = slice(max(0, at - 10), at + 20)
    return Difference(
        place,
        f"{len(expected)} characters, at {at} ...{expected[cut]!r}...",
        f"{len(found)}, ...{found[cut]!r}...",
    )


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
