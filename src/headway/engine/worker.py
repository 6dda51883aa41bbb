"""The process that holds a model: it loads it, warms it, and runs grabs in its slots.

    main thread     the control channels: meet gateways, cancel, answer pings, leave
    slot threads    one grab at a time each: receive, run (`grab`), send

A slot has one credit. It is lent to one gateway at a time, spent by a grab, and moves on to another gateway when
that one wants it and the holder's queue is empty. Workers own no counters: what a grab cost rides in its replies.
"""

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from headway import plugins
from headway.engine import frames, threads
from headway.engine.cancels import EarlyCancels
from headway.engine.channel import Channel
from headway.engine.frames import Answer, Framer, Replies
from headway.engine.gate import Gate
from headway.engine.grab import Run
from headway.engine.messages import Cancel, Hold, Leave, Loaded, Meet, Message, Ping, Pong, Refused
from headway.engine.orphan import end_with_parent
from headway.engine.ticket import Bounds, Said, Say, Ticket, Timing
from headway.engine.warm import warm
from headway.errors import HeadwayError, ModelFailed
from headway.model.opening import Opened, open_spec
from headway.observe import log as logs
from headway.observe.metrics import outcome_of
from headway.protocols import Ask

if TYPE_CHECKING:
    from headway.engine.coroutines import Coroutines

log = logging.getLogger(__name__)

EXIT_BROKEN = 70
"""A slot met something that is no Exception, or a bug of ours: start afresh."""

GC_THRESHOLD = 20_000
"""Objects between two looks of the garbage collector; a grab makes and drops thousands without a cycle."""

_RECEIVE_BYTES = 1 << 18
_MAX_AUTO_ROWS = 64


@dataclass(slots=True, eq=False)
class Line:
    """A slot's data socket to one gateway."""

    gateway: int
    sock: socket.socket
    framer: Framer = field(default_factory=Framer)
    wants: bool = False


class Slot(threading.Thread):
    """A thread that runs one grab at a time."""

    def __init__(self, worker: "Worker", index: int) -> None:
        super().__init__(name=f"slot-{index}", daemon=True)
        self._worker = worker
        self._lines: dict[int, Line] = {}
        self._holder: Line | None = None
        self._newcomers: list[Line] = []
        self._bell, self._ear = socket.socketpair()
        self._poll = select.poll()
        self._poll.register(self._ear, select.POLLIN)
        self.start()

    def meet(self, line: Line) -> None:
        """Take on a gateway; called from the main thread."""
        self._newcomers.append(line)
        self._bell.send(b"!")

    def run(self) -> None:
        """Serve the gateways, for ever."""
        try:
            while True:
                self._turn()
        except BaseException:
            log.critical("slot_broken", exc_info=True)
            os._exit(EXIT_BROKEN)

    def _turn(self) -> None:
        for fd, _ in self._poll.poll():
            line = self._lines.get(fd)
            if line is not None:
                self._receive(line)
            elif fd == self._ear.fileno():
                self._ear.recv(64)
                self._welcome()

    def _welcome(self) -> None:
        while self._newcomers:
            line = self._newcomers.pop()
            self._lines[line.sock.fileno()] = line
            self._poll.register(line.sock, select.POLLIN)
            if self._holder is None:
                self._lend(line)

    def _receive(self, line: Line) -> None:
        try:
            data = line.sock.recv(max(_RECEIVE_BYTES, min(line.framer.missing, 1 << 24)))
        except (ConnectionError, OSError):
            data = b""
        if not data:
            self._part(line)
            return
        for frame in line.framer.feed(data):
            message, buffers = frames.decode(frame)
            if isinstance(message, frames.Grab):
                self._run(line, message, buffers)
            elif isinstance(message, frames.Want):
                self._want(line)
            elif isinstance(message, frames.Return):
                self._take_back(line)

    def _run(self, line: Line, grab: frames.Grab, buffers: memoryview) -> None:
        tickets = self._worker.admit(line.gateway, grab, buffers)
        keeps = False

        def say(said: list[Said], timing: Timing, is_last: bool) -> None:
            nonlocal keeps
            keeps = is_last and self._next(line) is line
            self._send(
                line,
                _replies(said, timing, is_last=is_last, is_credit=keeps),
                [s.body for s in said],
            )

        try:
            self._worker.perform(tickets, say, lambda: self._send(line, frames.Begun()))
        finally:
            self._worker.dismiss(line.gateway, tickets)
        if not keeps:
            self._take_back(line)

    def _take_back(self, line: Line) -> None:
        """The credit is back from its holder: lend it to who is next."""
        if self._holder is not line:
            return
        self._holder = None
        successor = self._next(line)
        if successor is not None:
            self._lend(successor)

    def _next(self, line: Line) -> Line | None:
        """Who gets the credit after `line`: the next in turn that wants it, else the same again."""
        others = [other for other in self._lines.values() if other is not line and other.wants]
        if others:
            return others[0]
        return line if line.sock.fileno() in self._lines else None

    def _want(self, line: Line) -> None:
        if self._holder is line:
            return
        line.wants = True
        if self._holder is None:
            self._lend(line)
        else:
            self._send(self._holder, frames.Recall())

    def _lend(self, line: Line) -> None:
        line.wants = False
        self._holder = line
        # Who wanted it goes to the end of the turn.
        self._lines[line.sock.fileno()] = self._lines.pop(line.sock.fileno())
        self._send(line, frames.Credit())
        if any(other.wants for other in self._lines.values()):
            self._send(line, frames.Recall())

    def _part(self, line: Line) -> None:
        """A gateway is gone."""
        self._poll.unregister(line.sock)
        del self._lines[line.sock.fileno()]
        line.sock.close()
        if self._holder is line:
            self._holder = None
            successor = self._next(line) or next(iter(self._lines.values()), None)
            if successor is not None:
                self._lend(successor)

    def _send(
        self, line: Line, message: frames.Message, buffers: list[bytes] | None = None
    ) -> None:
        try:
            line.sock.sendall(frames.encode(message, buffers or ()))
        except OSError:
            log.debug("gateway_gone", extra={"gateway": line.gateway})


