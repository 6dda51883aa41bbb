"""What a gateway does with a request between its protocol and a worker: admit, queue, send, match, answer.

It reads no body and imports no user code. Answers are matched to requests by id; who waits for an answer is told
exactly once (`life`). Each model has a pool: its queue (`batcher`) and the slots that serve it.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headway import errors, plugins
from headway.config import ModelSettings
from headway.engine import frames
from headway.engine.batcher import Batcher, Limits
from headway.engine.channel import Channel
from headway.engine.deadlines import Deadlines
from headway.engine.frames import Answer, Entry, Framer, Replies
from headway.engine.life import Act, Event, Flight, State
from headway.engine.messages import Cancel, Join, Joined, Loaded, Parted
from headway.errors import HeadwayError
from headway.model.call import Description
from headway.observe.metrics import OUTCOMES, Tally, outcome_of
from headway.protocols import Ask, Codec, Reply

log = logging.getLogger(__name__)

PROBE_S = 0.5
"""A slot that is idle must answer a probe within this to count as alive."""
EVIDENCE_S = 1.0
"""A sign of life that is older than this is none."""

_OUTCOME_CANCELLED = OUTCOMES.index("cancelled")


class Exchange(Protocol):
    """Who waits for an answer: a connection of the server's, or a test.

    `serial` tells its requests apart: an answer to an earlier one is dropped.
    """

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take a whole answer."""
        ...

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        """Take the head of a streamed answer."""
        ...

    def send_chunk(self, serial: int, data: bytes) -> None:
        """Take a piece of a streamed answer."""
        ...

    def end_stream(self, serial: int) -> None:
        """Take the end of a streamed answer."""
        ...

    def abort(self, serial: int) -> None:
        """Cut a streamed answer off: nobody knows how it would have ended."""
        ...


Caller = tuple[Exchange, int, str]
"""The exchange, the request's serial number on it, and its request id."""


