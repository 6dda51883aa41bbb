"""What an exporter is: it takes the spans of requests to where somebody looks at them.

An exporter is a module of this folder that satisfies `Exporter`; the setting `traces` names it. It is opened and
called in a thread of its own, never on a request's path. Not here: which spans are made (`engine.spans`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

Attributes = Mapping[str, str | int | float | bool]


class Span(Struct):
    """A piece of work with a beginning and an end; ids are lower-case hexadecimal, as in a traceparent."""

    name: str
    trace_id: str
    span_id: str
    start_s: float = 0.0
    """Seconds since the epoch."""
    end_s: float = 0.0
    parent_id: str = ""
    """The span that it is part of; "" where it is the first one of its trace."""
    is_parent_remote: bool = False
    """The parent is the caller's."""
    is_server: bool = False
    """It is the answer to a request from outside."""
    attributes: Attributes = {}
    links: Sequence[tuple[str, str]] = ()
    """Trace and span ids of others that it has to do with."""
    error: str = ""
    """How it failed; "" if it did not."""


class Sink(Protocol):
    """An exporter that is open."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Take spans away, and wait until they are; whether they arrived."""
        ...

    def close(self) -> None:
        """Let go, also of an `export` that waits in another thread."""
        ...


class Exporter(Protocol):
    """The contract of an exporter module."""

    def open_sink(self, url: str) -> Sink:
        """Make ready to send to a place; "" is where the exporter sends by itself."""
        ...
