"""How a question is asked: connect, send, read, try again. Written once, for both clients.

It awaits an `Io`, and never anything else. The asynchronous client's really waits; the blocking client's blocks
and never suspends, so `blocking.run` ends such a coroutine in one step.

    a place among the connections  →  an idle connection, or a new one  →  head and body  →  the answer
                      an attempt failed: `retry` says whether, and after what wait, there is another
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from headway.client.address import Address
from headway.client.answers import read_error, read_item, stream_error
from headway.client.budget import Budget
from headway.client.message import Answer, Reader, check_headers, write_head
from headway.client.pool import Pool
from headway.client.retry import Attempts
from headway.errors import BadAnswer, ConfigError, DeadlineError, HeadwayError, Unreachable

CONNECT_S: Final = 5.0
"""A connection that is not there within this is tried anew, if there is time."""
LINES: Final = "application/jsonl"
_ONE_WRITE_BYTES: Final = 64 * 2**10


class Connection(Protocol):
    """One connection to the server. `send` and `receive` raise OSError, TimeoutError among them."""

    async def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        ...

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; none at the end."""
        ...

    def close(self) -> None:
        """Close it at once."""
        ...

    def is_stale(self) -> bool:
        """The other end has closed it, or has said something unasked."""
        ...


C = TypeVar("C", bound=Connection)


class Io(Protocol[C]):
    """What a client does besides deciding."""

    pool: Pool[C]

    async def enter(self, timeout_s: float) -> None:
        """Wait for a place among the connections. Raises TimeoutError."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...

    async def open(self, timeout_s: float) -> C:
        """Connect. Raises OSError."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How questions are asked."""

    timeout_s: float = 30.0
    """The caller is told within this, whatever happens: queueing, all attempts and their waits count."""
    retries: int = 3
    """Most attempts after the first."""
    headers: tuple[tuple[str, str], ...] = ()
    priority: str = ""

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        if not 0 < self.timeout_s < 1e9:
            raise ConfigError(where="`timeout_s`", problem="expected seconds above 0")
        if self.retries < 0:
            raise ConfigError(where="`retries`", problem="expected 0 or more")

    def with_(self, headers: Mapping[str, str] | None = None, **changes: Any) -> "Options":
        """The same, but for what is not None, and with these headers besides. Raises ConfigError."""
        sent = self.headers + check_headers(headers or {})
        kept = {k: v for k, v in changes.items() if v is not None}
        return replace(self, headers=sent, **kept)


