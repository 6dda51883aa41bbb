"""The engine's pure parts, driven together in virtual time by a seed: request life, batcher, deadlines, fleet.

Around them stands a small world: callers that come, leave and are in a hurry; workers that load, answer late, stand
still, die of poison or of nothing; reloads. What a gateway and a supervisor do with the parts is done here as
`engine/gateway`, `engine/pool` and `engine/party` do it. The laws are checked as it goes, and once all is quiet.
No sockets, no threads, no clock: a seed plays the same run again.
"""

import heapq
import itertools
import random
from collections.abc import Callable

from harness.actors import Fate, LawBrokenError, Slot, Worker, request
from headway.engine.batcher import Batcher, Limits
from headway.engine.budget import LEAST, PER_S, ROUNDS, SHARE, Budget
from headway.engine.deadlines import TICK_S, Deadlines
from headway.engine.fleet import Fleet, Order, Orders, Phase
from headway.engine.life import Act, Event, Flight, State

TICK_OF_FLEET_S = 0.25
BUSY_S = 12.0
"""Callers come and faults strike for so long; then all must come to rest."""
QUIET_S = 90.0
MOST_SENDS = 2
"""A request is tried once more after its worker died, and no more; not the engine's own number."""


class Simulation:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.now = 100.0
        self._notes: list[tuple[float, str, tuple[object, ...]]] = []
        self.limits = Limits(
            max_queue=rng.choice((4, 50)),
            max_queue_bytes=rng.choice((60, 10_000)),
            max_batch=rng.randint(1, 6),
            max_batch_bytes=rng.choice((20, 1000)),
            hold_s=rng.choice((0.0, 0.0, 0.02)),
        )
        self.batcher = Batcher(self.limits)
        self.deadlines = Deadlines()
        self.fleet = Fleet(rng.randint(1, 3), load_timeout_s=20.0, hang_kill_s=3.0)
        self.fates: dict[int, Fate] = {}
        self.workers: dict[int, Worker] = {}
        self.suspect: Slot | None = None
        self.budget = Budget(0, self.now)
        self.retries = self.most_active = 0
        self.is_idempotent = rng.random() < 0.8
        self.slots_each = rng.randint(1, 2)
        self.faults_per_s = rng.choice((0.0, 0.5, 2.0))
        self.poison = rng.choice((0.0, 0.02))
        self._ids = itertools.count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # Time

    def run(self) -> "Simulation":
        """Play it to its end."""
        self._obey(self.fleet.start(self.now))
        self._every(TICK_OF_FLEET_S, self._look_around)
        end_at = self.now + BUSY_S
        self._again(self.rng.choice((5.0, 40.0)), self._arrive, end_at)
        if self.faults_per_s:
            self._again(self.faults_per_s, self._strike, end_at)
        while self._agenda and self._agenda[0][0] <= end_at + QUIET_S:
            at, _, what = heapq.heappop(self._agenda)
            self._ring(at)
            self.now = max(self.now, at)
            what()
        self._check_quiet()
        return self

    def _at(self, after_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + after_s, next(self._order), what))

    def _every(self, every_s: float, what: Callable[[], None]) -> None:
        def again() -> None:
            what()
            self._at(every_s, again)

        self._at(every_s, again)

    def _again(self, per_s: float, what: Callable[[], None], until: float) -> None:
        def again() -> None:
            if self.now < until:
                what()
                self._at(self.rng.expovariate(per_s), again)

        self._at(self.rng.expovariate(per_s), again)

    def _law(self, holds: object, words: str, *facts: object) -> None:
        if not holds:
            raise LawBrokenError(words % facts)

    def _note(self, words: str, *facts: object) -> None:
        self._notes.append((self.now, words, facts))

    @property
    def trace(self) -> list[str]:
        """What happened, a line an event."""
        return [f"{now:9.3f} {words % facts}" for now, words, facts in self._notes]

    # Callers

    def _arrive(self) -> None:
        rng = self.rng
        body = b"x" * rng.randint(0, 9)
        timeout_s = rng.choice((0.05, 0.3, 5.0))
        flight = request(next(self._ids), body, self.now, timeout_s)
        flight.priority = rng.randrange(3)
        fate = Fate(flight, rng.random() < self.poison, rng.random() < 0.2)
        self.fates[flight.id] = fate
        full = self.batcher.offer(flight)
        self._law(
            bool(full)
            == (
                self.batcher.queued >= self.limits.max_queue
                or (
                    self.batcher.queued > 0
                    and self.batcher.queued_bytes + len(body) > self.limits.max_queue_bytes
                )
            )
            or not full,
            "a refusal without a full queue",
        )
        if full:
            flight.state = State.DONE
            self._end(flight, "refused")
            return
        queued, most = self.batcher.queued, self.limits.max_queue
        self._law(queued <= most or queued <= most + self._suspects(), "overfull")
        self.deadlines.add(flight)
        if rng.random() < 0.15:
            self._at(rng.expovariate(5.0), lambda: self._leave(flight))
        self._dispatch()

    def _suspects(self) -> int:
        return sum(f.flight.is_alone for f in self.fates.values() if not f.ends)

    def _leave(self, flight: Flight) -> None:
        was = flight.state
        act = flight.step(Event.CANCEL)
        self._law((act is Act.DROP) == (was is State.DONE), "%s: cancel was %r", flight.id, act)
        if act is not Act.DROP:
            self._forget(flight)
            self._end(flight, "left")
        if act is Act.WITHDRAW:
            self.batcher.withdraw(flight)

    def _ring(self, until: float) -> None:
        """Let the deadlines before a moment have their say, at their own time."""
        while (due := self.deadlines.next()) is not None and due <= until:
            self.now = max(self.now, due)
            for flight in self.deadlines.due(self.now):
                act = flight.step(Event.EXPIRE)
                self._law(flight.deadline <= self.now, "%s expired early", flight.id)
                if act is Act.REFUSE_LATE:
                    self.batcher.withdraw(flight)
                if act is not Act.DROP:
                    self._forget(flight)
                    self._end(flight, "broken off" if act is Act.BREAK_OFF else "late")

    def _forget(self, flight: Flight) -> None:
        self.deadlines.discard(flight)
        if flight.slot is not None:
            flight.slot.flights.pop(flight.id, None)

    def _end(self, flight: Flight, how: str) -> None:
        fate = self.fates[flight.id]
        fate.ends.append(how)
        fate.ended_at = self.now
        self._note("request %s: %s", flight.id, how)
        self._law(len(fate.ends) == 1, "%s ended %s", flight.id, fate.ends)
        late_s = self.now - flight.deadline
        self._law(late_s < TICK_S * 1.01, "%s ended %.3f s past its deadline", flight.id, late_s)

    # From the queue to workers

    def _dispatch(self) -> None:
        free = self._free()
        if free and self.suspect is None and (suspect := self.batcher.take_suspect()):
            self.suspect = free[0]
            self._send(free[0], [suspect])
        while (free := self._free()) and self.batcher.queued:
            grab = self.batcher.take(self._slots(), self.now)
            if not grab:
                if self.limits.hold_s and self.batcher.hold_until(self.now) > self.now:
                    self._at(self.batcher.hold_until(self.now) - self.now, self._dispatch)
                break
            self._law(len(grab) <= self.limits.max_batch, "a grab over its limit")
            size = sum(f.size for f in grab)
            self._law(len(grab) == 1 or size <= self.limits.max_batch_bytes, "a grab too large")
            self._law(not any(f.is_alone for f in grab), "a suspect is not alone")
            self._send(free[0], grab)

    def _free(self) -> list[Slot]:
        avoided = self.suspect.worker if self.suspect else None
        return [
            slot
            for worker in self.workers.values()
            if worker is not avoided and not (worker.is_suspended or worker.is_leaving)
            for slot in worker.slots
            if not slot.is_busy
        ]

    def _slots(self) -> int:
        return sum(len(w.slots) for w in self.workers.values() if not w.is_leaving)

    def _send(self, slot: Slot, grab: list[Flight]) -> None:
        slot.is_busy = True
        for flight in grab:
            self._law(flight.state is State.QUEUED, "%s was sent as %r", flight.id, flight.state)
            self._law(flight.step(Event.DISPATCH) is Act.SEND, "it was not to be sent")
            flight.slot = slot
            flight.attempts += 1
            slot.flights[flight.id] = flight
            fate = self.fates[flight.id]
            fate.sends += 1
            self._law(fate.sends <= MOST_SENDS, "%s was sent %s times", flight.id, fate.sends)
            self._law(fate.sends == 1 or self.is_idempotent, "%s must not be repeated", flight.id)
            self._law(fate.sends == 1 or len(grab) == 1, "%s was repeated with others", flight.id)
        self._note("worker %s takes %s", slot.worker.id, [f.id for f in grab])
        self._work(slot, grab)

    def _work(self, slot: Slot, grab: list[Flight]) -> None:
        """Have a worker answer a grab, in any order, some of it in parts; poison kills it."""
        after_s = 0.0
        for flight in self.rng.sample(grab, len(grab)):
            after_s += self.rng.expovariate(1 / 0.02)
            fate = self.fates[flight.id]
            if fate.is_poison:
                self._do(slot, after_s, lambda: self._die(slot.worker, "poison"))
                return
            parts = [Event.HEAD, Event.CHUNK, Event.END] if fate.is_stream else [Event.ANSWER]
            for part in parts:
                self._do(slot, after_s, lambda f=flight, p=part: self._hear(slot, f, p))  # type: ignore[misc]
                after_s += 0.005
        self._do(slot, after_s, lambda: self._done(slot))

    def _do(self, slot: Slot, after_s: float, what: Callable[[], None]) -> None:
        worker = slot.worker

        def act() -> None:
            if worker.is_stopped:
                worker.withheld.append(act)
            elif not worker.is_gone:
                what()

        self._at(after_s, act)

    def _hear(self, slot: Slot, flight: Flight, part: Event) -> None:
        """A worker says something of a request; it may be too late."""
        was = flight.state
        act = flight.step(part)
        is_waited_for = slot.flights.get(flight.id) is flight and was is not State.DONE
        self._law(
            (act is Act.DELIVER) == is_waited_for,
            "%s: %r was %r after %r",
            *(flight.id, part, act, was),
        )
        if flight.state is State.DONE and act is Act.DELIVER:
            self._forget(flight)
            self._end(flight, "answered")

    def _done(self, slot: Slot) -> None:
        slot.is_busy = False
        if slot is self.suspect:
            self.suspect = None
        self._see_idle(slot.worker)
        self._dispatch()

    # Workers

    def _obey(self, orders: Orders) -> None:
        for order, id in orders:
            self._note("%s %s", order.name, id)
            if order is Order.START:
                self._law(id not in self.workers, "started twice")
                self.workers[id] = Worker(id)
                self._at(self.rng.uniform(0.1, 1.0), lambda id=id: self._load(id))  # type: ignore[misc]
                continue
            worker = self.workers.get(id)
            if worker is None:
                continue
            if order is Order.JOIN:
                worker.slots = [Slot(worker) for _ in range(self.slots_each)]
                self._at(self.rng.uniform(0.0, 0.1), lambda id=id: self._join(id))  # type: ignore[misc]
                self._dispatch()
            elif order in (Order.SUSPEND, Order.RESUME):
                worker.is_suspended = order is Order.SUSPEND
                self._dispatch()
            elif order is Order.PART:
                worker.is_leaving = True
                self._see_idle(worker)
            else:
                self._die(worker, order.name)

    def _load(self, id: int) -> None:
        if id not in self.workers:
            return
        if self.faults_per_s and self.rng.random() < 0.1:
            self._die(self.workers[id], "while loading")
        else:
            self._obey(self.fleet.loaded(id, self.now))

    def _join(self, id: int) -> None:
        before = self.fleet.ready
        if id in self.workers:
            self._obey(self.fleet.joined(id, self.now))
            self._law(self.fleet.ready >= min(before, self.fleet.size), "joining made it fewer")

    def _see_idle(self, worker: Worker) -> None:
        if worker.is_leaving and not any(s.is_busy for s in worker.slots):
            self._obey(self.fleet.parted(worker.id))

    def _die(self, worker: Worker, why: str) -> None:
        if worker.is_gone:
            return
        worker.is_gone = True
        del self.workers[worker.id]
        self._note("worker %s dies: %s", worker.id, why)
        may_retry = self._may_retry()
        for slot in worker.slots:
            if slot is self.suspect:
                self.suspect = None
            for flight in list(slot.flights.values()):
                self._lose(flight, may_retry=may_retry)
            slot.flights.clear()
        self._obey(self.fleet.died(worker.id, self.now, why))
        self._dispatch()

    def _may_retry(self) -> bool:
        active = sum(f.flight.state in (State.SENT, State.STREAMING) for f in self.fates.values())
        self.most_active = max(self.most_active, active)
        good = sum(f.ends == ["answered"] for f in self.fates.values())
        return self.budget.allows(good, active, self.now)

    def _lose(self, flight: Flight, *, may_retry: bool) -> None:
        is_new = not flight.is_alone
        act = flight.lose(is_idempotent=self.is_idempotent and (may_retry or not is_new))
        if act is Act.RETRY:
            if is_new:
                self.budget.spend()
                self.retries += 1
            flight.slot = None
            self.batcher.put_back(flight)
        elif act in (Act.GIVE_UP, Act.BREAK_OFF):
            self.deadlines.discard(flight)
            self._end(flight, "given up" if act is Act.GIVE_UP else "broken off")
        else:
            self._law(False, "%s was lost, and is %r", flight.id, act)

    def _look_around(self) -> None:
        for worker in list(self.workers.values()):
            if not worker.is_stopped and worker.slots:
                self._obey(self.fleet.heard(worker.id, self.now))
        self._obey(self.fleet.tick(self.now))

    def _strike(self) -> None:
        kind = self.rng.choice(("kill", "stop", "reload", "resize"))
        workers = sorted(self.workers.values(), key=lambda w: w.id)
        if kind == "reload":
            before = self.fleet.ready
            self._obey(self.fleet.replace(self.now))
            self._law(self.fleet.ready == before, "a reload took a worker away")
        elif kind == "resize":
            self._obey(self.fleet.resize(self.rng.randint(1, 3), self.now))
        elif workers:
            victim = self.rng.choice(workers)
            if kind == "kill":
                self._die(victim, "killed")
            elif not victim.is_stopped:
                victim.is_stopped = True
                self._note("worker %s stands still", victim.id)
                self._at(self.rng.choice((0.1, 1.5, 6.0)), lambda: self._go_on(victim))

    def _go_on(self, worker: Worker) -> None:
        worker.is_stopped = False
        withheld, worker.withheld = worker.withheld, []
        for act in withheld:
            act()

    # Laws of the end

    def _check_quiet(self) -> None:
        for id, fate in self.fates.items():
            self._law(len(fate.ends) == 1, "%s ended %s", id, fate.ends)
            if not (fate.is_poison or self.faults_per_s or self.poison):
                self._law(
                    fate.ends[0] not in ("given up", "broken off") or fate.is_stream,
                    "%s was given up",
                    id,
                )
        self._law(
            self.batcher.queued == self.batcher.queued_bytes == 0, "the queue's counts are off"
        )
        self._law(self.deadlines.next() is None, "deadlines are left")
        good = sum(f.ends == ["answered"] for f in self.fates.values())
        bound = SHARE * good + PER_S * self.now + (ROUNDS + 1) * max(self.most_active, LEAST)
        self._law(self.retries <= bound, "%s retries for %s good answers", self.retries, good)
        busy = [s for w in self.workers.values() for s in w.slots if s.is_busy or s.flights]
        self._law(not busy, "slots are busy for nobody")
        if not self.fleet.failure:
            phases = [m.phase for m in self.fleet.members.values()]
            self._law(phases == [Phase.READY] * self.fleet.size, "the fleet is %s", phases)
            old = [m for m in self.fleet.members.values() if m.generation != self.fleet.generation]
            self._law(not old, "old ones are left")


def play(seed: int) -> Simulation:
    """Play one seed.

    Raises:
        LawBrokenError: with the seed and the end of the trace.
    """
    simulation = Simulation(seed)
    try:
        return simulation.run()
    except Exception as e:
        trace = "\n".join(simulation.trace[-40:])
        raise LawBrokenError(f"seed {seed} (SEED={seed} plays it again): {e!r}\n{trace}") from e
