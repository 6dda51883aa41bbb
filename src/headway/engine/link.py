"""A gateway's side of a worker: the data socket to each slot, and the control socket. Thin I/O.

A slot that is free has lent its credit to this gateway or to another one; a grab spends it.
"""

import asyncio
import math
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headway.engine import frames
from headway.engine.channel import Channel
from headway.engine.frames import Framer, Replies
from headway.engine.life import Flight, State
from headway.engine.messages import Loaded
from headway.engine.spans import Spent

if TYPE_CHECKING:
    from headway.engine.pool import Pool


_LARGE_BYTES = 64 * 2**10
_FEW = 64
"""A frame of so few buffers, one of them large, is sent without being joined first."""


class Owner(Protocol):
    """Whom a link tells what has come: the gateway."""

    def answered(self, link: "SlotLink", replies: Replies, buffers: memoryview) -> None:
        """A slot has answered some of a grab."""
        ...

    def link_lost(self, link: "SlotLink") -> None:
        """A slot's socket has closed."""
        ...


class SlotLink(asyncio.Protocol):
    """A gateway's end of the data socket to one slot."""

    def __init__(self, owner: "Owner", pool: "Pool", worker: "Peer", sock: socket.socket) -> None:
        self._owner = owner
        self._sock = sock
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self.pool = pool
        self.worker = worker
        self.flights: dict[int, Flight] = {}
        self.has_credit = False
        self.is_busy = False
        """The slot has a grab of ours."""
        self.has_asked = False
        """A Want of ours is unanswered."""
        self.asked_at = 0.0
        self.is_recalled = False
        """Another gateway wants the credit: it goes back, unless it is spent in this turn of the loop."""
        self.is_blamed = False
        """The grab that the slot has counts as failed already."""
        self.probe: asyncio.Future[bool] | None = None
        self.heard_at = time.monotonic()
        self.busy_until = 0.0
        self.is_held = False
        """Nothing is read of the slot: who gets its stream does not take it."""
        self.spent: Spent | None = None
        """What it has told of the grab that it has; kept where somebody looks (`witness`)."""

    def connection_made(self, transport: Any) -> None:
        """The link is up."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker is gone, or has left."""
        self._transport = None
        self._owner.link_lost(self)

    def data_received(self, data: bytes) -> None:
        """Answers, or a credit."""
        self.heard_at = time.monotonic()
        for frame in self._framer.feed(data):
            message, buffers = frames.decode(frame)
            self._answer_probe(message)
            if isinstance(message, Replies):
                self._take_replies(message, buffers)
            elif isinstance(message, frames.Credit):
                self._take_credit()
            elif isinstance(message, frames.Begun):
                for flight in self.flights.values():
                    flight.attempts += 1
            elif isinstance(message, frames.Recall):
                self.is_recalled = self.has_credit
                self.pool.recalled(self)

    def _take_replies(self, replies: Replies, buffers: memoryview) -> None:
        """The slot's next grab leaves before the answers do, so that it need not wait for them."""
        self.is_busy = not replies.is_last
        if replies.is_last:
            self.pool.done(self)
        if replies.is_credit:
            self._take_credit()
        self._owner.answered(self, replies, buffers)
        if replies.is_last:
            self.pool.go_on(self)

    def _take_credit(self) -> None:
        self.has_asked = False  # a Want that is under way reaches a slot that has nothing to lend
        self.has_credit = True
        self.pool.credited(self)

    def send(self, message: frames.Message, buffers: Sequence[bytes] = ()) -> None:
        """Send a frame; if the worker is gone, `connection_lost` says so soon."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        pieces = frames.pieces(message, buffers)
        if len(buffers) <= _FEW and any(len(b) > _LARGE_BYTES for b in buffers):
            transport.writelines(pieces)
            return
        data = b"".join(pieces)
        # Older transports send at the end of this turn of the loop only, and the slot is idle now.
        sent = 0 if transport.get_write_buffer_size() else self._send_now(data)
        if sent < len(data):
            transport.write(data[sent:] if sent else data)

    def pause_writing(self) -> None:
        """The slot does not take what its streams' callers send."""
        self._hold_input(is_held=True)

    def resume_writing(self) -> None:
        """It does again."""
        self._hold_input(is_held=False)

    def _hold_input(self, *, is_held: bool) -> None:
        for flight in self.flights.values():
            if flight.ask.is_fed and flight.state is State.STREAMING:
                flight.exchange.hold_input(is_held=is_held)

    def hold(self, *, is_held: bool) -> None:
        """Read nothing more of the slot, or go on: a slot that has a stream has nothing else to say.

        What it makes meanwhile fills the socket, and then it waits.
        """
        if self.is_held is is_held:
            return
        self.is_held = is_held
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if is_held:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def _send_now(self, data: bytes) -> int:
        """Send what the socket takes at once; how much that was."""
        try:
            return self._sock.send(data)
        except OSError:  # no room, or the worker is gone: the transport will see
            return 0

    def is_overdue(self, now: float) -> bool:
        """The slot has had a grab for longer than a call may hang past its deadline, whosesoever it is."""
        if self.is_busy:
            return now > self.busy_until + self.pool.settings.hang_kill_s
        return self.has_asked and now > self.asked_at + self.pool.longest_turns_s

    @property
    def is_open(self) -> bool:
        """The worker has not hung up."""
        return self._transport is not None

    @property
    def is_lent_elsewhere(self) -> bool:
        """Another gateway has the slot's credit, or a grab in it."""
        return not (self.has_credit or self.is_busy)

    def grab(
        self,
        entries: list[frames.Entry],
        questions: list[frames.Question],
        bodies: Sequence[bytes] = (),
    ) -> None:
        """Spend the slot's credit."""
        self._part_with_credit()
        self.is_busy, self.is_blamed = True, False
        self.busy_until = max(self.busy_until, time.monotonic())
        self.send(frames.Grab(entries, questions), bodies)

    def give_back(self) -> None:
        """Return the slot's credit, if it is here and unspent."""
        if self.has_credit:
            self._part_with_credit()
            self.send(frames.Return())

    def _part_with_credit(self) -> None:
        self.has_credit = self.is_recalled = False
        if self in self.pool.free:  # the pool has no use for a worker that leaves
            self.pool.free.remove(self)

    def want(self) -> None:
        """Ask for the credit that is lent elsewhere."""
        if not self.has_asked:
            self.has_asked = True
            self.asked_at = time.monotonic()
            self.send(frames.Want())

    def take_probe(self) -> asyncio.Future[bool]:
        """Ask a slot for a round trip: an empty grab, or its credit, or the answers of the grab that it has.

        The future ends when it has answered, or the link is gone.
        """
        if self.probe is None:
            self.probe = self.pool.loop.create_future()
            if not self.is_open:
                self.probe.set_result(False)
            elif self.has_credit:
                self.grab([], [])
            elif not self.is_busy:
                self.want()
        return self.probe

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _answer_probe(self, message: frames.Message) -> None:
        """Any word of the slot's own thread is the sign of life that a probe waits for."""
        if self.probe is not None and not isinstance(message, frames.Recall):
            self.probe.set_result(True)
            self.probe = None


