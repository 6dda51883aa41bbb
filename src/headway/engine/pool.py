"""One model in one gateway: its queue, the slots that serve it, and what is sent when one is free."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Any

from headway import errors
from headway.config import ModelSettings
from headway.engine.batcher import Batcher, Limits
from headway.engine.budget import Budget
from headway.engine.frames import Entry, Question
from headway.engine.leavers import UNBOUND, Leavers
from headway.engine.life import Event, Flight
from headway.engine.link import Peer, SlotLink
from headway.engine.loan import HANG_S
from headway.engine.messages import Engaged, Loaded
from headway.engine.patience import Patience
from headway.engine.rotation import Rotation
from headway.engine.shelf import Shelf, shelf_of
from headway.engine.witness import Witness
from headway.errors import HeadwayError
from headway.model.call import Description, ModelState
from headway.observe.metrics import Tally
from headway.protocols import UNLOADED

log = logging.getLogger(__name__)


class Pool:
    """One model: its queue and the slots that serve it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        tally: Tally,
        let_go: Callable[[Peer], None],
        tell: Callable[[Any], object],
    ) -> None:
        self.loop = loop
        self._let_go = let_go
        self._tell = tell
        self.name = name
        self.tally = tally
        self.settings = ModelSettings()
        self.longest_turns_s = 0.0
        """A Want is answered within this: all other gateways, and one that has died, have had a turn by then.

        One of the others may stand still with the credit until it is ended.
        """
        self.batcher = Batcher(Limits())
        self.links: list[SlotLink] = []
        self.free: list[SlotLink] = []
        self.description: Description | None = None
        self.trouble: HeadwayError | None = errors.NotReady(model=name, reason="it is being loaded")
        """Why nothing may wait for it; None while it has workers, or will have one again soon."""
        self.is_unloading = False
        """Nothing new may wait, and what is under way has its workers until it has ended."""
        self.detained: set[int] = set()
        """Workers that are to leave as soon as it has."""
        self.max_rows = 1
        """Most rows of one model call."""
        self.generation = -1
        """The newest of which a worker has linked up; -1 before the first one."""
        self.in_flight = 0
        """Requests in the queue and in workers; not those that wait for an equal one."""
        self.shelf: Shelf | None = None
        """What equal requests share; None: nothing."""
        self.budget = Budget(tally.good, time.monotonic())
        self._patience = Patience()
        self._leavers = Leavers()
        self.rotation = Rotation(self, tell)
        self.witness = Witness(loop, name)
        self._suspect_link: SlotLink | None = None
        """The slot that has a suspect of ours."""
        self._is_woken = False
        self._hold_timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> ModelState:
        """What becomes of the model, as far as is known here."""
        trouble = self.trouble
        if trouble is None:
            return (
                ModelState("READY")
                if self.links
                else ModelState("UNAVAILABLE", "no worker answers")
            )
        if isinstance(trouble, errors.Unloaded):
            return (
                ModelState("UNLOADING")
                if self.is_unloading
                else ModelState("UNAVAILABLE", UNLOADED)
            )
        if isinstance(trouble, errors.NotReady):
            return ModelState("LOADING")
        return ModelState("UNAVAILABLE", str(trouble.fields.get("reason", trouble.message)))

    @property
    def is_serving(self) -> bool:
        """Whether a request that comes now may be answered."""
        return self.trouble is None and bool(self.links)

    def load(self) -> None:
        """The model is being loaded where none of it was."""
        self._refuse(errors.NotReady(model=self.name, reason="it is being loaded"))

    def unload(self) -> None:
        """Refuse what is new; what is under way may end."""
        self.is_unloading = True
        self._refuse(errors.Unloaded(model=self.name))

    def unloaded(self) -> None:
        """Nobody holds the model any more: what will be loaded may be another one."""
        self.is_unloading = False
        self.description = self.shelf = None

    def _refuse(self, trouble: HeadwayError) -> None:
        if not isinstance(self.trouble, errors.ServerStopped):
            self.trouble = trouble

    def detain(self, worker: Peer) -> bool:
        """Whether a worker that is to leave is needed yet: by what waits, while the model is unloaded."""
        is_needed = self.is_unloading and self.in_flight > 0
        if is_needed and any(link in self.links for link in worker.links):
            self.detained.add(worker.id)
            return True
        return False

    def release(self) -> set[int]:
        """The workers that have been detained, once they are needed no more."""
        if self.is_unloading and self.in_flight:
            return set()
        detained, self.detained = self.detained, set()
        return detained

    def serve(self, links: list[SlotLink]) -> None:
        """A worker has linked up."""
        self.links += links
        self.trouble, self.is_unloading = None, False

    @property
    def is_idempotent(self) -> bool:
        """Whether a request may be tried again."""
        return self.description is None or self.description.is_idempotent

    @property
    def job_s(self) -> float:
        """Longest deadline of a request that nobody waits for on a connection."""
        return max(self.settings.timeout_s, self.settings.job_timeout_s)

    def configure(self, settings: ModelSettings, loaded: Loaded, gateways: int) -> None:
        """Take on what a loaded worker says of the model; bounds are shared out among the gateways."""
        self.settings = settings
        still_s = HANG_S if gateways > 1 else 0.0
        self.longest_turns_s = gateways * (settings.timeout_s + settings.hang_kill_s) + still_s
        self.description = loaded.description
        self.max_rows = loaded.max_rows
        if self.description.is_fed:  # a stream of items lasts as long as its caller likes
            self.longest_turns_s = math.inf
        self.witness.adapt(settings.slow_s)
        self.batcher.limits = Limits(
            max(1, settings.max_queue // gateways),
            max(1, settings.max_queue_bytes // gateways),
            loaded.max_batch,
            settings.max_batch_bytes,
            settings.hold_s,
        )

    def begin_shelf(
        self, settings: ModelSettings, loaded: Loaded, generation: int, gateways: int
    ) -> None:
        """Forget all answers: a new generation would give others."""
        self.shelf = shelf_of(settings, loaded, generation, gateways, self.tally)

    def credited(self, link: SlotLink) -> None:
        """A slot is free for us."""
        if link.worker.is_leaving:
            return
        self.free.append(link)
        if self.batcher.queued:
            self._dispatch()

    def recalled(self, link: SlotLink) -> None:
        """Another gateway wants a credit: what waits here may spend it first, for the slot takes turns."""
        if self.batcher.queued and not link.worker.is_leaving:
            self.wake()
        else:
            link.give_back()

    def done(self, link: SlotLink) -> None:
        """A slot has answered all of a grab."""
        if link is self._suspect_link:
            self._suspect_link = None

    def go_on(self, link: SlotLink) -> None:
        """What a slot answered has been told."""
        if link.worker.is_leaving:
            self._let_go(link.worker)
        else:
            self.wake()
            self.demand()

    def lost(self, link: SlotLink) -> None:
        """A slot is gone."""
        self.witness.done(link)
        if link is self._suspect_link:
            self._suspect_link = None
        for links in (self.links, self.free):
            if link in links:
                links.remove(link)

    def wake(self) -> None:
        """Send what waits, once all that this turn of the loop has read is queued."""
        if not self._is_woken and self.batcher.queued:
            self._is_woken = True
            self.loop.call_soon(self._dispatch)

    def demand(self) -> None:
        """Ask the slots whose credit is lent elsewhere, if something waits and none is free."""
        if self.batcher.queued and self._pick() is None:
            for link in self.links:
                worker = link.worker
                if link.is_lent_elsewhere and not (worker.is_leaving or worker.is_suspended):
                    link.want()

    def _dispatch(self) -> None:
        self._is_woken = False
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        if self.batcher.suspects and self._suspect_link is None:
            self._dispatch_suspect()
        now = time.monotonic()
        while self.free and self.batcher.queued:
            link = self._pick()
            if link is None:
                break
            grab = self.batcher.take(len(self.links), now)
            if not grab:
                self._hold(now)
                break
            self._send(link, grab, now)
        for link in [link for link in self.free if link.is_recalled]:
            link.give_back()
        self.demand()

    def _pick(self) -> SlotLink | None:
        """A free slot of a worker that may be used; not of one that has a suspect of ours."""
        avoided = self._suspect_link.worker if self._suspect_link is not None else None
        for link in self.free:
            if not link.worker.is_suspended and link.worker is not avoided:
                return link
        return None

    def _dispatch_suspect(self) -> None:
        """Send a request that was in a worker that died: one at a time, by itself; its worker runs it alone."""
        link = self._pick()
        suspect = self.batcher.take_suspect() if link is not None else None
        if suspect is not None and link is not None:
            self._suspect_link = link
            self._send(link, [suspect], time.monotonic())

    def may_retry(self) -> bool:
        """Whether what was in a worker that has just died may be tried again."""
        active = self.in_flight - self.batcher.queued
        return self.budget.allows(self.tally.good, active, time.monotonic())

    def left(self, flight: Flight, now: float) -> list[Flight]:
        """A caller has left before his answer came, or his time is over.

        Returns:
            Who has waited so long that he will leave, too: nobody, unless that has just been learnt.
        """
        self._leavers.left(now - flight.queued_at)
        return self.batcher.surplus() if self._judge(now) else []

    def offer(self, flight: Flight) -> str:
        """Queue a request; the bound that it met in words, else ""."""
        full = self.batcher.offer(flight)
        if not full or self.batcher.most == UNBOUND:
            return full
        self._judge(time.monotonic())  # the pace may be another by now, and callers more patient
        return self.batcher.offer(flight)

    def _judge(self, now: float) -> bool:
        least = len(self.links) * self.batcher.limits.max_batch
        is_new = self._leavers.judge(self.tally.good, least, now)
        self.batcher.most = self._leavers.most
        if is_new:
            patience_s = round(self._leavers.patience_s, 3)
            told = {"model": self.name, "patience_s": patience_s, "max_queue": self.batcher.most}
            log.warning("callers_leave", extra=told)
        return is_new

    def patience_s(self) -> int:
        """Seconds after which a caller that is refused now should ask again."""
        luck = random.random()  # noqa: S311  (spreads callers; it guards nothing)
        return self._patience.seconds(self.batcher.queued, self.tally.ended, time.monotonic(), luck)

    def gauge(self) -> None:
        """Write what waits and what is under way where everybody can read it."""
        self.tally.queue_depth = self.batcher.queued
        self.tally.queue_bytes = self.batcher.queued_bytes
        self.tally.in_flight = self.in_flight - self.batcher.queued

    def _hold(self, now: float) -> None:
        if self._hold_timer is None and self.batcher.limits.hold_s:
            wait_s = max(0.0, self.batcher.hold_until(now) - now)
            self._hold_timer = self.loop.call_later(wait_s, self._dispatch)

    def _send(self, link: SlotLink, grab: list[Flight], now: float) -> None:
        entries, bodies = [], []
        places: dict[int, int] = {}
        questions: list[Question] = []
        longest_s = 0.0
        for flight in grab:
            flight.step(Event.DISPATCH)
            flight.sent_at = now
            flight.slot = link
            flight.attempts += not flight.is_alone  # a suspect's counts when it has begun
            link.flights[flight.id] = flight
            place = places.get(id(flight.ask))
            if place is None:
                place = places[id(flight.ask)] = len(questions)
                questions.append(flight.ask)
            budget_s = flight.deadline - now
            longest_s = max(longest_s, budget_s)
            entries.append(
                Entry(flight.id, flight.size, budget_s, flight.request_id, place, flight.is_alone)
            )
            bodies.append(flight.body)
        link.busy_until = now + longest_s
        if longest_s > self.settings.timeout_s:  # it has a job, and the other gateways are to know
            self._tell(Engaged(link.worker.id, link.busy_until + self.settings.hang_kill_s))
        link.grab(entries, questions, bodies)
        self.tally.grabbed(len(grab))
        self.gauge()
