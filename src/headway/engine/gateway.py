"""What a gateway does with a request between its protocol and a worker: admit, queue, send, match, answer.

It reads no body and imports no user code. Answers are matched to requests by id; who waits for an answer is told
exactly once (`life`). Each model has a pool: its queue (`batcher`) and the slots that serve it (`link`).
"""

import asyncio
import math
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from headway import errors, plugins
from headway.engine import frames
from headway.engine.channel import Channel
from headway.engine.deadlines import Deadlines
from headway.engine.exchange import ALONE, NOBODY, Caller, Clients
from headway.engine.frames import GONE, Answer, Feed, Question, Replies
from headway.engine.life import MAX_ATTEMPTS, Act, Event, Flight, State
from headway.engine.link import Peer, SlotLink
from headway.engine.messages import Cancel, Join, Joined, Overdue, Parted
from headway.engine.pool import Pool
from headway.engine.sharing import Sharing
from headway.engine.shelf import is_answer
from headway.errors import HeadwayError
from headway.observe.metrics import OUTCOMES, Tally, outcome_of
from headway.protocols import Ask, Codec, Reply, ending, rendered

PROBE_S = 0.5
"""A slot that is idle must answer a probe within this to count as alive."""
EVIDENCE_S = 1.0
"""A sign of life that is older than this is none."""
REPORT_S = 1.0
"""That a worker hangs is told again after this, for the supervisor may know better for a while."""
LAST_WORD_S = 0.25
"""The supervisor says within this what a worker has died of; a few milliseconds, as a rule."""