def _replies(said: list[Said], timing: Timing, *, is_last: bool, is_credit: bool) -> Replies:
    return Replies(
        [_answer(s) for s in said],
        is_credit,
        is_last,
        timing.batches,
        timing.decode_s,
        timing.compute_s,
        timing.encode_s,
    )


def _answer(said: Said) -> Answer:
    outcome = 0 if said.error is None else outcome_of(said.error)
    reply = said.reply
    if reply is None:
        return Answer(said.id, said.part, len(said.body), outcome)
    headers = list(reply.headers) or None
    return Answer(
        said.id, said.part, len(said.body), outcome, reply.status, reply.content_type, headers
    )


class Worker:
    """What the slots of a process share: the model, and the requests that are in it."""

    def __init__(self, hold: Hold) -> None:
        started = time.perf_counter()
        spec = hold.spec
        self.spec = spec
        self._opened: Opened = open_spec(spec, hold.threads, hold.may_spin)
        is_async = self._opened.signature.is_async
        self._coroutines = _coroutines() if is_async else None
        warmth = warm(self._opened, self._coroutines)
        decision = threads.decide(
            spec.settings,
            threads.available_cores(),
            is_thread_safe=self._opened.is_thread_safe,
            is_async=is_async,
            item_s=warmth.item_s,
        )
        gain = threads.choose_batch(warmth.costs) if warmth.costs else _MAX_AUTO_ROWS
        max_batch = spec.settings.max_batch or (
            gain if self._opened.signature.is_batched else _item_batch(warmth.item_s)
        )
        max_rows = spec.settings.max_rows or max(gain, 1)
        self._bounds = Bounds(max_rows, hold.max_body_bytes, spec.settings.timeout_s)
        self._codecs = {
            name: plugins.load("protocols", name) for name in plugins.names("protocols")
        }
        self._tickets: dict[tuple[int, int], Ticket] = {}
        self._early = EarlyCancels()
        self._gate = Gate()
        self.loaded = Loaded(
            description=self._opened.description,
            workers=decision.workers,
            slots=decision.slots,
            max_batch=max_batch,
            max_rows=max_rows,
            item_s=warmth.item_s,
            load_s=time.perf_counter() - started,
            why=f"{decision.why}; {self._opened.note}" if self._opened.note else decision.why,
        )
        # What is loaded stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 50, 50)
        self.slots = [Slot(self, i) for i in range(decision.slots)]

    def admit(self, gateway: int, grab: frames.Grab, buffers: memoryview) -> list[Ticket]:
        """Make tickets of a grab, and keep them where a cancel finds them."""
        now, at, tickets = time.monotonic(), 0, []
        for entry in grab.entries:
            body = buffers[at : at + entry.size]
            at += entry.size
            headers = entry.headers or {}
            ask = Ask(
                entry.op,
                self.spec.name,
                self.spec.version,
                body,
                headers,
                entry.query,
                entry.request_id,
            )
            ticket = Ticket(entry.id, self._codec(entry.codec), ask, now + entry.budget_s)
            ticket.timeout_s = round(entry.budget_s, 3)
            ticket.coding = headers.get("content-encoding", "")
            ticket.is_alone = entry.is_alone
            self._tickets[gateway, entry.id] = ticket
            if self._early.take(gateway, entry.id):
                ticket.cancel()
            tickets.append(ticket)
        return tickets

    def _codec(self, name: str) -> Any:
        """A protocol by its name; one of a third party is opened on its first request."""
        codec = self._codecs.get(name)
        if codec is None:
            codec = self._codecs[name] = plugins.load("protocols", name)
        return codec

    def perform(self, tickets: list[Ticket], say: Say, begin: Callable[[], None]) -> None:
        """Run a grab; a suspect waits until it is alone, and `begin` tells that it is."""
        await_all = self._coroutines.await_all if self._coroutines else None
        run = Run(self._opened, self._bounds, say, await_all)
        if not tickets:  # a probe, which waits for nobody
            run.run(tickets)
            return
        if tickets[0].is_alone:
            with self._gate.alone():
                begin()
                run.run(tickets)
        else:
            with self._gate.together():
                run.run(tickets)

    def dismiss(self, gateway: int, tickets: list[Ticket]) -> None:
        """Forget the tickets of a grab that is done."""
        for ticket in tickets:
            self._tickets.pop((gateway, ticket.id), None)

    def cancel(self, gateway: int, ids: "list[int] | tuple[int, ...]") -> None:
        """Nobody waits for these any more; called from the main thread."""
        for id in ids:
            # Noted first: whichever thread is later sees what the other one did.
            self._early.note(gateway, id)
            ticket = self._tickets.get((gateway, id))
            if ticket is not None:
                ticket.cancel()

    def meet(self, gateway: int) -> None:
        """A gateway is new; an earlier one of its number may have asked for the same ids."""
        self._early.forget(gateway)

    def close(self) -> None:
        """Let the predictor tidy up."""
        self._opened.close()
        if self._coroutines is not None:
            self._coroutines.close()


