"""What protocols, the wire table and the engine hand to each other. Plain data: no numpy, no I/O.

What is made for each request is a msgspec Struct, which is made three times faster than a dataclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from headway.errors import HeadwayError, NotOffered

Shape = tuple[int, ...]
EXPLAIN = "explain"
"""The op of the other question that a model may be asked."""


class Block(Struct):
    """One tensor as a protocol read it, or will write it.

    `dtype` is numpy's name ("float32", "int64", "bool", ...) or "bytes" for V2's BYTES; the rows are the first
    axis of `shape`. `data` is a flat buffer (little-endian, C order) or a flat list of Python values; for "bytes"
    a list of `bytes` or `str`. `is_json` says that the numbers were read from JSON, so that range and type are
    still to be checked against the dtype; a buffer is then a memoryview whose own format ("d", "q" or "Q", eight
    bytes an element) tells what it holds, not `dtype`.
    """

    dtype: str
    shape: Shape
    data: Any
    is_json: bool = False
    is_typed: bool = False
    """Its list has been read as what the dtype asks for, and is as long as the shape says."""


class Call(Struct, eq=False):
    """One decoded request: `rows` items, each parameter a column with one value a row.

    A column is a list of `rows` Python values, already checked against the parameter's type, or a Block or
    array whose first axis is `rows`. Parameters that the caller left out are filled with their defaults.
    """

    rows: int
    columns: dict[str, Any]
    is_single: bool = False
    """The caller asked about one item and wants one answer, not a list of one."""
    memo: Any = None
    """What the protocol wants to find again when it encodes (a request id, the wanted outputs)."""
    timeout_s: float | None = None
    """A time-out that the body asked for; it can only shorten the request's deadline."""
    worked_s: float = 0.0
    """How long the model worked on it: that of each of its batches, whole; set by the engine."""
    needs_model: bool = True
    """False where the request is about the model, and its protocol answers it: there are no rows."""


class Result(Struct):
    """The answer to one Call: in the form that the signature's output has, all rows in the caller's order.

    `values` is a list (one Python value a row), an array with the rows in front, or a dict of such arrays.
    A row that could not be answered has its error in `errors`; its value means nothing then.
    """

    values: Any
    errors: dict[int, HeadwayError] = {}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """How one input or output looks to a dialect that speaks tensors.

    `dtype` as in Block. `shape` is without the rows' axis; -1 is a free dimension. `is_json` marks a BYTES
    tensor whose elements hold JSON. `has_rows` is False only for a model file whose first axis was not proven
    to be one of rows (then `shape` is the whole shape).
    """

    name: str
    dtype: str
    shape: Shape
    is_json: bool = False
    is_optional: bool = False
    has_rows: bool = True


@dataclass(frozen=True, slots=True)
class Description:
    """All that a gateway knows of a model: plain data, sent by the worker that loaded it."""

    name: str
    version: str
    doc: str
    platform: str
    """V2's platform string: "headway_python", "onnx_onnxv1", "sklearn_skops", ..."""
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    input_schema: Mapping[str, Any]
    """JSON Schema of one item: an object of the named parameters; `$defs` inlined or beside under "$defs"."""
    output_schema: Mapping[str, Any]
    """JSON Schema of one answer."""
    examples: Sequence[Mapping[str, Any]] = ()
    """Items in their JSON form."""
    is_batched: bool = True
    """A whole batch reaches predict at once."""
    is_stream: bool = False
    fed: str = ""
    """The input that is a stream of items, which a caller may send while it is answered."""
    is_idempotent: bool = True
    headers: Sequence[str] = ()
    """Lower-case request headers that the predictor's Context asks for."""
    media_types: Sequence[str] = ()
    """Content types, besides JSON, of a bare body that feeds the only required input."""
    answer_types: Sequence[str] = ()
    """Content types, besides JSON, that an answer can be written in where a caller accepts one."""
    is_deterministic: bool = True
    explain: "Description | None" = None
    """The other question that it may be asked; None where its predictor has no `explain`."""

    def asked(self, op: str) -> "Description":
        """What is asked by this op. Raises NotOffered: an explanation, of a model that has none."""
        if op != EXPLAIN:
            return self
        if self.explain is None:
            raise self.unexplained()
        return self.explain

    def unexplained(self) -> NotOffered:
        """The error of who asks for an explanation."""
        reason = f"the predictor of model {self.name!r} has no `explain` method"
        return NotOffered(what="an explanation", reason=reason)

    @property
    def is_fed(self) -> bool:
        """Whether it takes a stream of items."""
        return bool(self.fed)

    @property
    def is_cacheable(self) -> bool:
        """Whether an answer may be given again: each is whole, and the same each time."""
        return self.is_deterministic and not self.is_stream


class ModelState(NamedTuple):
    """What becomes of a model that is served, in the words that V2 has for it."""

    state: Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    reason: str = ""
    """Why it is not ready."""


class Order(Struct, frozen=True):
    """What an operator asks of a running server."""

    verb: Literal["load", "unload", "set"]
    model: str = ""
    settings: Mapping[str, Any] = {}
    """To `set`, of `SETTABLE`: by name; None stands for what the configuration says."""


SETTABLE = ("log_level", "traces_share")
"""Settings that an order can change until the next reload."""