class SlotLink(asyncio.Protocol):
    """A gateway's end of the data socket to one slot."""

    def __init__(self, gateway: "Gateway", pool: "Pool", worker: "Peer") -> None:
        self._gateway = gateway
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self.pool = pool
        self.worker = worker
        self.flights: dict[int, Flight] = {}
        self.has_credit = False
        self.has_asked = False
        self.probe: asyncio.Future[bool] | None = None
        self.heard_at = time.monotonic()
        self.busy_until = 0.0

    def connection_made(self, transport: Any) -> None:
        """The link is up."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker is gone, or has left."""
        self._transport = None
        self._gateway.link_lost(self)

    def data_received(self, data: bytes) -> None:
        """Answers, or a credit."""
        self.heard_at = time.monotonic()
        for frame in self._framer.feed(data):
            message, buffers = frames.decode(frame)
            if isinstance(message, Replies):
                self._gateway.answered(self, message, buffers)
                if message.is_credit:
                    self._credited()
                elif message.is_last:
                    self.pool.demand()
            elif isinstance(message, frames.Credit):
                self.has_asked = False
                self._credited()
            elif isinstance(message, frames.Recall) and self.has_credit:
                self.pool.free.remove(self)
                self.has_credit = False
                self.send(frames.Return())
                self.pool.demand()

    def send(self, message: frames.Message, buffers: Sequence[bytes] = ()) -> None:
        """Send a frame; if the worker is gone, `connection_lost` says so soon."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.encode(message, buffers))

    def take_probe(self) -> asyncio.Future[bool]:
        """Ask the idle slot for a round trip; the future ends when it has answered, or the link is gone."""
        if self.probe is None:
            self.probe = self._gateway.loop.create_future()
            self.pool.free.remove(self)
            self.has_credit = False
            self.send(frames.Grab([]))
        return self.probe

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _credited(self) -> None:
        self.has_credit = True
        if self.probe is not None:
            self.probe.set_result(True)
            self.probe = None
        self.pool.credited(self)


class Peer:
    """One worker, as a gateway sees it: its slots and its control socket."""

    def __init__(self, id: int, channel: Channel, loaded: Loaded) -> None:
        self.id = id
        self.channel = channel
        self.loaded = loaded
        self.links: list[SlotLink] = []
        self.is_suspended = False
        self.is_leaving = False

    def is_idle(self) -> bool:
        """Nothing of ours is in it."""
        return not any(link.flights for link in self.links)


class Pool:
    """One model: its queue and the slots that serve it."""

    def __init__(self, gateway: "Gateway", name: str, tally: Tally) -> None:
        self._gateway = gateway
        self.name = name
        self.tally = tally
        self.settings = ModelSettings()
        self.batcher = Batcher(Limits())
        self.links: list[SlotLink] = []
        self.free: list[SlotLink] = []
        self.description: Description | None = None
        self.trouble = "no worker has loaded it yet"
        self.in_flight = 0
        self._is_woken = False
        self._hold_timer: asyncio.TimerHandle | None = None

    def configure(self, settings: ModelSettings, loaded: Loaded, gateways: int) -> None:
        """Take on what a loaded worker says of the model; bounds are shared out among the gateways."""
        self.settings = settings
        self.description = loaded.description
        self.batcher.limits = Limits(
            max(1, settings.max_queue // gateways),
            max(1, settings.max_queue_bytes // gateways),
            loaded.max_batch,
            settings.max_batch_bytes,
            settings.hold_s,
        )

    def credited(self, link: SlotLink) -> None:
        """A slot is free for us."""
        if link.worker.is_leaving:
            self._gateway.part_if_idle(link.worker)
            return
        self.free.append(link)
        self.wake()

    def wake(self) -> None:
        """Send what waits, once all that this turn of the loop has read is queued."""
        if not self._is_woken and self.batcher.queued:
            self._is_woken = True
            self._gateway.loop.call_soon(self._dispatch)

    def demand(self) -> None:
        """Ask the slots whose credit is lent elsewhere, if something waits and none is free."""
        if self.batcher.queued and not self.free:
            for link in self.links:
                if not (link.has_credit or link.has_asked or link.flights or link.worker.is_leaving):
                    link.has_asked = True
                    link.send(frames.Want())

    def _dispatch(self) -> None:
        self._is_woken = False
        self._hold_timer = None
        while self.free and self.batcher.queued:
            link = next((free for free in self.free if not free.worker.is_suspended), None)
            if link is None:
                return
            now = time.monotonic()
            grab = self.batcher.take(len(self.links), now)
            if not grab:
                self._hold(now)
                return
            self.free.remove(link)
            link.has_credit = False
            self._send(link, grab, now)
        self.demand()

    def gauge(self) -> None:
        """Write what waits and what is under way where everybody can read it."""
        self.tally.queue_depth = self.batcher.queued
        self.tally.queue_bytes = self.batcher.queued_bytes
        self.tally.in_flight = self.in_flight

    def _hold(self, now: float) -> None:
        if self._hold_timer is None and self.batcher.queued:
            wait_s = max(0.0, self.batcher.hold_until(now) - now)
            self._hold_timer = self._gateway.loop.call_later(wait_s, self._dispatch)

    def _send(self, link: SlotLink, grab: list[Flight], now: float) -> None:
        entries = []
        for flight in grab:
            flight.step(Event.DISPATCH)
            flight.sent_at = now
            flight.slot = link
            flight.attempts += 1
            link.flights[flight.id] = flight
            ask: Question = flight.ask
            entries.append(
                Entry(
                    flight.id, ask.codec, ask.op, flight.size, flight.deadline - now,
                    flight.request_id, ask.headers, ask.query, flight.is_alone,
                )
            )
        link.busy_until = max(f.deadline for f in grab)
        link.send(frames.Grab(entries), [f.body for f in grab])
        self.tally.grabbed(len(grab))
        self.gauge()


@dataclass(frozen=True, slots=True)
class Question:
    """What a request's head asks, as the server hands it over; requests with equal heads share one."""

    codec: str
    op: str
    headers: dict[str, str] | None = None
    """Only those that the codec or the predictor declares."""
    query: str = ""
    priority: int = 1
    timeout_s: float | None = None


