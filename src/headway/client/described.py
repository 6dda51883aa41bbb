"""A model as its server describes it: its inputs, its paths, and whether tensors can carry it. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from headway.client.arguments import Array, Inputs, Picture, read_inputs, resolved
from headway.client.message import path_of

BINARY_BYTES: Final = 4 * 2**10
"""From this size on, an array travels as it lies in memory rather than as JSON."""


@dataclass(frozen=True, slots=True)
class TensorForm:
    """One tensor of a model, in V2's dialect."""

    name: str
    dtype: str
    shape: Sequence[int]
    is_json: bool
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question travels as tensors, for a model of which that is known to mean the same as JSON."""

    inputs: Mapping[str, TensorForm]
    outputs: Mapping[str, TensorForm]
    is_object: bool
    """The answer is an object with the outputs' names; else it is the only output's value."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a client knows of a model."""

    name: str
    version: str
    """As it was asked for; "" for the one that answers by default."""
    details: Mapping[str, Any]
    inputs: Inputs
    plan: Plan | None
    known_at: float

    @property
    def is_stream(self) -> bool:
        """It answers in parts."""
        return bool(self.details.get("stream"))

    @property
    def is_idempotent(self) -> bool:
        """Asking twice does no harm; a server that does not say is not asked twice."""
        return self.details.get("idempotent") is True

    def path(self, op: str) -> str:
        """The path of an operation in the native dialect."""
        return path_of(self.name, self.version, op)

    @property
    def infer_path(self) -> str:
        """Where tensors go."""
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        return f"/v2/models/{quote(self.name, safe='')}{version}/infer"


def describe(name: str, version: str, details: Mapping[str, Any], now: float) -> Described:
    """Read the answer of `GET /models/NAME`."""
    inputs = read_inputs(name, details.get("input_schema", {}))
    return Described(name, version, details, inputs, _plan(details, inputs), now)


def is_for_tensors(value: Any) -> bool:
    """Whether a value is an array that is worth sending as a tensor, or that JSON can't hold."""
    if not isinstance(value, Array) or isinstance(value, Picture):
        return False
    return getattr(value, "nbytes", BINARY_BYTES) >= BINARY_BYTES or not _is_finite(value)


def _is_finite(array: Any) -> bool:
    """Whether all of an array's numbers are; of an array that is not like numpy's nobody knows."""
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    return kind != "f" or bool((abs(array) < math.inf).all())


def _plan(details: Mapping[str, Any], inputs: Inputs) -> Plan | None:
    takes, gives = details.get("inputs", ()), details.get("outputs", ())
    if details.get("stream") or not all(_can_travel(spec) for spec in (*takes, *gives)):
        return None
    if {spec["name"] for spec in takes} != set(inputs.known):
        return None  # a struct's fields are tensors of their own
    schema = details.get("output_schema", {})
    fields = resolved(schema, schema).get("properties")
    names = [spec["name"] for spec in gives]
    is_object = fields is not None and list(fields) == names and not gives[0]["is_json"]
    if not is_object and len(names) != 1:
        return None
    return Plan(_forms(takes), _forms(gives), is_object)


def _can_travel(spec: Mapping[str, Any]) -> bool:
    """Numbers and JSON mean the same in both dialects; text and bytes are left to JSON."""
    return bool(spec.get("has_rows")) and (spec["dtype"] != "bytes" or bool(spec["is_json"]))


def _forms(specs: Sequence[Mapping[str, Any]]) -> dict[str, TensorForm]:
    return {
        spec["name"]: TensorForm(
            spec["name"], spec["dtype"], spec["shape"], spec["is_json"], spec["is_optional"]
        )
        for spec in specs
    }
