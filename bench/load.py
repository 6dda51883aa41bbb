"""A load generator: one thread, epoll, raw sockets, HTTP/1.1, request bytes made beforehand.

Closed loop: each connection asks again as soon as it is answered. Open loop: requests have
intended times (Poisson, seeded) that no answer can delay, and latency counts from the intended
time, so that a server that stalls is not spared the requests that it kept from being sent. Run as
a process of its own: reads a `Plan` as JSON on standard input, prints a `Report` as JSON.
"""

import base64
import ctypes
import json
import os
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

CHUNK_BYTES = 262144
CLOSED = "the server closed a connection"


class BadAnswer(Exception):
    """An answer that this generator can't frame: no content-length, or bytes after it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, how and for how long."""

    port: int
    requests: Sequence[bytes]
    """Whole requests, head and body; asked in turn."""
    connections: int
    seconds: float
    rate_per_s: float = 0.0
    """Open loop at this rate; 0 is a closed loop."""
    limit: int = 0
    """Closed loop: end after this many answers; 0 is no limit."""
    keep_answers: bool = False
    """Report each answer's body, to check it; not while timing."""
    patience_s: float = 30.0
    """After the last send, wait this long for the answers under way."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    seconds: float = 0.0
    """Until the last answer."""
    answered: int = 0
    sent: int = 0
    lost: int = 0
    """Sent, or due, and not answered when the patience was over."""
    statuses: dict[str, int] = field(default_factory=dict)
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    max_ms: float = 0.0
    late_p99_ms: float = 0.0
    """Open loop: how late the generator itself sent when a connection was free; its own error."""
    cpu_s: float = 0.0
    """This process's own."""
    answers: list[tuple[int, int, str]] = field(default_factory=list)
    """(index of the request, status, body in base64), where asked for."""


class Connection:
    """One socket and the answer that is arriving on it."""

    __slots__ = ("buffer", "chunks", "due", "index", "needed", "out", "sock", "status")

    def __init__(self, port: int) -> None:
        self.sock = connect(port)
        self.buffer = bytearray()
        self.needed = 0
        """Bytes of head and body of the answer; 0 while its head is not whole."""
        self.chunks: list[tuple[int, int]] | None = None
        """Where the data of each chunk is; None for an answer with a content-length."""
        self.status = 0
        self.due = 0.0
        self.index = -1
        """The request that is being answered; -1 when idle."""
        self.out: memoryview | None = None
        """What the socket has not taken yet."""

    def read(self, chunk: bytes) -> bool:
        """Take bytes; True when the answer is whole."""
        self.buffer += chunk
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.status = int(self.buffer[9:12])
            head = bytes(self.buffer[:end])
            self.chunks = [] if b"\ntransfer-encoding: chunked" in head.lower() else None
            self.needed = end + 4 + (0 if self.chunks is not None else content_length(head))
        if self.chunks is not None and not self._next_chunks(self.chunks):
            return False
        if len(self.buffer) > self.needed:
            raise BadAnswer("more bytes than content-length says")
        return len(self.buffer) == self.needed

    def _next_chunks(self, chunks: list[tuple[int, int]]) -> bool:
        """Move `needed` behind each chunk whose size has arrived; True once it is the last one's."""
        if chunks and chunks[-1][0] == chunks[-1][1]:
            return True
        while len(self.buffer) >= self.needed:
            end = self.buffer.find(b"\r\n", self.needed)
            if end < 0:
                return False
            size = int(self.buffer[self.needed : end].partition(b";")[0], 16)
            chunks.append((end + 2, end + 2 + size))
            self.needed = end + 2 + size + 2
            if not size:
                return True
        return False

    def body(self) -> bytes:
        """The whole answer's body."""
        if self.chunks is not None:
            return b"".join(self.buffer[start:end] for start, end in self.chunks)
        return bytes(self.buffer[self.buffer.find(b"\r\n\r\n") + 4 :])


def connect(port: int) -> socket.socket:
    """A new connection to the server."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def content_length(head: bytes) -> int:
    """The length that an answer's head states."""
    name = b"\ncontent-length:"  # from its line's start: others' names end with the same words
    at = head.lower().find(name)
    if at < 0:
        raise BadAnswer(f"no content-length in {head[:200]!r}")
    end = head.find(b"\r\n", at + 1)
    return int(head[at + len(name) : end if end >= 0 else None])


