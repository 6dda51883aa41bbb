"""Who takes part in a simulation: workers with their slots, and requests with what they are meant to meet."""

from collections.abc import Callable
from dataclasses import dataclass, field

from headway.engine.life import Flight


class LawBrokenError(AssertionError):
    """A run has shown that something is not as it must be."""


@dataclass(eq=False)
class Worker:
    """A process that holds the model."""

    id: int
    slots: list["Slot"] = field(default_factory=list)
    is_stopped: bool = False
    is_suspended: bool = False
    is_leaving: bool = False
    is_gone: bool = False
    withheld: list[Callable[[], None]] = field(default_factory=list)
    """What it would have done while it stood still."""


@dataclass(eq=False)
class Slot:
    """One place in a worker."""

    worker: Worker
    flights: dict[int, Flight] = field(default_factory=dict)
    is_busy: bool = False


@dataclass
class Fate:
    """What one request is meant to meet, and what it has met."""

    flight: Flight
    is_poison: bool
    is_stream: bool
    ends: list[str] = field(default_factory=list)
    ended_at: float = 0.0
    sends: int = 0


def request(id: int, body: bytes, now: float, timeout_s: float) -> Flight:
    """A request that comes now."""
    return Flight(id, body, len(body), now, timeout_s, now + timeout_s)
