"""V2's parameters of a request and of its tensors, as REST and gRPC both have them. Not a protocol by itself.

Specification: triton-inference-server/server, docs/protocol/extension_parameters.md ("Parameters") and
extension_schedule_policy.md.
"""

from collections.abc import Mapping
from typing import Any

from headway.errors import BadInput


def refused(where: str, expected: str, found: str) -> BadInput:
    """The error of a part of a request."""
    return BadInput(where=where, expected=expected, found=found)


def flag(parameters: Mapping[str, Any], name: str) -> bool:
    """A parameter that is true or false; false where it is not there. Raises BadInput."""
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise refused(f"parameter {name!r}", "true or false", repr(value)[:40])
    return value


def asked_timeout_s(parameters: Mapping[str, Any]) -> float | None:
    """Check the request's parameters; the time-out among them is in microseconds.

    Parameters: names that the extension reserves for itself are not a client's to use. Sequences
    are not served, so they are refused rather than forgotten; a priority is checked and left to the
    header that can steer the queue.
    """
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise refused("parameters", "tensors in the body: shared memory is not offered", name)
        if name.startswith(("sequence_", "triton_")) or name == "headers":
            raise refused(f"parameter {name!r}", "no reserved name", name)
    whole(parameters, "priority", 0, 2**64)
    timeout_us = whole(parameters, "timeout", 1, 2**63)
    return None if timeout_us is None else timeout_us / 1e6


def whole(parameters: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """A parameter that is an integer from `low` to below `high`; None where it is not there. Raises BadInput."""
    value = parameters.get(name)
    if value is None:
        return None
    if type(value) is not int or not low <= value < high:
        found = repr(value)[:40]
        raise refused(f"parameter {name!r}", f"an integer from {low} to {high - 1}", found)
    return value


def check_offered(where: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a tensor for what is not served here. Raises BadInput."""
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise refused(where, "tensors in the body: shared memory is not offered", name)
