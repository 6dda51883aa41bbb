"""The seam between connections and the application: what each may call of the other. No code."""

from typing import Protocol

from headway.errors import HeadwayError
from headway.protocols import Reply, Route
from headway.server.http1 import FramingError, Head


class Exchange(Protocol):
    """Where the answer to a request goes: what an application sees of a connection."""

    token: int
    """Room for what the application wants to find again when the client leaves."""

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Answer; does nothing if that request is over."""
        ...

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> "Exchange | None":
        """Begin an answer in parts; the reply's body, if any, is the first. Returns who takes the rest, if another."""
        ...

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Send the next part. Of a client that does not take what was sent `App.choked` tells."""
        ...

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        """End an answer in parts, which ended so (`observe.metrics.OUTCOMES`)."""
        ...

    def abort(self, serial: int, last: bytes = b"") -> None:
        """Cut an answer in parts off, after a last one, so that the client sees that it is not whole."""
        ...

    def hold_input(self, *, is_held: bool) -> None:
        """Read nothing more of what the client sends on, or go on."""
        ...


class App(Protocol):
    """What answers requests. It raises nothing."""

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer a request, now or later, by `exchange.finish(serial, ...)` or a stream."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes of bodies that were asked and wait for a worker."""
        ...

    def needs_body(self, head: Head) -> bool:
        """Whether the answer takes more than the head; else it is asked at once, with an empty body."""
        ...

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        """The client of a stream sends on (`engine.frames.TEXT`, ...)."""
        ...

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """The client does not take its stream as fast as it comes, so wait with the rest; or it does again."""
        ...

    def left(self, exchange: Exchange, serial: int) -> None:
        """The client left before its answer was whole."""
        ...

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render the refusal of a request that never became one, and its request id."""
        ...


class CallApp(Protocol):
    """What answers gRPC calls besides. It raises nothing but what it says."""

    def route(self, head: Head) -> Route:
        """The route that a call's head finds. Raises CallerError: it finds none, or may not ask."""
        ...

    def ask(
        self,
        head: Head,
        body: bytes,
        exchange: Exchange,
        serial: int,
        timeout_s: float | None = None,
    ) -> None:
        """Answer a message, as `App.ask` does, within so many seconds if they are given."""
        ...

    def refuse_call(self, error: HeadwayError, head: Head, exchange: Exchange, serial: int) -> None:
        """End a call with an error that is no model's."""
        ...

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """As `App.choked`."""
        ...

    def left(self, exchange: Exchange, serial: int) -> None:
        """As `App.left`."""
        ...
