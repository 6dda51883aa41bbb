"""Tell the places that callers name what has become of their jobs: one thing after another, and the end with retries.

What is told of one job is told in order, each thing when the one before it was answered. That there is more output is
told at most once in `OUTPUT_S`, with all that there is by then. Only the end is tried again: after an answer that may
be another one later, or none, up to `MAX_TRIES` times, each wait twice as long. A receiver has `TIMEOUT_S` for each;
only the head of its answer is read, and a redirect is no answer. Where a URL may lead, `engine.reach` decides.
"""

import asyncio
import logging
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import headway
from headway.engine.reach import Place, RefusedError, check_allowed, read_place, read_places
from headway.errors import BadInput, ConfigError
from headway.server import tasks

log = logging.getLogger(__name__)

OUTPUT_S = 0.5
TIMEOUT_S = 10.0
MAX_TRIES = 12
FIRST_WAIT_S = 0.2
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_ANSWER_HEAD = 16 * 2**10
_MAX_AT_ONCE = 16
"""Connections to one place."""
_MAX_WAITING = 4096
"""Jobs of which something is still to be told."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


def check_places(urls: str) -> Sequence[Place]:
    """The places that may be told. Raises ConfigError."""
    try:
        return read_places(urls)
    except (RefusedError, ValueError) as e:
        raise ConfigError(where="`webhook_urls`", problem=f"it holds {e}") from e


class Webhooks:
    """What one gateway has to tell.

    Args:
        urls: the setting: beginnings of URLs that may be told.
        limit_bytes: of what waits to be told.
    """

    def __init__(self, urls: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.waiting_bytes = 0
        self.untried = 0
        """Jobs of which something is to be told that was not tried yet."""
        self._places = check_places(urls)
        self._turns: dict[tuple[str, int], asyncio.Semaphore] = {}
        self._context: ssl.SSLContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def adapt(self, urls: str) -> None:
        """Take on other places; what was allowed before is still told. Raises ConfigError."""
        self._places = check_places(urls)

    def place(self, url: str) -> Place:
        """A place that may be told.

        Raises:
            BadInput: it may not, with one text, whatever the reason.
        """
        try:
            place = read_place(url)
            check_allowed(place, self._places)
        except (RefusedError, ValueError) as e:
            log.info("webhook_refused", extra={"reason": f"{type(e).__name__}: {e}"[:200]})
            raise BadInput(
                "webhook: this URL may not be told; the server's operator allows some (webhook_urls)",
                where="webhook",
            ) from None
        return place

    def start(self, teller: "Teller") -> None:
        """Tell on, beside everything else."""
        self.untried += 1
        tasks.start(teller.run(), self._tasks)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait to be told; one job's always may."""
        if not self.waiting_bytes:
            return True
        return self.waiting_bytes + size <= self.limit_bytes and len(self._tasks) < _MAX_WAITING

    async def post(self, place: Place, body: bytes, headers: Mapping[str, str]) -> int:
        """Tell a place something; its status.

        Raises:
            TimeoutError: it took too long.
            OSError: nobody answers there, or no TLS as it should be.
            RefusedError: the host's address is not to be reached, or the answer is no HTTP.
        """
        turns = self._turns.setdefault((place.host, place.port), asyncio.Semaphore(_MAX_AT_ONCE))
        async with turns, asyncio.timeout(TIMEOUT_S):
            reader, writer = await self._connect(place)
            try:
                writer.write(_request(place, body, headers))
                return await _read_status(reader)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
                raise RefusedError("an answer that is no HTTP") from e
            finally:
                writer.transport.abort()

    async def _connect(self, place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        address = place.checked(found)
        context = None
        if place.scheme == "https":
            self._context = context = self._context or ssl.create_default_context()
        return await asyncio.open_connection(
            address,
            place.port,
            limit=_MAX_ANSWER_HEAD,
            ssl=context,
            server_hostname=place.host if context else None,
        )


class Teller:
    """Tells one place of one job.

    Args:
        webhooks: sends it.
        place: where to.
        events: what is told; the rest is dropped.
        headers: that go with it.
    """

    def __init__(
        self, webhooks: Webhooks, place: Place, events: frozenset[str], headers: Mapping[str, str]
    ) -> None:
        self._webhooks = webhooks
        self._place = place
        self._events = events
        self._headers = headers
        self._queue: deque[tuple[str, bytes]] = deque()
        self._is_running = False
        self._output_at = 0.0
        self._is_output_due = False

    def tell(self, event: str, write: Callable[[], bytes]) -> None:
        """Tell what there is to tell now; the end is the last that is told."""
        if event not in self._events:
            return
        body = write()
        webhooks = self._webhooks
        if not webhooks.has_room(len(body)):
            log.warning("webhook_dropped", extra={"event": event, "host": self._place.host})
            return
        if event == "output":
            self._output_at = time.monotonic()
            self._drop_output()
        webhooks.waiting_bytes += len(body)
        self._queue.append((event, body))
        if not self._is_running:
            self._is_running = True
            webhooks.start(self)

    def tell_output(self, write: Callable[[], bytes]) -> None:
        """Tell that there is more output: now, or with what comes within `OUTPUT_S`, or with the end."""
        if "output" not in self._events or self._is_output_due:
            return
        wait_s = self._output_at + OUTPUT_S - time.monotonic()
        if wait_s <= 0:
            self.tell("output", write)
            return
        self._is_output_due = True
        asyncio.get_running_loop().call_later(wait_s, self._tell_due, write)

    def tell_end(self, write: Callable[[], bytes]) -> None:
        """Tell that the job has ended."""
        self._is_output_due = False
        self.tell("completed", write)

    def _tell_due(self, write: Callable[[], bytes]) -> None:
        if self._is_output_due:
            self._is_output_due = False
            self.tell("output", write)

    def _drop_output(self) -> None:
        """An older state of the output that was not told yet is told by this one."""
        for waiting in [item for item in self._queue if item[0] == "output"]:
            self._queue.remove(waiting)
            self._webhooks.waiting_bytes -= len(waiting[1])

    async def run(self) -> None:
        """Tell what waits."""
        is_untried = True
        while self._queue:
            event, body = self._queue.popleft()
            if not await self._try(event, body) and event == "completed":
                self._webhooks.untried -= 1
                is_untried = False
                await self._try_again(body)
            self._webhooks.waiting_bytes -= len(body)
        self._is_running = False
        self._webhooks.untried -= is_untried

    async def _try_again(self, body: bytes) -> None:
        wait_s = FIRST_WAIT_S
        for _ in range(MAX_TRIES - 1):
            await asyncio.sleep(wait_s)
            if await self._try("completed", body):
                return
            wait_s *= 2
        log.warning("webhook_given_up", extra={"host": self._place.host, "tries": MAX_TRIES})

    async def _try(self, event: str, body: bytes) -> bool:
        """Tell it once; whether that is the end of it."""
        try:
            status = await self._webhooks.post(self._place, body, self._headers)
        except (RefusedError, OSError, ValueError) as e:
            status, reason = 0, f"{type(e).__name__}: {e}"[:200]
        else:
            reason = f"status {status}"
        if 200 <= status < 300:
            return True
        is_over = status not in _AGAIN and status != 0
        told = {"event": event, "host": self._place.host, "reason": reason}
        log.log(logging.WARNING if is_over else logging.DEBUG, "webhook_failed", extra=told)
        return is_over


def _request(place: Place, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = {
        "host": place.authority,
        "user-agent": f"headway/{headway.__version__}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {place.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


async def _read_status(reader: asyncio.StreamReader) -> int:
    """The status of the first final answer."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            raise RefusedError("an answer that is no HTTP")
        if int(found[1]) >= 200:
            return int(found[1])