class Timer:
    """A timerfd: epoll's own time-out is rounded up to a millisecond, longer than an answer."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def wake_at(self, moment: float) -> None:
        """Become readable at this moment of time.monotonic()."""
        ns = max(1, int(moment * 1e9))
        spec = struct.pack("qqqq", 0, 0, ns // 10**9, ns % 10**9)
        if self._libc.timerfd_settime(self.fd, 1, spec, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def clear(self) -> None:
        """Take the expiry."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.report = Report()
        self.latencies = array("d")
        self.lateness = array("d")
        self.statuses: Counter[int] = Counter()
        self.epoll = select.epoll()
        self.connections = [Connection(plan.port) for _ in range(plan.connections)]
        self.by_fd = {c.sock.fileno(): c for c in self.connections}
        self.turn = 0
        self.last = 0.0
        for fd in self.by_fd:
            self.epoll.register(fd, select.EPOLLIN)

    def send(self, connection: Connection, due: float) -> None:
        """Send the next request; its latency counts from `due`."""
        index = self.turn % len(self.plan.requests)
        self.turn += 1
        connection.index = index
        connection.due = due
        connection.needed = 0
        connection.buffer.clear()
        self.report.sent += 1
        self._write(connection, memoryview(self.plan.requests[index]))

    def _write(self, connection: Connection, data: memoryview) -> None:
        """Write what the socket takes; the rest when epoll says so."""
        fd = connection.sock.fileno()
        with suppress(BlockingIOError):
            data = data[connection.sock.send(data) :]
        if data:
            self.epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
        elif connection.out is not None:
            self.epoll.modify(fd, select.EPOLLIN)
        connection.out = data or None

    def event(self, fd: int, flags: int) -> Connection | None:
        """Move one connection on; answer it if its request has been answered."""
        connection = self.by_fd[fd]
        if flags & select.EPOLLOUT and connection.out is not None:
            self._write(connection, connection.out)
        if not flags & ~select.EPOLLOUT:
            return None
        chunk = connection.sock.recv(CHUNK_BYTES)
        if not chunk:
            if connection.index >= 0:
                raise BadAnswer(CLOSED)
            self._reopen(connection)
            return None
        if not connection.read(chunk):
            return None
        self._answered(connection)
        return connection

    def _reopen(self, connection: Connection) -> None:
        """Connect again where a server has closed a connection that it found idle for too long (uvicorn: 5 s)."""
        del self.by_fd[connection.sock.fileno()]
        connection.sock.close()
        connection.sock = connect(self.plan.port)
        self.by_fd[connection.sock.fileno()] = connection
        self.epoll.register(connection.sock.fileno(), select.EPOLLIN)

    def _answered(self, connection: Connection) -> None:
        """Record one answer."""
        self.last = time.monotonic()
        self.latencies.append(self.last - connection.due)
        self.statuses[connection.status] += 1
        if self.plan.keep_answers:
            body = base64.b64encode(connection.body()).decode()
            self.report.answers.append((connection.index, connection.status, body))
        connection.index = -1

    def closed(self) -> None:
        """Each connection asks again as soon as it is answered."""
        start = time.monotonic()
        end = start + self.plan.seconds
        limit = self.plan.limit or sys.maxsize
        for connection in self.connections[:limit]:
            self.send(connection, time.monotonic())
        while (now := time.monotonic()) < end and len(self.latencies) < limit:
            for fd, flags in self.epoll.poll(max(0.001, end - now)):
                if (free := self.event(fd, flags)) and self.report.sent < limit:
                    self.send(free, self.last)
        self.report.seconds = (self.last or time.monotonic()) - start

    def open(self) -> None:
        """Requests at their intended times; one without a free connection waits, its clock runs."""
        timer = Timer()
        self.epoll.register(timer.fd, select.EPOLLIN)
        start = time.monotonic() + 0.01
        due = deque(start + moment for moment in poisson(self.plan))
        idle = list(self.connections)
        end = start + self.plan.seconds + self.plan.patience_s
        while (due or len(idle) < len(self.connections)) and time.monotonic() < end:
            self._send_due(due, idle)
            timer.wake_at(due[0] if due and idle else end)
            for fd, flags in self.epoll.poll():
                if fd == timer.fd:
                    timer.clear()
                elif free := self.event(fd, flags):
                    idle.append(free)
        self.report.lost = len(due) + len(self.connections) - len(idle)
        self.report.seconds = (self.last or time.monotonic()) - start

    def _send_due(self, due: "deque[float]", idle: list[Connection]) -> None:
        """Send what is due while a connection is free."""
        now = time.monotonic()
        while due and idle and due[0] <= now:
            moment = due.popleft()
            connection = idle.pop()
            self.lateness.append(now - max(moment, connection.due))
            self.send(connection, moment)
            now = time.monotonic()

    def finish(self) -> Report:
        """Close and sum up."""
        for connection in self.connections:
            connection.sock.close()
        report = self.report
        times = sorted(self.latencies)
        report.answered = len(times)
        report.statuses = {str(status): n for status, n in self.statuses.items()}
        report.cpu_s = time.process_time()
        if times:
            report.mean_ms = sum(times) / len(times) * 1e3
            report.p50_ms, report.p99_ms, report.p999_ms = (
                at(times, q) for q in (0.5, 0.99, 0.999)
            )
            report.max_ms = times[-1] * 1e3
        report.late_p99_ms = at(sorted(self.lateness), 0.99)
        return report


def at(ordered: Sequence[float], share: float) -> float:
    """The quantile of ordered seconds, in milliseconds; nearest rank."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3


def poisson(plan: Plan) -> list[float]:
    """Intended times in seconds from the start; the same for every server at a rate."""
    source = random.Random(int(plan.rate_per_s))
    moments, now = [], 0.0
    while (now := now + source.expovariate(plan.rate_per_s)) < plan.seconds:
        moments.append(now)
    return moments


def run(plan: Plan) -> Report:
    """Carry out a plan in this process."""
    load = Load(plan)
    if plan.rate_per_s:
        load.open()
    else:
        load.closed()
    return load.finish()


def main() -> None:
    """Read a plan, print a report."""
    given = json.load(sys.stdin)
    given["requests"] = [base64.b64decode(text) for text in given["requests"]]
    print(json.dumps(asdict(run(Plan(**given)))))


if __name__ == "__main__":
    main()
