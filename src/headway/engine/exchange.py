"""Who waits for an answer of the engine's: a connection, or nobody any more."""

from typing import Final, Protocol

from headway.protocols import Reply


class Exchange(Protocol):
    """Who waits for an answer: a connection of the server's, or a test.

    `serial` tells its requests apart: an answer to an earlier one is dropped.
    """

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take a whole answer."""
        ...

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> "Exchange | None":
        """Take the head of a streamed answer; returns who takes the rest, if somebody else does."""
        ...

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Take a piece of a streamed answer."""
        ...

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """Take the end of a streamed answer, and how it ended (an index in OUTCOMES)."""
        ...

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Cut a streamed answer off: nobody knows how it would have ended. `last` says why, if anything can."""
        ...

    def hold_input(self, *, is_held: bool) -> None:
        """Send nothing on, for the worker does not take it; or go on."""
        ...


Caller = tuple[Exchange, int, str]
"""The exchange, the request's serial number on it, and its request id."""


class Nobody:
    """Who waits for the run whose caller has left."""

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take a whole answer."""

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take the head of a streamed answer."""

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Take a piece of a streamed answer."""

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """Take the end of a streamed answer."""

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Take no more of a streamed answer."""

    def hold_input(self, *, is_held: bool) -> None:
        """Send nothing on, which nobody does."""


NOBODY: Final[Exchange] = Nobody()


class Clients(Protocol):
    """Those who wait for answers, all together: told when a slot's answers come, and when these were all of them."""

    def begin(self) -> None:
        """Answers follow; they may be written together, at the end."""
        ...

    def end(self) -> None:
        """These were all."""
        ...


class _Alone:
    """Clients who take each answer as it comes."""

    def begin(self) -> None:
        """Answers follow."""

    def end(self) -> None:
        """These were all."""


ALONE: Final[Clients] = _Alone()
