"""The process that holds a model: it loads it, warms it, and runs grabs in its slots.

    main thread     the control channels: meet gateways, cancel, answer pings, leave
    slot threads    one grab at a time each (`slot`)

Workers own no counters: what a grab cost rides in its replies.
"""

import gc
import logging
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from headway import plugins
from headway.engine import fetch, frames, threads
from headway.engine.allocator import give_back
from headway.engine.cancels import EarlyCancels
from headway.engine.cap import Cap
from headway.engine.channel import Channel
from headway.engine.gate import Gate
from headway.engine.known import known_of
from headway.engine.messages import (
    Cancel,
    Hold,
    Leave,
    Level,
    Loaded,
    Meet,
    Message,
    Ping,
    Pong,
    Refused,
)
from headway.engine.orphan import end_with_parent
from headway.engine.questions import Questions
from headway.engine.slot import Line, Slot
from headway.engine.ticket import Bounds, Say, Ticket
from headway.engine.warm import warm
from headway.errors import HeadwayError, ModelFailed
from headway.model.opening import Opened, open_spec
from headway.observe import log as logs
from headway.protocols import Ask

if TYPE_CHECKING:
    from headway.engine.coroutines import Coroutines

log = logging.getLogger(__name__)

GC_THRESHOLD = 20_000
"""Objects between two looks of the garbage collector: a load makes and keeps many, a grab makes and drops many."""

_MAX_AUTO_ROWS = 64


class Worker:
    """What the slots of a process share: the model, and the requests that are in it."""

    def __init__(self, hold: Hold) -> None:
        started = time.perf_counter()
        spec = hold.spec
        self.spec = spec
        # Before the predictor, which may bring modules with the names of Python's own.
        self._codecs = {
            name: plugins.load("protocols", name) for name in plugins.names("protocols")
        }
        self._opened: Opened = open_spec(spec, hold.threads, hold.may_spin)
        fetch.allow(self._opened, spec.settings.fetch_urls, hold.max_body_bytes)
        is_async = any(q.signature.is_async for q in self._opened.questions)
        is_fed = self._opened.signature.fed is not None
        self._coroutines = _coroutines() if is_async else None
        warmth = warm(self._opened, self._coroutines)
        if self._opened.explain is not None:
            warm(self._opened.explain, self._coroutines)
        decision = threads.decide(
            replace(spec.settings, device=self._opened.device),
            hold.cores,
            is_thread_safe=self._opened.is_thread_safe,
            is_async=is_async or (is_fed and self._opened.is_thread_safe),
            item_s=warmth.item_s,
        )
        if spec.settings.cache_bytes and not self._opened.description.is_cacheable:
            log.warning(
                "cache_unused", extra={"model": spec.name, "reason": _no_cache(self._opened)}
            )
        gain = threads.choose_batch(warmth.costs) if warmth.costs else _MAX_AUTO_ROWS
        max_batch = spec.settings.max_batch or (
            gain if self._opened.signature.is_batched else _item_batch(warmth.item_s)
        )
        for question in self._opened.questions:
            question.wire.max_bytes = hold.max_body_bytes
        if self._opened.signature.is_stream:
            max_batch = 1  # each has a slot of its own: one that waits for its client keeps no other waiting
        max_rows = spec.settings.max_rows or max(gain, 1)
        known = known_of(self._opened.wire, spec.settings, warmth.item_s)
        self._questions = Questions(
            self._opened,
            Bounds(
                Cap(max_rows),
                hold.max_body_bytes,
                spec.settings.timeout_s,
                known,
                spec.settings.compress_bytes,
            ),
            self._coroutines.await_all if self._coroutines else None,
        )
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
        give_back()
        self.slots = [Slot(self, i) for i in range(decision.slots)]

    def admit(self, gateway: int, grab: frames.Grab, buffers: memoryview) -> list[Ticket]:
        """Make tickets of a grab, and keep them where a cancel finds them."""
        now, at, tickets = time.monotonic(), 0, []
        name, version, known = self.spec.name, self.spec.version, self._tickets
        limit_s = self.spec.settings.timeout_s
        asked = [
            (self._codec(q.codec), q, q.headers or {}, min(q.timeout_s or limit_s, limit_s))
            for q in grab.questions
        ]
        for entry in grab.entries:
            end = at + entry.size
            id, budget_s = entry.id, entry.budget_s
            codec, question, headers, timeout_s = asked[entry.question]
            ticket = Ticket(
                id,
                codec,
                Ask(
                    question.op,
                    name,
                    version,
                    buffers[at:end],
                    headers,
                    question.query,
                    entry.request_id,
                ),
                math.inf if question.is_fed else now + budget_s,
                timeout_s,
                headers.get("content-encoding", ""),
                entry.is_alone,
            )
            at = end
            known[gateway, id] = ticket
            if self._early.take(gateway, id):
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
        run = self._questions.run
        if not tickets:  # a probe, which waits for nobody
            run(tickets, say)
            return
        if tickets[0].is_alone:
            with self._gate.alone():
                begin()
                run(tickets, say)
        else:
            with self._gate.together():
                run(tickets, say)

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


def _no_cache(opened: Opened) -> str:
    """Why no answer of a model is kept."""
    if opened.description.is_stream:
        return "it answers in streams, which are not kept"
    return "its predictor says that it is not deterministic"


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

    def run(self, early: Sequence[tuple[Message, list[int]]]) -> None:
        """Listen until told to leave, or until the supervisor is gone; `early` has come already."""
        if not all(self._hear(m, fds) for m, fds in early):
            return
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
        elif isinstance(message, Level):
            logs.set_level(message.level)
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
    """Be a worker; `argv` holds descriptors (control socket, lifeline), how to log, and the one for errors."""
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    # The supervisor decides when a worker ends; a Ctrl-C at the terminal reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(argv[0])))
    end_with_parent(int(argv[1]))
    logs.set_up(cast("logs.Format", argv[2]), argv[3], process=argv[4])
    logs.report_errors(int(argv[5]), process=argv[4])
    logs.redirect_stdout()
    messages: list[tuple[Message, list[int]]] | None = []
    while messages == []:
        messages = channel.read()
    if not messages or not isinstance(messages[0][0], Hold):
        return 0
    hold, rest = messages[0][0], messages[1:]  # more may have come while Python started
    if any(isinstance(message, Leave) for message, _ in rest):
        return 0
    try:
        worker = Worker(hold)
    except HeadwayError as e:
        if isinstance(e, ModelFailed):
            log.error("load_failed", exc_info=e, extra={"model": hold.spec.name})
        channel.send(Refused(e.code, str(e)))
        return 0
    channel.send(worker.loaded)
    Control(channel, worker).run(rest)
    worker.close()
    # Daemon threads may be inside native code: leave without waiting for them.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