_EVENTS = (Event.ANSWER, Event.HEAD, Event.CHUNK, Event.END)
"""What the parts of an answer (`frames.WHOLE`, ...) are in a request's life."""
_ONCE = "the request may not be repeated"
_BEGUN = "its answer had begun"
_TOO_MANY = "too many have died lately for the request to be tried again"
_OUTCOME_CANCELLED = OUTCOMES.index("cancelled")


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
        self.pools = {
            name: Pool(loop, name, tally, self.part_if_idle, tell)
            for name, tally in tallies.items()
        }
        self._tell = tell
        self._gateways = gateways
        self._flights: dict[int, Flight] = {}
        self._deadlines = Deadlines()
        self._sharing = Sharing(self, self._deadlines)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._peers: dict[int, Peer] = {}
        self._codecs: dict[str, Codec] = {}
        self._serial = 0
        self.clients: Clients = ALONE
        """Who is told when a slot's answers come."""

    @property
    def in_flight(self) -> int:
        """Requests that wait for an answer."""
        return len(self._flights)

    # Requests come and go

    def submit(
        self,
        pool: Pool,
        question: Question,
        body: bytes,
        caller: Caller,
        *,
        is_patient: bool = False,
    ) -> int:
        """Take a request; its answer, or its refusal, goes to the caller's exchange, exactly once.

        One that `is_patient` has a job's time, and does not teach how long callers wait.

        Returns:
            The request's id, to `leave` with; 0 if it was refused at once.
        """
        now = time.monotonic()
        shelf, key = pool.shelf, None
        if shelf is not None and pool.trouble is None:
            key = shelf.key(question, body)
            if key is not None and (kept := shelf.find(key, now)) is not None:
                pool.tally.answered(0, 0.0)
                caller[0].finish(caller[1], kept, caller[2])
                return 0
        limit_s = pool.job_s if is_patient else pool.settings.timeout_s
        timeout_s = limit_s if question.timeout_s is None else min(question.timeout_s, limit_s)
        self._serial = id = self._serial + 1
        flight = Flight(
            id,
            body,
            len(body),
            now,
            timeout_s,
            now + timeout_s,
            question,
            pool,
            *caller,
            question.priority,
        )
        if is_patient:
            flight.is_patient = True
        if pool.witness.spans is not None:
            pool.witness.begun(flight)
        error = self.refusal(pool, flight, key)
        if error is not None:
            pool.tally.answered(outcome_of(error), 0.0)
            pool.witness.refused(flight, outcome_of(error))
            self._tell_error(flight, error)
            return 0
        self._flights[id] = flight
        self._deadlines.add(flight)
        if self._alarm is None or flight.deadline < self._alarm_at:
            self._set_alarm()
        if flight.state is State.QUEUED:
            pool.in_flight += 1
            if pool.free:
                pool.wake()
            else:
                pool.demand()
        return id

    def flight(self, id: int) -> Flight | None:
        """A request that waits for its answer."""
        return self._flights.get(id)

    def leave(self, id: int) -> None:
        """The caller of a request is gone."""
        flight = self._flights.get(id)
        if flight is None or flight.exchange is NOBODY:
            return
        if flight.share is not None and flight.share.runs_on(flight):
            self._sharing.leave_to_others(flight, _OUTCOME_CANCELLED)
        else:
            self._drop(flight)

    def _drop(self, flight: Flight) -> None:
        """Nobody waits for a request any more."""
        is_streaming = flight.state is State.STREAMING
        act = flight.step(Event.CANCEL)
        self.end(flight, _OUTCOME_CANCELLED)
        if act is Act.WITHDRAW:
            flight.pool.batcher.withdraw(flight)
        elif act is Act.RECALL:
            self._stop(flight)
        if not is_streaming:
            self._left(flight)

    def _left(self, flight: Flight) -> None:
        """One has left before his answer, or his time is over; who would do the same is refused now."""
        if flight.is_patient:
            return
        pool = flight.pool
        for late in pool.left(flight, time.monotonic()):
            limit = f"{pool.batcher.most} may wait, since others left before their turn"
            error = errors.QueueFull(model=pool.name, limit=limit, retry_after_s=pool.patience_s())
            self._cut_short(late, error)

    def feed(self, id: int, data: bytes, kind: int) -> None:
        """Give a worker what the caller of a stream sends on (`frames.TEXT`, ...)."""
        flight = self._flights.get(id)
        if flight is not None and flight.step(Event.FEED) is Act.PASS_ON:
            flight.slot.send(Feed(id, kind), (data,))

    def choke(self, id: int, *, is_choked: bool) -> None:
        """The caller of a stream does not take what was sent: nothing more of it is read before it does."""
        flight = self._flights.get(id)
        if flight is not None and flight.state is State.STREAMING:
            flight.slot.hold(is_held=is_choked)

    def codec(self, name: str) -> Codec:
        """A protocol by its name."""
        codec = self._codecs.get(name)
        if codec is None:
            codec = self._codecs[name] = plugins.load("protocols", name)
        return codec

    def refusal(self, pool: Pool, flight: Flight, key: bytes | None) -> HeadwayError | None:
        """Why a request may not wait; None: it waits, in the queue or for an equal one."""
        if pool.trouble is not None:
            return pool.trouble
        if flight.timeout_s <= 0:
            return errors.DeadlineError(timeout_s=flight.timeout_s)
        if key is not None and pool.shelf is not None and pool.shelf.attach(key, flight):
            return None
        full = pool.offer(flight)
        if not full:
            if key is not None and pool.shelf is not None:
                pool.shelf.lead(key, flight)
            return None
        return errors.QueueFull(model=pool.name, limit=full, retry_after_s=pool.patience_s())

    # Answers

    def answered(self, link: SlotLink, replies: Replies, buffers: memoryview) -> None:
        """A slot has answered some of a grab."""
        witness = link.pool.witness
        if witness.is_watching:
            witness.heard(link, replies)
        start, answers = 0, replies.answers
        self.clients.begin()
        try:
            for answer in answers:
                stop = start + answer.size
                # Who left, or is late, is no flight of the slot's any more: what comes for it is dropped.
                flight = link.flights.get(answer.id)
                if flight is not None and flight.step(_EVENTS[answer.part]) is Act.DELIVER:
                    self._deliver(flight, answer, bytes(buffers[start:stop]))
                start = stop
        finally:
            self.clients.end()
        tally = link.pool.tally
        for rows in replies.batches or ():
            tally.executed(rows)
        tally.spent(replies.decode_s, replies.compute_s, replies.encode_s)
        if replies.shortages:
            tally.fell_short(replies.shortages)
        if replies.recalled:
            tally.recalled(replies.recalled)
        if answers and (answers[0].outcome or link.worker.is_doubted):
            link.pool.rotation.judge(link, answers)
        if replies.is_last:
            link.pool.gauge()
            if link.spent is not None:
                witness.done(link)

    def _deliver(self, flight: Flight, answer: Answer, body: bytes) -> None:
        exchange, serial, part = flight.exchange, flight.serial, answer.part
        if part == frames.CHUNK:
            exchange.send_chunk(serial, body)
            return
        if part == frames.END:
            self.end(flight, answer.outcome)
            exchange.end_stream(serial, answer.outcome)
            return
        reply = Reply(answer.status, body, answer.content_type, answer.headers or ())
        if part == frames.WHOLE:
            self.end(flight, answer.outcome)
            exchange.finish(serial, reply, flight.request_id)
            if flight.share is not None:
                self._sharing.spread(flight.share, reply, is_answer=is_answer(answer))
        else:
            flight.exchange = exchange.start_stream(serial, reply, flight.request_id) or exchange
            if flight.ask.is_fed:  # from here on its caller decides how long it lasts
                self._deadlines.discard(flight)
                flight.slot.busy_until = math.inf

    def end(self, flight: Flight, outcome: int) -> None:
        """Account for a request that is over."""
        del self._flights[flight.id]
        self._deadlines.discard(flight)
        if flight.slot is not None:
            flight.slot.flights.pop(flight.id, None)
            if flight.slot.is_held:
                flight.slot.hold(is_held=False)
            if flight.ask.is_fed:
                flight.slot.busy_until = time.monotonic()
        share = flight.share
        if share is None or share.end(flight):
            flight.pool.in_flight -= 1
            if flight.pool.detained and not flight.pool.in_flight:
                # Later: whoever ends this one may not be done with its worker.
                self.loop.call_soon(self._release_workers, flight.pool)
        elif share.is_forsaken:
            self._drop(share.run)
        if flight.exchange is not NOBODY:
            now = time.monotonic()
            waited_s = (flight.sent_at or now) - flight.queued_at
            took_s = now - flight.queued_at
            flight.pool.tally.answered(outcome, took_s, waited_s)
            if took_s >= flight.pool.witness.from_s:
                flight.pool.witness.ended(flight, outcome, now)

    def gauge(self) -> None:
        """Write what waits and what is under way now; nothing may have moved since the last grab."""
        for pool in self.pools.values():
            pool.gauge()

    def fail(self, flight: Flight, error: HeadwayError) -> None:
        """Answer a request that is over with an error; so are those that waited for its answer."""
        self.end(flight, outcome_of(error))
        self._tell_error(flight, error)
        if flight.share is not None:
            self._sharing.lose(flight.share, flight, error)

    def _tell_error(self, flight: Flight, error: HeadwayError) -> None:
        """An error in the question's own dialect."""
        reply = rendered(self.codec(flight.ask.codec), _asked(flight), error)
        flight.exchange.finish(flight.serial, reply, flight.request_id)

    def _stop(self, flight: Flight) -> None:
        """Tell the worker that nobody waits for a request any more."""
        flight.slot.worker.channel.send_now(Cancel([flight.id]))
        if flight.ask.is_fed:
            flight.slot.send(Feed(flight.id, GONE))

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
            error = errors.DeadlineError(timeout_s=flight.timeout_s)
            if flight.share is not None and flight.share.runs_on(flight):
                self._tell_error(flight, error)
                self._sharing.leave_to_others(flight, outcome_of(error))
                continue
            is_waiting = flight.state in (State.QUEUED, State.SENT)
            self._cut_short(flight, error)
            if is_waiting:
                self._left(flight)
        self._set_alarm()

    def _cut_short(self, flight: Flight, error: HeadwayError) -> None:
        act = flight.step(Event.EXPIRE)
        if act is Act.REFUSE_LATE:
            flight.pool.batcher.withdraw(flight)
        elif act in (Act.STOP_LATE, Act.BREAK_OFF):
            self._stop(flight)
        if act is Act.BREAK_OFF:
            self._break_off(flight, error)
        elif act is not Act.DROP:
            self.fail(flight, error)

    def stop(self) -> int:
        """Nothing is computed any more: tell whoever waits, and whoever still comes; returns how many waited."""
        for pool in self.pools.values():
            pool.trouble = errors.ServerStopped()
        waiting = list(self._flights.values())
        for flight in waiting:
            self._cut_short(flight, errors.ServerStopped())
        return len(waiting)

    # Workers come and go

    def join(self, message: Join, fds: Sequence[int]) -> Coroutine[Any, Any, None]:
        """Know a loaded worker from now on, whatever is said of it next.

        Returns:
            What links up with it, and says Joined when every slot has shown a sign of life.
        """
        socks = [socket.socket(fileno=fd) for fd in fds]
        for sock in socks:
            sock.setblocking(False)
        peer = Peer(message.worker, Channel(socks.pop()), message.loaded, message.generation)
        self._peers[peer.id] = peer
        pool = self.pools[message.model]
        if pool.description is None:
            pool.configure(message.settings, message.loaded, self._gateways)
        return self._link_up(peer, message, socks)

    async def _link_up(self, peer: Peer, message: Join, socks: Sequence[socket.socket]) -> None:
        pool = self.pools[message.model]
        for sock in socks:
            if not self._may_use(peer):
                sock.close()
                continue
            link = SlotLink(self, pool, peer, sock)
            peer.links.append(link)
            await self.loop.create_unix_connection(lambda link=link: link, sock=sock)  # type: ignore[misc]
        if not self._may_use(peer):
            if peer.id not in self._peers:
                for link in peer.links:
                    link.close()
            return
        pool.serve([link for link in peer.links if link.is_open])
        self._release_workers(pool)
        pool.wake()
        pool.demand()
        # Others may wait for the same probes: who stops waiting cancels none, as `gather` would.
        probes, _ = await asyncio.wait([link.take_probe() for link in peer.links])
        is_alive = all(probe.result() for probe in probes)
        if is_alive and self._may_use(peer):
            if message.generation > pool.generation:
                pool.begin_shelf(
                    message.settings, message.loaded, message.generation, self._gateways
                )
            if message.generation >= pool.generation:
                pool.generation = message.generation
                pool.configure(message.settings, message.loaded, self._gateways)
            self._tell(Joined(peer.id))

    def _may_use(self, peer: Peer) -> bool:
        """Whether nobody has said meanwhile that a worker leaves, or has ended."""
        return peer.id in self._peers and not peer.is_leaving

    def suspend(self, worker: int, *, is_suspended: bool) -> None:
        """Send a worker nothing new, or let it have requests again."""
        peer = self._peers.get(worker)
        if peer is not None:
            peer.rest(is_silent=is_suspended)
            for pool in {link.pool for link in peer.links}:
                pool.rotation.review()
                pool.wake()

    def report_overdue(self) -> None:
        """Tell of workers with a slot that has not answered long after everybody's deadline: it hangs."""
        now = time.monotonic()
        for peer in self._peers.values():
            late = [link for link in peer.links if link.is_overdue(now)]
            if late and now - peer.reported_at > REPORT_S:
                peer.reported_at = now
                self._tell(Overdue(peer.id, is_lent=not any(link.is_busy for link in late)))

    def part(self, worker: int) -> None:
        """Let a worker end what it has of ours, and send it nothing new."""
        peer = self._peers.get(worker)
        if peer is None:
            self._tell(Parted(worker))
            return
        if any(pool.detain(peer) for pool in {link.pool for link in peer.links}):
            return
        peer.is_leaving = True
        for link in peer.links:
            if link in link.pool.free:
                link.pool.free.remove(link)
            if link in link.pool.links:
                link.pool.links.remove(link)
        for pool in {link.pool for link in peer.links}:
            pool.rotation.left(peer)
        self.part_if_idle(peer)

    def forget(self, worker: int, reason: str) -> None:
        """A worker's process has ended; its sockets say so too. `reason` is what callers may be told, or ""."""
        peer = self._peers.pop(worker, None)
        if peer is not None:
            peer.end = reason
            self._tell_lost(peer)
            for link in peer.links:
                link.close()
            peer.channel.close()

    def part_if_idle(self, peer: Peer) -> None:
        """Hang up on a leaving worker that has nothing of ours any more."""
        if peer.is_leaving and peer.is_idle() and self._peers.pop(peer.id, None) is not None:
            for link in peer.links:
                link.close()
            peer.channel.close()
            self._tell(Parted(peer.id))

    def link_lost(self, link: SlotLink) -> None:
        """A slot's socket has closed: what was in it is tried again, alone, or given up."""
        pool = link.pool
        pool.lost(link)
        link.has_credit = link.is_busy = False
        if link.probe is not None:
            link.probe.set_result(False)
            link.probe = None
        if link.worker.is_leaving:
            self.part_if_idle(link.worker)
        if link.flights and link.worker.may_retry is None:
            link.worker.may_retry = pool.may_retry()
        for flight in list(link.flights.values()):
            self._lose(flight, may_retry=bool(link.worker.may_retry))
        link.flights.clear()
        pool.rotation.left(link.worker)
        if pool.trouble is not None:
            self._clear(pool, pool.trouble)
        pool.wake()
        pool.demand()

    def trouble(self, model: str) -> None:
        """A model has no workers and will not have any soon: refuse what waits for it."""
        pool = self.pools[model]
        pool.trouble = errors.GivenUp(model=model, reason="the server's log says why")
        self._clear(pool, pool.trouble)

    def unload(self, model: str) -> None:
        """Refuse what is new for a model, and let what is under way end."""
        pool = self.pools[model]
        pool.unload()
        self._clear(pool, errors.Unloaded(model=model))

    def _release_workers(self, pool: Pool) -> None:
        """Let the workers of a model go that is unloaded, once nothing of it is under way."""
        for worker in pool.release():
            self.part(worker)

    def _clear(self, pool: Pool, trouble: HeadwayError) -> None:
        """Tell who waits that nobody will answer, once nobody can."""
        if not pool.links:
            for flight in pool.batcher.drain():
                flight.state = State.DONE
                self.fail(flight, _lack(flight, trouble))

    def _lose(self, flight: Flight, *, may_retry: bool) -> None:
        """What becomes of a request whose worker died; one that is a suspect already has its retry coming."""
        pool, is_new = flight.pool, not flight.is_alone
        act = flight.lose(is_idempotent=pool.is_idempotent and (may_retry or not is_new))
        if act is Act.RETRY:
            if is_new:
                pool.budget.spend()
            flight.slot = None
            pool.batcher.put_back(flight)
        elif act is Act.GIVE_UP:
            peer: Peer = flight.slot.worker
            peer.lost.append(flight)
            if peer.end is None:
                self.loop.call_later(LAST_WORD_S, self._tell_lost, peer)
            else:
                self._tell_lost(peer)
        elif act is Act.BREAK_OFF:
            reason = f" ({flight.slot.worker.end})" if flight.slot.worker.end else ""
            self._break_off(flight, errors.WorkerLost(reason=reason, why=_BEGUN))

    def _break_off(self, flight: Flight, error: HeadwayError) -> None:
        """End a stream that has begun, and say why."""
        self.end(flight, outcome_of(error))
        last = ending(self.codec(flight.ask.codec), _asked(flight), error)
        flight.exchange.abort(flight.serial, last)

    def _tell_lost(self, peer: Peer) -> None:
        """Tell who was in a dead worker, and is not tried again, what became of it."""
        lost, peer.lost = peer.lost, []
        for flight in lost:
            if flight.id not in self._flights:  # the caller has left meanwhile
                continue
            if flight.attempts >= MAX_ATTEMPTS:
                reason = f", {peer.end}" if peer.end else ""
                self.fail(flight, errors.ModelCrashed(attempts=flight.attempts, reason=reason))
            else:
                reason = f" ({peer.end})" if peer.end else ""
                why = _TOO_MANY if flight.pool.is_idempotent else _ONCE
                self.fail(flight, errors.WorkerLost(reason=reason, why=why))

    # Facts

    async def is_ready(self, pool: Pool) -> bool:
        """Whether some slot of a model is alive: by a sign of life under a second old, or by a probe now."""
        now = time.monotonic()
        if pool.trouble is not None:
            return False
        links = [link for link in pool.links if not link.worker.is_suspended]
        if any(
            now - link.heard_at < EVIDENCE_S or (link.is_busy and now < link.busy_until)
            for link in links
        ):
            return True
        probes = [link.take_probe() for link in links if link.has_credit or not link.is_busy]
        if not probes:
            return False
        done, _ = await asyncio.wait(probes, timeout=PROBE_S, return_when=asyncio.FIRST_COMPLETED)
        if any(probe.result() for probe in done):
            return True
        # Busy for another gateway: that its process answers pings is all that can be known here.
        return self._gateways > 1 and any(link.is_lent_elsewhere for link in links)


def _asked(flight: Flight) -> Ask:
    """What a codec needs to know to write an error."""
    question = flight.ask
    headers = question.headers or {}
    return Ask(question.op, flight.pool.name, "", b"", headers, question.query, flight.request_id)


def _lack(flight: Flight, trouble: HeadwayError) -> HeadwayError:
    """Why nobody will answer a request that waits: it was in a worker that died, or in none yet."""
    if flight.attempts:
        why = "no other one can be started; the server's log says why"
        return errors.WorkerLost(reason="", why=why)
    return trouble
