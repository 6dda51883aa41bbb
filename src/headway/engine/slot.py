"""A slot: a thread of a worker that runs one grab at a time: receive, run (`grab`), send. Thin I/O.

It has a data socket to each gateway. Its one credit is lent to one gateway at a time; to whom, `loan` decides.
"""

import logging
import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from headway.engine import frames
from headway.engine.allocator import Allocator
from headway.engine.frames import Answer, Framer, Replies
from headway.engine.inbox import Inbox
from headway.engine.loan import Loan, Notice, Notices
from headway.engine.ticket import Said, Say, Ticket, Timing
from headway.observe.metrics import outcome_of

log = logging.getLogger(__name__)

EXIT_BROKEN = 70
"""A slot met something that is no Exception, or a bug of ours: start afresh."""

_RECEIVE_BYTES = 1 << 18
_MAX_RECEIVE_BYTES = 1 << 24
_NOTICES: dict[Notice, frames.Message] = {
    Notice.CREDIT: frames.Credit(),
    Notice.RECALL: frames.Recall(),
}


class Owner(Protocol):
    """What a slot needs of its worker."""

    def admit(self, gateway: int, grab: frames.Grab, buffers: memoryview) -> list[Ticket]:
        """Make tickets of a grab."""
        ...

    def perform(self, tickets: list[Ticket], say: Say, begin: Callable[[], None]) -> None:
        """Run a grab."""
        ...

    def dismiss(self, gateway: int, tickets: list[Ticket]) -> None:
        """Forget a grab that is done."""
        ...


@dataclass(slots=True, eq=False)
class Line:
    """A slot's data socket to one gateway."""

    gateway: int
    sock: socket.socket
    framer: Framer = field(default_factory=Framer)
    waiting: list[tuple[frames.Message, memoryview]] = field(default_factory=list)
    """What came for the slot while a stream's predictor read the socket."""


class Slot(threading.Thread):
    """A thread that runs one grab at a time."""

    def __init__(self, owner: Owner, index: int) -> None:
        super().__init__(name=f"slot-{index}", daemon=True)
        self._owner = owner
        self._loan = Loan()
        self._allocator = Allocator()
        self._lines: dict[int, Line] = {}
        """By gateway."""
        self._by_fd: dict[int, Line] = {}
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
            line = self._by_fd.get(fd)
            if line is not None:
                self._receive(line)
            elif fd == self._ear.fileno():
                self._ear.recv(64)
                self._welcome()

    def _welcome(self) -> None:
        while self._newcomers:
            line = self._newcomers.pop(0)
            earlier = self._lines.get(line.gateway)
            if earlier is not None:  # its process was replaced, and its end not read yet
                self._part(earlier)
            self._lines[line.gateway] = self._by_fd[line.sock.fileno()] = line
            self._poll.register(line.sock, select.POLLIN)
            self._tell(self._loan.join(line.gateway))

    def _receive(self, line: Line) -> None:
        framer = line.framer
        try:
            size = max(_RECEIVE_BYTES, min(framer.missing, _MAX_RECEIVE_BYTES))
            data = line.sock.recv(size)
        except OSError:
            data = b""
        if not data:
            self._part(line)
            return
        for frame in framer.feed(data):
            self._take(line, *frames.decode(frame))
            while line.waiting:
                self._take(line, *line.waiting.pop(0))

    def _take(self, line: Line, message: frames.Message, buffers: memoryview) -> None:
        """Do what a gateway says; an item for a stream that has ended is dropped."""
        if isinstance(message, frames.Grab):
            self._run(line, message, buffers)
        elif isinstance(message, frames.Want):
            self._tell(self._loan.want(line.gateway))
        elif isinstance(message, frames.Return):
            self._tell(self._loan.returned(line.gateway))

    def _run(self, line: Line, grab: frames.Grab, buffers: memoryview) -> None:
        self._allocator.expect(len(buffers))
        tickets = self._owner.admit(line.gateway, grab, buffers)
        keeps = False
        for entry, ticket in zip(grab.entries, tickets, strict=True):
            if grab.questions[entry.question].is_fed:
                ticket.feed = Inbox(line, ticket.id, ticket.cancel)

        def say(said: list[Said], timing: Timing, is_last: bool) -> None:
            nonlocal keeps
            keeps = is_last and self._loan.keeps(line.gateway)
            replies = _replies(said, timing, is_last=is_last, is_credit=keeps)
            self._send(line, replies, [s.body for s in said])

        try:
            self._owner.perform(tickets, say, lambda: self._send(line, frames.Begun()))
        finally:
            self._owner.dismiss(line.gateway, tickets)
        if not keeps:
            self._tell(self._loan.returned(line.gateway))

    def _part(self, line: Line) -> None:
        """A gateway is gone."""
        self._poll.unregister(line.sock)
        del self._lines[line.gateway], self._by_fd[line.sock.fileno()]
        line.sock.close()
        self._tell(self._loan.left(line.gateway))

    def _tell(self, notices: Notices) -> None:
        for gateway, notice in notices:
            self._send(self._lines[gateway], _NOTICES[notice])

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
        timing.shortages,
        timing.recalled,
    )


def _answer(said: Said) -> Answer:
    outcome = 0 if said.error is None else outcome_of(said.error)
    reply = said.reply
    if reply is None:
        return Answer(said.id, said.part, len(said.body), outcome)
    headers = list(reply.headers) or None
    return Answer(
        said.id,
        said.part,
        len(said.body),
        outcome,
        reply.status,
        reply.content_type,
        headers,
        said.is_mixed,
    )