@dataclass(frozen=True, slots=True)
class Question:
    """One request, whole."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    is_idempotent: bool = True


class Asker(Generic[C]):
    """Asks one server.

    Args:
        address: where it is.
        key: API key; none if empty.
        io: what connects and waits.
        clock: seconds of a monotonic clock.
        chance: random numbers from 0 to 1.
    """

    def __init__(
        self,
        address: Address,
        key: str,
        io: Io[C],
        clock: Any = time.monotonic,
        chance: Any = random.random,
    ) -> None:
        self.address = address
        self.io = io
        self.budget = Budget()
        self._key = (("authorization", f"Bearer {key}"),) if key else ()
        self._clock = clock
        self._chance = chance

    async def ask(self, question: Question, options: Options) -> Answer:
        """The whole answer, whatever its status; what was refused only for now is asked again.

        Raises:
            Unreachable, BadAnswer: nobody answered, or something that is not HTTP.
            DeadlineError: the time was over first.
        """
        asked = await self._attempt_all(question, options)
        return Answer(asked.reader.status, asked.reader.headers, asked.reader.take())

    async def stream(self, question: Question, options: Options) -> "Lines[C]":
        """The lines of a stream; until it has begun, it is tried again like any question."""
        return Lines(await self._attempt_all(question, options, is_stream=True), self)

    def now(self) -> float:
        """Seconds of the clock."""
        seconds: float = self._clock()
        return seconds

    async def _attempt_all(
        self, question: Question, options: Options, *, is_stream: bool = False
    ) -> "Asked[C]":
        """Try until an answer is final, or its head is there for a stream."""
        start = self.now()
        self.budget.ask(start)
        attempts = Attempts(options.retries, start + options.timeout_s, question.is_idempotent)
        while True:
            asked: Asked[C] | None = None
            try:
                asked = await self._attempt(question, options, attempts.deadline, is_stream)
                error = _refusal(asked, self.address.url)
            except Unreachable as e:
                error = e
            except TimeoutError as e:
                raise DeadlineError(timeout_s=options.timeout_s) from e
            now = self.now()
            wait_s = attempts.wait_s(error, now, self._chance()) if error is not None else None
            if wait_s is None or not self.budget.spend(now):
                if asked is None and error is not None:
                    raise error
                assert asked is not None
                return asked
            if asked is not None:
                asked.end(self)
            await self.io.sleep(wait_s)

    async def _attempt(
        self, question: Question, options: Options, deadline: float, is_stream: bool
    ) -> "Asked[C]":
        """Ask once; a kept connection that turns out to be closed is replaced, once, by a new one."""
        await self.io.enter(self._left(deadline))
        connection: C | None = None
        try:
            kept = self.io.pool.take(self.now())
            connection = kept if kept is not None else await self._open(deadline)
            try:
                return await self._exchange(connection, question, options, deadline, is_stream)
            except Unreachable as e:
                # A server may close an idle connection at the very moment at which it is used again.
                if kept is None or not question.is_idempotent or e.fields.get("seen"):
                    raise
                connection.close()
                connection = None
                connection = await self._open(deadline)
            return await self._exchange(connection, question, options, deadline, is_stream)
        except BaseException:
            if connection is not None:
                connection.close()
            self.io.leave()
            raise

    async def _open(self, deadline: float) -> C:
        left_s = self._left(deadline)
        try:
            return await self.io.open(min(left_s, CONNECT_S))
        except TimeoutError as e:
            if left_s <= CONNECT_S:
                raise
            raise self._unreachable(f"no connection within {CONNECT_S:g} s", is_sent=False) from e
        except OSError as e:
            raise self._unreachable(e.strerror or str(e), is_sent=False) from e

    async def _exchange(
        self,
        connection: C,
        question: Question,
        options: Options,
        deadline: float,
        is_stream: bool,
    ) -> "Asked[C]":
        """Send the request and read its answer, or a stream's head."""
        asked = Asked(connection, Reader(self.address.url), deadline, options.timeout_s)
        try:
            await self._send(connection, question, options, deadline)
        except TimeoutError:
            raise
        except OSError as e:
            # A server may refuse a request before it has come whole: its answer says why.
            if not await self._has_answer(asked):
                raise self._broken(e, asked.reader.seen) from e
        while not (asked.reader.is_done or (is_stream and asked.is_stream)):
            await self.receive(asked)
        if asked.reader.is_done:
            asked.end(self)
        return asked

    async def _send(
        self, connection: C, question: Question, options: Options, deadline: float
    ) -> None:
        left_s = self._left(deadline)
        headers = [
            ("headway-timeout", f"{max(left_s, 0.001):.3f}"),
            *self._key,
            *options.headers,
            *question.headers,
        ]
        if options.priority:
            headers.append(("headway-priority", options.priority))
        body = question.body
        head = write_head(self.address, question.method, question.path, headers, len(body))
        if len(body) <= _ONE_WRITE_BYTES:
            await connection.send(head + body, left_s)
        else:
            await connection.send(head, left_s)
            await connection.send(body, self._left(deadline))

    async def _has_answer(self, asked: "Asked[C]") -> bool:
        try:
            while not asked.reader.is_done:
                await self.receive(asked)
        except HeadwayError:
            return False
        asked.reader.is_reusable = False
        return True

    async def receive(self, asked: "Asked[C]") -> None:
        """Read the next piece of an answer.

        Raises:
            Unreachable: the connection broke.
            BadAnswer: what came is no HTTP.
            TimeoutError: the time is over.
        """
        try:
            data = await asked.connection.receive(self._left(asked.deadline))
        except TimeoutError:
            raise
        except OSError as e:
            raise self._broken(e, asked.reader.seen) from e
        asked.reader.feed(data)

    def _broken(self, error: OSError, seen: int) -> Unreachable:
        reason = f"the connection broke ({error.strerror or error})"
        return self._unreachable(reason, is_sent=True, seen=seen)

    def _unreachable(self, reason: str, **fields: Any) -> Unreachable:
        return Unreachable(url=self.address.url, reason=reason, **fields)

    def _left(self, deadline: float) -> float:
        left_s = deadline - self.now()
        if left_s <= 0:
            raise TimeoutError
        return left_s


