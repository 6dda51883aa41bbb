"""What a party needs of its supervisor, and of the processes that are started for it. No code."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from headway.config import ModelSettings
from headway.engine.channel import Channel

if TYPE_CHECKING:
    from headway.engine.party import Party


class Process(Protocol):
    """A child process, as the supervisor started it."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def channel(self) -> Channel:
        """The control channel to it."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Host(Protocol):
    """The supervisor."""

    @property
    def max_body_bytes(self) -> int:
        """Largest request body."""
        ...

    @property
    def models(self) -> Sequence[ModelSettings]:
        """The settings of all models that are served."""
        ...

    @property
    def gateways(self) -> Mapping[int, Process]:
        """The gateways' processes, by index."""
        ...

    def line_up(self, party: "Party", worker: int) -> None:
        """Let a worker begin when it is its turn."""
        ...

    def start_worker(self, party: "Party", worker: int, environment: dict[str, str]) -> Process:
        """Start a worker process."""
        ...

    def next_serial(self) -> int:
        """A number that no other worker of this server has."""
        ...

    def count_restart(self, model: str, cause: str) -> None:
        """Count a worker that ended unasked."""
        ...

    def changed(self) -> None:
        """A model has become ready, or has failed."""
        ...