class Gateway:
    """The requests under way in this process, the pools that they wait in, and the workers that answer them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tallies: Mapping[str, Tally],
        tell: Callable[[Any], object],
        gateways: int = 1,
    ) -> None:
        self.loop = loop
        self.pools = {name: Pool(self, name, tally) for name, tally in tallies.items()}
        self.late = 0
        """Answers that came when nobody waited any more."""
        self._tell = tell
        self._gateways = gateways
        self._flights: dict[int, Flight] = {}
        self._deadlines = Deadlines()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._peers: dict[int, Peer] = {}
        self._codecs: dict[str, Codec] = {}
        self._serial = 0

    @property
    def in_flight(self) -> int:
        """Requests that wait for an answer."""
        return len(self._flights)

    # Requests come and go

    def submit(
        self, pool: Pool, question: Question, body: bytes, caller: Caller
    ) -> int:
        """Take a request; its answer, or its refusal, goes to the caller's exchange, exactly once.

        Returns:
            The request's id, to `leave` with; 0 if it was refused at once.
        """
        now = time.monotonic()
        limit_s = pool.settings.timeout_s
        timeout_s = limit_s if question.timeout_s is None else min(question.timeout_s, limit_s)
        self._serial = id = self._serial + 1
        flight = Flight(id, body, queued_at=now, timeout_s=timeout_s)
        flight.ask = question
        flight.exchange, flight.serial, flight.request_id = caller
        flight.pool = pool
        flight.priority = question.priority
        error = self._refusal(pool, flight)
        if error is not None:
            pool.tally.answered(outcome_of(error), 0.0, 0.0)
            self._tell_error(flight, error)
            return 0
        self._flights[id] = flight
        self._deadlines.add(flight)
        if self._alarm is None or flight.deadline < self._alarm_at:
            self._set_alarm()
        pool.in_flight += 1
        if pool.free:
            pool.wake()
        else:
            pool.demand()
        return id

    def leave(self, id: int) -> None:
        """The caller of a request is gone."""
        flight = self._flights.get(id)
        if flight is None:
            return
        act = flight.step(Event.CANCEL)
        self._end(flight, _OUTCOME_CANCELLED)
        if act is Act.WITHDRAW:
            flight.pool.batcher.withdraw(flight)
        elif act is Act.RECALL:
            self._stop(flight)

    def codec(self, name: str) -> Codec:
        """A protocol by its name."""
        codec = self._codecs.get(name)
        if codec is None:
            codec = self._codecs[name] = plugins.load("protocols", name)  # type: ignore[assignment]
        return codec

    def _refusal(self, pool: Pool, flight: Flight) -> HeadwayError | None:
        if not pool.links:
            return errors.NotReady(model=pool.name, reason=pool.trouble or "no worker is ready")
        if flight.timeout_s <= 0:
            return errors.DeadlineError(timeout_s=flight.timeout_s)
        full = pool.batcher.offer(flight)
        return errors.QueueFull(model=pool.name, limit=full) if full else None

    # Answers

    def answered(self, link: SlotLink, replies: Replies, buffers: memoryview) -> None:
        """A slot has answered some of a grab."""
        at = 0
        for answer in replies.answers:
            body = bytes(buffers[at : at + answer.size])
            at += answer.size
            flight = link.flights.get(answer.id)
            if flight is None or flight.state is State.DONE:
                self.late += 1
                link.flights.pop(answer.id, None)
                continue
            if answer.part == frames.WHOLE:
                flight.step(Event.ANSWER)
                self._end(flight, answer.outcome)
                flight.exchange.finish(flight.serial, _reply(answer, body), flight.request_id)
            else:
                self._streamed(flight, answer, body)
        if replies.batches:
            tally = link.pool.tally
            for rows in replies.batches:
                tally.executed(rows, replies.decode_s, replies.compute_s, replies.encode_s)
                replies.decode_s = replies.compute_s = replies.encode_s = 0.0
        if replies.is_last:
            link.pool.gauge()

    def _streamed(self, flight: Flight, answer: Answer, body: bytes) -> None:
        exchange, serial = flight.exchange, flight.serial
        if answer.part == frames.HEAD:
            flight.step(Event.HEAD)
            exchange.start_stream(serial, _reply(answer, b""), flight.request_id)
        elif answer.part == frames.CHUNK:
            flight.step(Event.CHUNK)
            exchange.send_chunk(serial, body)
        else:
            flight.step(Event.END)
            self._end(flight, answer.outcome)
            exchange.end_stream(serial)

    def _end(self, flight: Flight, outcome: int) -> None:
        """Account for a request that is over."""
        del self._flights[flight.id]
        self._deadlines.discard(flight)
        if flight.slot is not None:
            flight.slot.flights.pop(flight.id, None)
        now = time.monotonic()
        pool = flight.pool
        pool.in_flight -= 1
        waited_s = (flight.sent_at or now) - flight.queued_at
        pool.tally.answered(outcome, now - flight.queued_at, waited_s)

    def _fail(self, flight: Flight, error: HeadwayError) -> None:
        """Answer a request that is over with an error."""
        self._end(flight, outcome_of(error))
        self._tell_error(flight, error)

    def _tell_error(self, flight: Flight, error: HeadwayError) -> None:
        """An error in the question's own dialect."""
        question = flight.ask
        ask = Ask(question.op, flight.pool.name, "", b"", question.headers or {}, question.query, flight.request_id)
        flight.exchange.finish(flight.serial, self.codec(question.codec).render(ask, error), flight.request_id)

    def _stop(self, flight: Flight) -> None:
        """Tell the worker that nobody waits for a request any more."""
        flight.slot.worker.channel.send(Cancel([flight.id]))

    # Time

    def _set_alarm(self) -> None:
        due = self._deadlines.next()
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if due is not None:
            self._alarm_at = due
            self._alarm = self.loop.call_later(max(0.0, due - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        for flight in self._deadlines.due(time.monotonic()):
            act = flight.step(Event.EXPIRE)
            if act is Act.REFUSE_LATE:
                flight.pool.batcher.withdraw(flight)
            elif act in (Act.STOP_LATE, Act.BREAK_OFF):
                self._stop(flight)
            if act is Act.BREAK_OFF:
                self._end(flight, outcome_of(errors.DeadlineError()))
                flight.exchange.abort(flight.serial)
            elif act is not Act.DROP:
                self._fail(flight, errors.DeadlineError(timeout_s=flight.timeout_s))
        self._set_alarm()

    # Workers come and go

    async def join(self, message: Join, fds: Sequence[int]) -> None:
        """Link up with a loaded worker, and say Joined when every slot has shown a sign of life."""
        socks = [socket.socket(fileno=fd) for fd in fds]
        socks[-1].settimeout(PROBE_S)
        peer = Peer(message.worker, Channel(socks[-1]), message.loaded)
        pool = self.pools[message.model]
        self._peers[peer.id] = peer
        pool.configure(message.settings, message.loaded, self._gateways)
        for sock in socks[:-1]:
            sock.setblocking(False)
            link = SlotLink(self, pool, peer)
            peer.links.append(link)
            await self.loop.create_unix_connection(lambda link=link: link, sock=sock)  # type: ignore[misc]
        pool.links += peer.links
        pool.trouble = ""
        self._tell(Joined(peer.id))
        pool.wake()
        pool.demand()

    def suspend(self, worker: int, *, is_suspended: bool) -> None:
        """Send a worker nothing new, or let it have requests again."""
        peer = self._peers.get(worker)
        if peer is not None:
            peer.is_suspended = is_suspended
            for link in peer.links:
                link.pool.wake()

    def part(self, worker: int) -> None:
        """Let a worker end what it has of ours, and send it nothing new."""
        peer = self._peers.get(worker)
        if peer is None:
            self._tell(Parted(worker))
            return
        peer.is_leaving = True
        for link in peer.links:
            if link in link.pool.free:
                link.pool.free.remove(link)
            if link in link.pool.links:
                link.pool.links.remove(link)
        self.part_if_idle(peer)

    def forget(self, worker: int) -> None:
        """A worker's process has ended; its sockets say so too."""
        peer = self._peers.pop(worker, None)
        if peer is not None:
            for link in peer.links:
                link.close()
            peer.channel.close()

    def part_if_idle(self, peer: Peer) -> None:
        """Hang up on a leaving worker that has nothing of ours any more."""
        if peer.is_leaving and peer.is_idle() and self._peers.pop(peer.id, None):
            for link in peer.links:
                link.close()
            peer.channel.close()
            self._tell(Parted(peer.id))

    def link_lost(self, link: SlotLink) -> None:
        """A slot's socket has closed: what was in it is tried again, alone, or given up."""
        pool = link.pool
        for links in (pool.links, pool.free):
            if link in links:
                links.remove(link)
        link.has_credit = False
        if link.probe is not None:
            link.probe.set_result(False)
            link.probe = None
        if link.worker.is_leaving:
            self.part_if_idle(link.worker)
        if not pool.links:
            pool.trouble = "its workers have died and are being restarted"
        for flight in reversed(list(link.flights.values())):
            self._lose(flight)
        link.flights.clear()
        pool.wake()
        pool.demand()

    def trouble(self, model: str, reason: str) -> None:
        """A model has no workers and will not have any soon: refuse what waits for it."""
        pool = self.pools[model]
        pool.trouble = reason
        if reason and not pool.links:
            for flight in pool.batcher.drain():
                flight.state = State.DONE
                self._fail(flight, errors.NotReady(model=model, reason=reason))

    def _lose(self, flight: Flight) -> None:
        pool = flight.pool
        is_idempotent = pool.description is None or pool.description.is_idempotent
        act = flight.lose(is_idempotent=is_idempotent)
        if act is Act.RETRY:
            flight.slot = None
            pool.batcher.put_back(flight)
        elif act is Act.GIVE_UP and is_idempotent:
            self._fail(flight, errors.ModelCrashed(attempts=flight.attempts))
        elif act is Act.GIVE_UP:
            self._fail(flight, errors.WorkerLost())
        elif act is Act.BREAK_OFF:
            self._end(flight, outcome_of(errors.WorkerLost()))
            flight.exchange.abort(flight.serial)

    # Facts

    async def is_ready(self, pool: Pool) -> bool:
        """Whether some slot of a model is alive: by a sign of life under a second old, or by a probe now."""
        now = time.monotonic()
        links = [link for link in pool.links if not link.worker.is_suspended]
        if any(now - link.heard_at < EVIDENCE_S or (link.flights and now < link.busy_until) for link in links):
            return True
        probes = [link.take_probe() for link in links if link.has_credit or link.probe is not None]
        if not probes:
            return False
        done, _ = await asyncio.wait(probes, timeout=PROBE_S, return_when=asyncio.FIRST_COMPLETED)
        return any(probe.result() for probe in done)


def _reply(answer: Answer, body: bytes) -> Reply:
    return Reply(answer.status, body, answer.content_type, answer.headers or ())