def _item_batch(item_s: float | None) -> int:
    """How many items a one-item predictor takes at once: one, unless an item is cheap."""
    return _MAX_AUTO_ROWS if item_s is not None and item_s < 0.001 else 1


def _coroutines() -> "Coroutines":
    from headway.engine.coroutines import Coroutines  # noqa: PLC0415  (asyncio, for async ones only)

    return Coroutines()


class Control:
    """The main thread: what the supervisor and the gateways say outside the data path."""

    def __init__(self, supervisor: Channel, worker: Worker) -> None:
        self._supervisor = supervisor
        self._worker = worker
        self._gateways: dict[int, tuple[int, Channel]] = {}
        self._poll = select.poll()
        self._poll.register(supervisor, select.POLLIN)

    def run(self) -> None:
        """Listen until told to leave, or until the supervisor is gone."""
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._supervisor.fileno():
                    messages = self._supervisor.read()
                    if messages is None or not all(self._hear(m, fds) for m, fds in messages):
                        return
                else:
                    self._hear_gateway(fd)

    def _hear(self, message: Message, fds: list[int]) -> bool:
        if isinstance(message, Ping):
            self._supervisor.send(Pong())
        elif isinstance(message, Meet):
            self._meet(message.gateway, fds)
        return not isinstance(message, Leave)

    def _meet(self, gateway: int, fds: list[int]) -> None:
        socks = [socket.socket(fileno=fd) for fd in fds]
        self._worker.meet(gateway)
        channel = Channel(socks[-1])
        self._gateways[channel.fileno()] = (gateway, channel)
        self._poll.register(channel, select.POLLIN)
        for slot, sock in zip(self._worker.slots, socks[:-1], strict=True):
            slot.meet(Line(gateway, sock))

    def _hear_gateway(self, fd: int) -> None:
        gateway, channel = self._gateways[fd]
        messages = channel.read()
        if messages is None:
            self._poll.unregister(fd)
            del self._gateways[fd]
            channel.close()
            return
        for message, _ in messages:
            if isinstance(message, Cancel):
                self._worker.cancel(gateway, list(message.ids))


def main(argv: list[str]) -> int:
    """Be a worker; `argv` holds the descriptors of the control socket and the lifeline, and how to log."""
    # The supervisor decides when a worker ends; a Ctrl-C at the terminal reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(argv[0])))
    end_with_parent(int(argv[1]))
    logs.set_up(cast("logs.Format", argv[2]), argv[3], process=argv[4])
    logs.redirect_stdout()
    messages: list[tuple[Message, list[int]]] | None = []
    while messages == []:
        messages = channel.read()
    if not messages or not isinstance(messages[0][0], Hold):
        return 0
    try:
        worker = Worker(messages[0][0])
    except HeadwayError as e:
        if isinstance(e, ModelFailed):
            log.error("load_failed", exc_info=e, extra={"model": messages[0][0].spec.name})
        channel.send(Refused(e.code, str(e)))
        return 0
    channel.send(worker.loaded)
    Control(channel, worker).run()
    worker.close()
    # Daemon threads may be inside native code: leave without waiting for them.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
