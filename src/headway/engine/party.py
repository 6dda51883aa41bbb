"""One model and the processes that hold it: what its fleet orders is carried out here, over the host's means.

Not here: who decides (`fleet`), and how processes are started and watched (`supervisor`).
"""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

from headway.config import ModelSpec
from headway.engine import threads
from headway.engine.channel import pair
from headway.engine.child import Death
from headway.engine.fleet import Fleet, Order, Orders, Phase, Terms
from headway.engine.host import Host, Process
from headway.engine.memory import resident_bytes
from headway.engine.messages import (
    Ejected,
    Forget,
    Hold,
    Join,
    Leave,
    Load,
    Loaded,
    Meet,
    Message,
    Part,
    Pong,
    Refused,
    Resume,
    Suspend,
    Trouble,
    Unload,
    Unloaded,
)
from headway.model.call import ModelState
from headway.protocols import UNLOADED

log = logging.getLogger(__name__)

_DATA_BUFFER_BYTES = 1 << 20
LOADING = ModelState("LOADING")
_SERVING = (Phase.JOINING, Phase.READY, Phase.SILENT)


class Party:
    """One model, its fleet and its workers' processes.

    Args:
        spec: what is served, and how.
        host: the supervisor.
    """

    def __init__(self, spec: ModelSpec, host: Host) -> None:
        terms = _terms(spec)
        self.fleet = Fleet(terms.size, terms.load_timeout_s, terms.hang_kill_s)
        self._specs = {self.fleet.generation: spec}
        """By generation: a worker of an older one is replaced by its like."""
        self.loaded: dict[int, Loaded] = {}
        self.processes: dict[int, Process] = {}
        self._host = host
        self._serials: dict[int, int] = {}
        self._joined: dict[int, set[int]] = {}
        """By worker, the gateways that have linked up with it."""
        self._parting: dict[int, set[int]] = {}
        """By leaving worker, the gateways that have not let it go yet."""
        self._ejected: dict[int, set[int]] = {}
        """By worker, the gateways that send it nothing because it fails."""
        self._told = ""
        """The failure that was last told."""
        self._told_refusal = ""
        self._told_shortage = ""
        self._waiting: list[asyncio.Future[str]] = []
        """Who wants to know what becomes of the newest generation."""

    @property
    def spec(self) -> ModelSpec:
        """What is served, and how."""
        return self._specs[self.fleet.generation]

    @property
    def newest(self) -> Loaded | None:
        """What the worker that was the last to load its model has said of it."""
        return next(reversed(self.loaded.values()), None)

    @property
    def has_failed(self) -> bool:
        """Nobody serves this model, and nobody is started any more."""
        return self.fleet.has_failed

    @property
    def is_needed(self) -> bool:
        """Whether the server is not ready without it."""
        return self.spec.settings.is_required and not self.fleet.is_unloaded

    @property
    def state(self) -> ModelState:
        """What becomes of the model."""
        fleet = self.fleet
        if fleet.is_unloaded:
            if not self._is_empty:
                return ModelState("UNLOADING")
            return ModelState("UNAVAILABLE", UNLOADED)
        if fleet.ready:
            return ModelState("READY")
        if self.has_failed:
            return ModelState("UNAVAILABLE", fleet.failure)
        return ModelState("UNAVAILABLE", "no worker answers") if fleet.is_proven else LOADING

    def replace(self, spec: ModelSpec, number: int = 0) -> None:
        """Start new workers by a new specification; the old ones serve until then, and if it can't be loaded.

        Their generation has `number`, or a higher one.
        """
        if self.fleet.is_unloaded:
            self._tell_gateways(Load(spec.name))
        orders = self.fleet.replace(time.monotonic(), _terms(spec), number=number)
        self._specs[self.fleet.generation] = spec
        self._specs = {g: s for g, s in self._specs.items() if g in self.fleet.generations}
        self._told = self._told_refusal = self._told_shortage = ""
        self.obey(orders)

    def unload(self) -> None:
        """Have the workers end what is under way, and leave; what is new is refused."""
        if self.fleet.is_unloaded:
            return
        log.info("unloading", extra={"model": self.spec.name})
        orders = self.fleet.unload()
        self._told = self._told_refusal = self._told_shortage = ""
        self._tell_gateways(Unload(self.spec.name))
        self.obey(orders)
        self._see_unloaded()
        self._settle()

    def outcome(self) -> "asyncio.Future[str]":
        """What becomes of the newest generation (`Fleet.outcome`), once it is known."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._settle()
        return future

    def give_up(self, reason: str) -> None:
        """Tell who waits for an outcome that there will be none."""
        self._settle(reason)

    def obey(self, orders: Orders) -> None:
        """Carry out what the fleet has ordered."""
        for order, worker in orders:
            process = self.processes.get(worker)
            if order is Order.START:
                self._start(worker)
            elif order is Order.JOIN:
                for gateway in self._host.gateways:
                    self._introduce(worker, gateway)
            elif order is Order.PART:
                self._parting[worker] = set(self._host.gateways)
                self._tell_gateways(Part(self._serials[worker]))
                self._see_parted(worker)
            elif order is Order.SUSPEND:
                log.warning("worker_silent", extra={"model": self.spec.name, "worker": worker})
                self._tell_gateways(Suspend(self._serials[worker]))
            elif order is Order.RESUME:
                self._tell_gateways(Resume(self._serials[worker]))
            elif process is not None and order is Order.LEAVE:
                process.channel.send(Leave())
            elif process is not None:
                log.info("worker_killed", extra={"model": self.spec.name, "worker": worker})
                process.kill()

    def hear(self, worker: int, message: Message) -> None:
        """Take what a worker says."""
        now = time.monotonic()
        if isinstance(message, Loaded):
            self.loaded[worker] = message
            self._joined[worker] = set()
            self.obey(self.fleet.loaded(worker, now))
            member = self.fleet.members.get(worker)
            is_current = member is not None and member.generation == self.fleet.generation
            is_free = is_current and self.spec.settings.workers is None
            if is_free and message.workers != self.fleet.size:
                self.obey(self.fleet.resize(message.workers, now))
        elif isinstance(message, Pong):
            self.obey(self.fleet.heard(worker, now))
        elif isinstance(message, Refused):
            self._hear_refusal(worker, message)

    def _hear_refusal(self, worker: int, message: Refused) -> None:
        """A model can't be loaded; that ends a worker unasked if it stood in for one that served."""
        extra = {"model": self.spec.name, "worker": worker}
        reasons = {"code": message.code, "reason": message.reason}
        log.error("load_refused", extra={**extra, **reasons})
        restarts = self.fleet.restarts
        orders = self.fleet.refused(worker, time.monotonic(), message.reason)
        if self.fleet.restarts > restarts:
            self._host.count_restart(self.spec.name, "exit")
        self.obey(orders)
        self._judge()

    def hear_gateway(self, serial: int, gateway: int, *, has_joined: bool) -> None:
        """A gateway has linked up with a worker, or has let it go; it counts when all have."""
        worker = next((w for w, s in self._serials.items() if s == serial), None)
        if worker is None:
            return
        if not has_joined:
            self._parting.get(worker, set()).discard(gateway)
            self._see_parted(worker)
            return
        joined = self._joined.setdefault(worker, set())
        joined.add(gateway)
        member = self.fleet.members.get(worker)
        is_new = member is not None and member.phase is Phase.JOINING
        if is_new and joined >= self._host.gateways.keys():
            self._log_ready(self.loaded[worker])
            self.obey(self.fleet.joined(worker, time.monotonic()))
            self._settle()
            self._host.changed()

    def end_hanging(self, serial: int) -> None:
        """A gateway says that a slot of a worker hangs: end the worker, so that another one takes its place."""
        for worker, known in self._serials.items():
            if known == serial and worker in self.processes:
                log.error("worker_hangs", extra={"model": self.spec.name, "worker": worker})
                self.processes[worker].kill()

    def see_ejected(self, message: Ejected, gateway: int) -> None:
        """A gateway sends a worker nothing for a while, or lets it in again."""
        worker = next((w for w, s in self._serials.items() if s == message.worker), None)
        if worker is None:
            return
        extra = {"model": self.spec.name, "worker": worker, "gateway": gateway}
        if message.for_s:
            self._ejected.setdefault(worker, set()).add(gateway)
            log.warning("worker_ejected", extra={**extra, "for_s": message.for_s})
        else:
            self._ejected.get(worker, set()).discard(gateway)
            log.info("worker_let_in", extra=extra)

    def lose_gateway(self, gateway: int) -> None:
        """A gateway's process has ended: it holds no worker back."""
        for ejectors in self._ejected.values():
            ejectors.discard(gateway)
        for joined in self._joined.values():
            joined.discard(gateway)
        for worker, waiting in list(self._parting.items()):
            waiting.discard(gateway)
            self._see_parted(worker)

    def meet_gateway(self, gateway: int) -> None:
        """Introduce a new gateway to all workers that serve."""
        for worker, member in self.fleet.members.items():
            if member.phase in _SERVING:
                self._introduce(worker, gateway)
        channel = self._host.gateways[gateway].channel
        if self.has_failed:
            channel.send(Trouble(self.spec.name))
        if self.fleet.is_unloaded:
            channel.send(Unload(self.spec.name))
            if self._is_empty:
                channel.send(Unloaded(self.spec.name))

    def ended(self, worker: int, death: Death) -> None:
        """A worker's process has ended."""
        self.processes.pop(worker, None)
        for known in (self.loaded, self._joined, self._parting, self._ejected):
            known.pop(worker, None)
        member = self.fleet.members.get(worker)
        is_expected = member is None or member.phase is Phase.LEAVING
        extra = {"model": self.spec.name, "worker": worker, "reason": death.text}
        log.log(logging.INFO if is_expected else logging.ERROR, "worker_ended", extra=extra)
        if not is_expected:
            self._host.count_restart(self.spec.name, death.cause)
        self._tell_gateways(Forget(self._serials.pop(worker), death.told))
        self.obey(self.fleet.died(worker, time.monotonic(), death.text))
        self._see_unloaded()
        self._judge()

    def status(self) -> dict[str, Any]:
        """What runs, for the admin API."""
        loaded = self.newest
        return {
            "name": self.spec.name,
            "version": self.spec.version,
            "source": self.spec.source,
            "state": self.state.state,
            "plan": loaded.why if loaded else "",
            "failure": self.fleet.failure,
            "refusal": self.fleet.refusal,
            "shortage": self.fleet.shortage,
            "generation": self.fleet.generation,
            "restarts": self.fleet.restarts,
            "workers": [
                {
                    "id": m.id,
                    "pid": self.processes[m.id].pid,
                    "resident_bytes": resident_bytes(self.processes[m.id].pid),
                    "phase": m.phase.value,
                    "generation": m.generation,
                    "is_ejected": bool(self._ejected.get(m.id)),
                }
                for m in self.fleet.members.values()
                if m.id in self.processes
            ],
        }

    def _start(self, worker: int) -> None:
        """Who stands in for one that was ready begins at once; others wait for their turn to load."""
        if self.fleet.is_proven:
            self.begin(worker)
        else:
            self._host.line_up(self, worker)

    def begin(self, worker: int) -> bool:
        """Start a worker's process; False if it is not wanted any more, or can't be started."""
        if not self.fleet.begun(worker, time.monotonic()):
            return False
        spec = self._specs[self.fleet.members[worker].generation]
        settings = spec.settings
        cores = threads.share(threads.available_cores(), settings, self._host.models)
        count = threads.threads_of(settings, cores.count)
        try:
            process = self._host.start_worker(self, worker, threads.environment(count))
        except OSError as e:
            log.error("worker_not_started", extra={"model": self.spec.name, "reason": str(e)})
            self.obey(
                self.fleet.died(worker, time.monotonic(), f"no process could be started: {e}")
            )
            self._judge()
            return False
        self.processes[worker] = process
        self._serials[worker] = self._host.next_serial()
        may_spin = threads.may_spin(settings, cores)
        process.channel.send(Hold(spec, cores, count, may_spin, self._host.max_body_bytes))
        return True

    def _introduce(self, worker: int, gateway: int) -> None:
        """Give a worker and a gateway the sockets between them."""
        loaded = self.loaded[worker]
        pairs = [_data_pair() for _ in range(loaded.slots)] + [pair()]
        generation = self.fleet.members[worker].generation
        spec = self._specs[generation]
        join = Join(self._serials[worker], spec.name, spec.settings, loaded, generation)
        self.processes[worker].channel.send(Meet(gateway), [a.fileno() for a, _ in pairs])
        self._host.gateways[gateway].channel.send(join, [b.fileno() for _, b in pairs])
        for a, b in pairs:
            a.close()
            b.close()

    def _see_parted(self, worker: int) -> None:
        """Let a leaving worker go once no gateway has anything in it."""
        if worker in self._parting and not self._parting[worker]:
            del self._parting[worker]
            self.obey(self.fleet.parted(worker))

    @property
    def _is_empty(self) -> bool:
        return not self.fleet.members and not self.processes

    def _see_unloaded(self) -> None:
        """Say so once nobody holds the model any more."""
        if self.fleet.is_unloaded and self._is_empty:
            log.info("model_unloaded", extra={"model": self.spec.name})
            self._tell_gateways(Unloaded(self.spec.name))

    def _settle(self, reason: str | None = None) -> None:
        """Tell who waits what has become of the newest generation, once that is known."""
        outcome = self.fleet.outcome if reason is None else reason
        if outcome is not None:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(outcome)

    def _judge(self) -> None:
        """Say so if the model has failed for good, or its newest generation, or if fewer serve than were asked for."""
        if self.fleet.shortage != self._told_shortage:
            self._told_shortage = self.fleet.shortage
            if self._told_shortage:
                counts = {"ready": self.fleet.ready, "asked": self.fleet.size}
                extra = {"model": self.spec.name, "reason": self._told_shortage}
                log.error("fewer_workers", extra={**extra, **counts})
        if self.fleet.refusal != self._told_refusal:
            self._told_refusal = self.fleet.refusal
            if self._told_refusal:
                extra = {"model": self.spec.name, "reason": self._told_refusal}
                log.error("generation_given_up", extra=extra)
        self._settle()
        if not self.has_failed or self.fleet.failure == self._told:
            return
        self._told = self.fleet.failure
        log.error("model_failed", extra={"model": self.spec.name, "reason": self._told})
        self._tell_gateways(Trouble(self.spec.name))
        self._host.changed()

    def _tell_gateways(self, message: Message) -> None:
        for gateway in self._host.gateways.values():
            gateway.channel.send(message)

    def _log_ready(self, loaded: Loaded) -> None:
        extra = {
            "model": self.spec.name,
            "load_s": round(loaded.load_s, 3),
            "item_ms": None if loaded.item_s is None else round(loaded.item_s * 1000, 3),
            "max_batch": loaded.max_batch,
            "max_rows": loaded.max_rows,
            "plan": loaded.why,
        }
        log.info("model_ready", extra=extra)


def _terms(spec: ModelSpec) -> Terms:
    settings = spec.settings
    return Terms(settings.workers or 1, settings.load_timeout_s, settings.hang_kill_s)


def _data_pair() -> tuple[socket.socket, socket.socket]:
    pair: Sequence[socket.socket] = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for sock in pair:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DATA_BUFFER_BYTES)
    return pair[0], pair[1]
