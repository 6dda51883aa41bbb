"""The workers of one model version: who is to be started, trusted, retired, killed, and when. Pure, told the time.

    STARTING ──loaded──▶ JOINING ──joined──▶ READY ⇄ SILENT      (no sign of life within `SILENT_S`)
        │                   │                  │        │ hang_kill_s
        └──────── died ─────┴──────────────────┴────────┴──▶ gone, replaced after a back-off
    READY ──replaced, or one too many──▶ LEAVING ──parted──▶ gone

A replacement joins before the one that it replaces is told to leave. Five deaths in a row before anyone was ready,
or a load that fails in words, and the generation is given up: an older one that serves, or the last that did, goes on
under its own terms, and if there is none the fleet has failed: it starts nobody until it is replaced. While one of the
generation serves it is not given up: the others are tried on, ever more seldom, and the fleet is short. A worker that
dies later, of a query of death say, is replaced at once, also when the others could not be loaded.

A fleet that is unloaded lets all of its workers go, forgets which generation was good, and starts nobody until it is
replaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from headway.engine.back_off import BackOff

SILENT_S = 1.0
"""A worker that has not answered a ping for this long gets no more work."""
JOIN_TIMEOUT_S = 30.0
"""A loaded worker must have answered a round trip of every gateway by then."""


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    JOINING = "joining"
    READY = "ready"
    SILENT = "silent"
    LEAVING = "leaving"


class Order(Enum):
    """What the supervisor is to do with a worker."""

    START = "start"
    JOIN = "join"
    SUSPEND = "suspend"
    RESUME = "resume"
    PART = "part"
    LEAVE = "leave"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Terms:
    """How the workers of one generation are run."""

    size: int
    load_timeout_s: float
    hang_kill_s: float


@dataclass(slots=True)
class Member:
    """One worker."""

    id: int
    generation: int
    heard_at: float
    loaded_at: float = 0.0
    phase: Phase = Phase.STARTING


Orders = list[tuple[Order, int]]


@dataclass(slots=True)
class Fleet:
    """The workers of one model version.

    Every method returns the orders that follow from it, as (order, worker id).
    """

    size: int
    load_timeout_s: float
    hang_kill_s: float
    members: dict[int, Member] = field(default_factory=dict)
    generation: int = 0
    restarts: int = 0
    failure: str = ""
    """Why nobody is started any more; "" while all is well."""
    refusal: str = ""
    """Why the newest generation was given up while an older one serves; "" if it was not."""
    shortage: str = ""
    """Why fewer workers serve than are asked for, after five tries; "" once enough do."""
    is_unloaded: bool = False
    """Nobody is wanted before it is replaced."""
    _next_id: int = 0
    _newest: int = 0
    _terms: dict[int, Terms] = field(default_factory=dict)
    """Of the generations before this one that may yet go on."""
    _proven: int = -1
    """The last generation of which a worker was ever ready."""
    _back_off: BackOff = field(default_factory=BackOff)
    """Of deaths in a row before a worker was ready."""

    def start(self, now: float) -> Orders:
        """Start who is missing, unless the back-off forbids it yet."""
        if self.failure or self.is_unloaded or now < self._back_off.start_at:
            return []
        missing = self.size - sum(1 for m in self._current() if m.phase is not Phase.LEAVING)
        return [self._start(now) for _ in range(missing)]

    def begun(self, id: int, now: float) -> bool:
        """A worker's process starts now; False if it is not wanted any more."""
        member = self.members.get(id)
        if member is not None:
            member.heard_at = now
        return member is not None

    def loaded(self, id: int, now: float) -> Orders:
        """A worker has loaded and warmed its model: let the gateways try it."""
        member = self.members.get(id)
        if member is None or member.phase is not Phase.STARTING:
            return []
        member.phase, member.heard_at, member.loaded_at = Phase.JOINING, now, now
        return [(Order.JOIN, id)]

    def joined(self, id: int, now: float) -> Orders:
        """A worker has answered a round trip of every gateway: it counts, and an old one may go."""
        member = self.members.get(id)
        if member is None or member.phase is not Phase.JOINING:
            return []
        member.phase, member.heard_at = Phase.READY, now
        self.failure = ""
        self._proven = member.generation
        self._back_off.lived()
        return self._retire_old()

    def heard(self, id: int, now: float) -> Orders:
        """A worker has shown a sign of life."""
        member = self.members.get(id)
        if member is None:
            return []
        member.heard_at = now
        if member.phase is Phase.SILENT:
            member.phase = Phase.READY
            return [(Order.RESUME, id)]
        return []

    def parted(self, id: int) -> Orders:
        """A leaving worker has nothing under way any more."""
        member = self.members.get(id)
        return [(Order.LEAVE, id)] if member and member.phase is Phase.LEAVING else []

    def died(self, id: int, now: float, reason: str) -> Orders:
        """A worker's process has ended."""
        member = self.members.pop(id, None)
        if member is None or member.phase is Phase.LEAVING:
            return self.start(now)
        self.restarts += 1
        had_loaded = member.phase is not Phase.STARTING and member.generation == self._proven
        if had_loaded or member.phase in _SERVING:
            self._back_off.reset(now)
            self.failure = ""  # what has served is worth a new row of tries
            return self.start(now)
        return self._try_again(now, reason)

    def _try_again(self, now: float, reason: str) -> Orders:
        """A worker ended before it was ready: start another one, later each time.

        After five deaths that goes on only while one of its generation serves. Else whoever is left of it may still be
        ready; when nobody is left, the generation is given up.
        """
        self._back_off.died(now)
        if not self._back_off.is_hopeless:
            return self.start(now)
        deaths = self._back_off.deaths
        reason = f"{deaths} workers in a row died before they were ready: {reason}"
        if any(m.phase in _SERVING for m in self._current()):
            self.shortage = self.shortage or reason
            return []
        self.failure = reason
        if any(m.phase is not Phase.LEAVING for m in self._current()):
            return []
        return self._give_up(reason, now)

    def _give_up(self, reason: str, now: float) -> Orders:
        """Try this generation no more: an older one that serves goes on, as if nothing had been tried.

        If there is none, the last that served is started again: it may have died meanwhile.
        """
        self.failure, self.shortage = reason, ""
        orders = [(Order.KILL, m.id) for m in list(self._current()) if m.phase not in _SERVING]
        for _, given_up in orders:
            del self.members[given_up]
        older = [
            m.generation
            for m in self.members.values()
            if m.generation < self.generation and m.phase in _SERVING
        ]
        good = max(older, default=self._proven)
        if good in self._terms:
            self.generation, self._proven, self.failure, self.refusal = good, good, "", reason
            self._take_on(self._terms.pop(good))
            self._back_off.reset(now)
            orders += self.start(now)
        return orders

    def _take_on(self, terms: Terms) -> None:
        self.size, self.load_timeout_s = terms.size, terms.load_timeout_s
        self.hang_kill_s = terms.hang_kill_s

    def refused(self, id: int, now: float, reason: str) -> Orders:
        """A worker said that its model can't be loaded: trying again would say the same.

        Its whole generation is given up. But what has been loaded before can be loaded again: then it counts as a
        death.
        """
        member = self.members.get(id)
        if member is None or member.generation != self.generation:
            self.members.pop(id, None)
            return [(Order.KILL, id)]
        if member.generation == self._proven:
            del self.members[id]
            self.restarts += 1
            return [(Order.KILL, id), *self._try_again(now, reason)]
        return self._give_up(reason, now)

    def replace(self, now: float, terms: Terms | None = None, *, number: int = 0) -> Orders:
        """Start a new generation, on the old one's terms or on new ones; the old one leaves as the new one joins.

        Its number is `number` at least.
        """
        stale = [m.id for m in self._current() if m.phase in (Phase.STARTING, Phase.JOINING)]
        orders: Orders = [(Order.KILL, id) for id in stale]
        for id in stale:
            del self.members[id]
        kept = {m.generation for m in self.members.values()} | {self._proven}
        self._terms[self.generation] = Terms(self.size, self.load_timeout_s, self.hang_kill_s)
        self._terms = {g: t for g, t in self._terms.items() if g in kept}
        self._newest = max(self._newest + 1, number)
        self.generation = self._newest
        if terms is not None:
            self._take_on(terms)
        self.failure = self.refusal = self.shortage = ""
        self.is_unloaded = False
        self._back_off.reset(now)
        return orders + self.start(now)

    def unload(self) -> Orders:
        """Let everybody leave who may have requests, end who still loads, and start nobody before `replace`."""
        self.is_unloaded = True
        self.failure = self.refusal = self.shortage = ""
        self._proven, self._terms = -1, {}
        orders: Orders = []
        for member in list(self.members.values()):
            if member.phase is Phase.STARTING:
                orders.append((Order.KILL, member.id))
                del self.members[member.id]
            elif member.phase is not Phase.LEAVING:
                orders.append((Order.PART, member.id))
                member.phase = Phase.LEAVING
        return orders

    def resize(self, size: int, now: float) -> Orders:
        """Have more workers, or fewer."""
        self.size = size
        return self.start(now) + self._retire_old()

    def tick(self, now: float) -> Orders:
        """Look at the clock: who is silent, hung, too long at loading; who may be started now."""
        orders: Orders = []
        for member in list(self.members.values()):
            silent_s = now - member.heard_at
            if (member.phase is Phase.STARTING and silent_s > self.load_timeout_s) or (
                member.phase is Phase.JOINING and now - member.loaded_at > JOIN_TIMEOUT_S
            ):
                orders.append((Order.KILL, member.id))
            elif member.phase is Phase.READY and silent_s > SILENT_S:
                member.phase = Phase.SILENT
                orders.append((Order.SUSPEND, member.id))
            elif member.phase is not Phase.STARTING and silent_s > self.hang_kill_s:
                orders.append((Order.KILL, member.id))
        return orders + self.start(now)

    @property
    def has_failed(self) -> bool:
        """Nobody serves, nobody may yet, and nobody is started any more."""
        return bool(self.failure) and all(m.phase is Phase.LEAVING for m in self.members.values())

    @property
    def outcome(self) -> str | None:
        """What has become of the newest generation: "" once it alone serves, else why not; None: nobody knows yet."""
        if self.is_unloaded:
            return "it has been unloaded meanwhile"
        if self.refusal or self.has_failed:
            return self.refusal or self.failure
        serving = [m.generation for m in self.members.values() if m.phase in _SERVING]
        is_alone = bool(self.shortage) or all(g == self.generation for g in serving)
        return "" if self.is_proven and is_alone else None

    @property
    def is_proven(self) -> bool:
        """A worker of this generation was ready once: whoever is started now stands in for it."""
        return self._proven == self.generation

    @property
    def generations(self) -> set[int]:
        """This one, and those before it of which a worker may yet serve or be started."""
        return {self.generation, *self._terms}

    @property
    def ready(self) -> int:
        """Workers that take requests."""
        return sum(1 for m in self.members.values() if m.phase is Phase.READY)

    def _current(self) -> Iterator[Member]:
        return (m for m in self.members.values() if m.generation == self.generation)

    def _start(self, now: float) -> tuple[Order, int]:
        self._next_id += 1
        id = self._next_id
        self.members[id] = Member(id, self.generation, now)
        return (Order.START, id)

    def _retire_old(self) -> Orders:
        """Tell whoever is too many to leave: first who answers nobody now, then who is of an older generation.

        A shortage is over once none but the newest are needed.
        """
        if sum(m.phase in _SERVING for m in self._current()) >= self.size:
            self.shortage = ""
        serving = sorted(
            (m for m in self.members.values() if m.phase in _SERVING),
            key=lambda m: (m.phase is Phase.READY, m.generation),
        )
        leaving = serving[: max(0, len(serving) - self.size)]
        for member in leaving:
            member.phase = Phase.LEAVING
        return [(Order.PART, m.id) for m in leaving]


_SERVING = (Phase.READY, Phase.SILENT)