class Peer:
    """One worker, as a gateway sees it: its slots and its control socket."""

    def __init__(self, id: int, channel: Channel, loaded: Loaded, generation: int = 0) -> None:
        self.id = id
        self.channel = channel
        self.loaded = loaded
        self.generation = generation
        self.links: list[SlotLink] = []
        self.is_suspended = False
        """It gets nothing new: it is silent, or ejected, or both."""
        self._is_silent = self._is_ejected = False
        self.is_doubted = False
        """Its last grab failed."""
        self.is_leaving = False
        self.reported_at = -math.inf
        """When the supervisor was last told that a slot of it hangs."""
        self.may_retry: bool | None = None
        """Whether what was in it is tried again; None while it lives."""
        self.end: str | None = None
        """What callers may be told of its end ("": nothing); None before the supervisor has said so."""
        self.lost: list[Flight] = []
        """They were in it when it died, are not tried again, and wait for the supervisor's word of what it died of."""

    def rest(self, *, is_silent: bool | None = None, is_ejected: bool | None = None) -> None:
        """Take it out of rotation, or let it in again; None changes nothing."""
        self._is_silent = self._is_silent if is_silent is None else is_silent
        self._is_ejected = self._is_ejected if is_ejected is None else is_ejected
        self.is_suspended = self._is_silent or self._is_ejected

    def is_idle(self) -> bool:
        """Nothing of ours is in it."""
        return not any(link.flights or link.is_busy for link in self.links)