@dataclass(slots=True)
class Asked(Generic[C]):
    """A question on its connection."""

    connection: C
    reader: Reader
    deadline: float
    timeout_s: float
    has_ended: bool = False

    @property
    def is_stream(self) -> bool:
        """Its answer has begun, and is a stream."""
        reader = self.reader
        return reader.has_head and reader.headers.get("content-type", "").startswith(LINES)

    def end(self, asker: Asker[C]) -> None:
        """Let the connection go: it is kept if it can take another request."""
        if self.has_ended:
            return
        self.has_ended = True
        if self.reader.is_done and self.reader.is_reusable:
            asker.io.pool.put(self.connection, asker.now())
        else:
            self.connection.close()
        asker.io.leave()


def _refusal(asked: Asked[Any], url: str) -> HeadwayError | None:
    """The error of an answer that may be asked for again; None where it is final by its status."""
    if asked.reader.status not in (429, 502, 503) or not asked.reader.is_done:
        return None
    body = asked.reader.take()
    answer = Answer(asked.reader.status, asked.reader.headers, body)
    asked.reader.put_back(body)
    return read_error(answer, url)


@dataclass(slots=True)
class Lines(Generic[C]):
    """A stream of JSON lines, read as it comes."""

    asked: Asked[C]
    asker: Asker[C]
    _rest: bytearray = field(default_factory=bytearray)

    async def start(self) -> None:
        """See that it is a stream. Raises what the server told instead."""
        if self.asked.is_stream:
            return
        reader = self.asked.reader
        answer = Answer(reader.status, reader.headers, reader.take())
        url = self.asker.address.url
        raise (
            read_error(answer, url)
            if answer.status != 200
            else BadAnswer(
                url=url, found=f"{answer.media}, not a stream; ask this model without `stream`"
            )
        )

    async def next_item(self) -> tuple[bool, Any]:
        """Whether there is another item, and the item.

        Raises:
            HeadwayError: the stream ended with an error, or the connection broke.
        """
        try:
            line = await self._next_line()
            if line is None:
                return False, None
            answer = Answer(self.asked.reader.status, self.asked.reader.headers)
            item = read_item(line, answer, self.asker.address.url)
            if (error := stream_error(item, answer)) is not None:
                raise error
        except TimeoutError as e:
            self.close()
            raise DeadlineError(timeout_s=self.asked.timeout_s) from e
        except BaseException:
            self.close()
            raise
        return True, item

    def close(self) -> None:
        """Stop reading; where the stream has not ended, its connection is closed and the server cancels it."""
        self.asked.end(self.asker)

    async def _next_line(self) -> bytes | None:
        while True:
            cut = self._rest.find(b"\n")
            if cut >= 0:
                line = bytes(self._rest[:cut])
                del self._rest[: cut + 1]
                return line
            self._rest += self.asked.reader.take()
            if b"\n" in self._rest:
                continue
            if self.asked.reader.is_done:
                self.close()
                return None
            await self.asker.receive(self.asked)
