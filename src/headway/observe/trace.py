"""W3C Trace Context, Recommendation of 23 November 2021 (https://www.w3.org/TR/trace-context-1/). Pure.

What comes in is read here, once, by its rules; everybody behind may then take the header as it is. Deviations: the
flag of level 2 that says that a trace id is random is kept, too, and keys may begin with a digit, as level 2 has it.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

PARENT, STATE = "traceparent", "tracestate"

# 3.2.2: "version 2HEXDIGLC, trace-id 32HEXDIGLC, parent-id 16HEXDIGLC, trace-flags 2HEXDIGLC"
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOBODY = re.compile("0+")
_FLAGS = 0x03
"""Sampled, and random trace id. 3.2.2.5: "The behavior of other flags, such as (00000100) is not defined"."""
_SAMPLED = 0x01

# 3.3.1.3: a list of key=value; "Spaces (OWS) are allowed around the commas", and empty members, too.
_MEMBER = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=([ -+\--<>-~]{0,255}[!-+\--<>-~])")
_MOST_MEMBERS = 32


class Parent(NamedTuple):
    """The caller's span."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether the caller records its trace."""
        return bool(self.flags & _SAMPLED)

    def __str__(self) -> str:
        """As a header, in the version that we speak."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def read_parent(header: str) -> Parent | None:
    """Read a traceparent; None if there is none, or it is malformed: "the vendor creates a new trace" (4.3)."""
    found = _PARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # "Version ff is forbidden"; of a later version only the fields that are known are read, and more may follow.
    if version == "ff" or (version == "00" and more):
        return None
    if _NOBODY.fullmatch(trace_id) or _NOBODY.fullmatch(span_id):
        return None
    return Parent(trace_id, span_id, int(flags, 16) & _FLAGS)


def is_state(header: str) -> bool:
    """Whether a tracestate may be passed on: one that can't be read is dropped, and its traceparent kept."""
    members = [m for part in header.split(",") if (m := part.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = [match[1] for match in found if match]
    # 3.3.1.3: "There can be a maximum of 32 list-members", and "Only one entry per key is allowed".
    return 0 < len(members) <= _MOST_MEMBERS and len(set(keys)) == len(members)


def trace_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What a request's headers tell of its trace, proven and in our version; empty if they tell nothing."""
    parent = read_parent(headers[PARENT]) if PARENT in headers else None
    if parent is None:
        return {}
    state = headers.get(STATE, "")
    return {PARENT: str(parent), **({STATE: state} if is_state(state) else {})}


def trace_id(headers: Mapping[str, str] | None) -> str:
    """The trace of a request whose headers `trace_headers` has read; "" if it has none."""
    return headers.get(PARENT, "")[3:35] if headers else ""
