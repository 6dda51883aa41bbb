"""TensorFlow Serving's classify and regress: examples of features, labels with scores, and numbers. Not a protocol.

Specification: tensorflow/serving (2026-07), tensorflow_serving/g3doc/api_rest.md, "Classify and Regress API". A
feature is a scalar or a flat list; for an input of one value, a list of one is that value. Which answers are labels
with scores: an object of numbers by label; objects of `label` and `score`, or pairs of them; numbers, whose labels
are empty then; and a label alone, whose score is 0 then, as there.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from headway.errors import BadInput, NotOffered
from headway.model.call import Call, Description
from headway.model.wording import told
from headway.protocols import Wire
from headway.protocols._instances import read_rows, read_shared

_examples = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_cells = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_examples(wire: Wire, examples: bytes, context: bytes) -> Call:
    """Read examples by feature, and the features that they all have. Raises BadInput."""
    scalars = _scalars(wire.description)
    try:
        rows = [_plain(row, scalars) for row in _examples.decode(examples)]
        shared = _plain({n: msgspec.Raw(v) for n, v in read_shared(context).items()}, scalars)
    except _UNREADABLE as e:
        raise BadInput(f"examples: {told(e, examples)}") from e
    return read_rows(
        wire, msgspec.json.encode(rows), {name: bytes(value) for name, value in shared.items()}
    )


def _scalars(model: Description) -> frozenset[str]:
    return frozenset(spec.name for spec in model.inputs if not spec.shape and not spec.is_json)


def _plain(row: Mapping[str, msgspec.Raw], scalars: frozenset[str]) -> dict[str, msgspec.Raw]:
    return {name: _one(value) if name in scalars else value for name, value in row.items()}


def _one(value: msgspec.Raw) -> msgspec.Raw:
    if bytes(value)[:1] != b"[":
        return value
    cells = _cells.decode(value)
    return cells[0] if len(cells) == 1 else value


def pairs_of(answer: Any) -> list[list[Any]]:
    """An answer as labels with scores. Raises NotOffered: it is none."""
    if isinstance(answer, str):
        return [[answer, 0.0]]
    if isinstance(answer, dict) and {"label", "score"} <= answer.keys():
        answer = [answer]
    if isinstance(answer, dict) and all(map(_is_number, answer.values())):
        return [[label, score] for label, score in answer.items()]
    if isinstance(answer, list):
        found = [_pair(each) for each in answer]
        if None not in found:
            return [pair for pair in found if pair is not None]
    raise NotOffered(what="classify", reason="the model's answers are no labels with scores")


def _pair(value: Any) -> list[Any] | None:
    if _is_number(value):
        return ["", value]
    if isinstance(value, dict) and {"label", "score"} <= value.keys():
        value = [value["label"], value["score"]]
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        return value if _is_number(value[1]) else None
    return None


def value_of(answer: Any) -> float:
    """An answer as a number: it is one, or a list or an object of one. Raises NotOffered."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list) and len(answer) == 1:
        (answer,) = answer
    if not _is_number(answer):
        raise NotOffered(what="regress", reason="the model's answers are not a number each")
    return answer  # type: ignore[no-any-return]


def _is_number(value: Any) -> bool:
    """NaN is one, and is null in strict JSON."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
