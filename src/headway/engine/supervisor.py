"""The process that starts and restarts all others, and decides nothing by itself: `fleet` does.

It opens the listening socket and the counters' memory, starts gateways and workers, makes the sockets between them,
tells each what the others do, watches for their ends, and carries out a drain or a reload. It imports no user code.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway import config
from headway.config import ModelSpec, ServerSettings
from headway.engine import threads
from headway.engine.channel import Channel, pair
from headway.engine.fleet import Fleet, Order, Orders, Phase
from headway.engine.messages import (
    Drain,
    Drained,
    Forget,
    Hold,
    Join,
    Joined,
    Leave,
    Listen,
    Loaded,
    Meet,
    Message,
    Part,
    Parted,
    Ping,
    Pong,
    Ready,
    Refused,
    Resume,
    Suspend,
    Trouble,
)
from headway.engine.watch import Watch
from headway.errors import Exit
from headway.observe.metrics import Board

log = logging.getLogger(__name__)

TICK_S = 0.25
GATEWAY_HANG_S = 10.0
GATEWAY_BACK_OFF_S = 0.5
MAX_GATEWAY_DEATHS = 5
"""Gateways that may die before the server was ever ready."""
HANG_UP_S = 1.0
"""A child that has hung up must have ended by then."""
_DATA_BUFFER_BYTES = 1 << 20



@dataclass(slots=True, eq=False)
class Child:
    """A process of ours, and the channel to it."""

    process: subprocess.Popen[bytes]
    channel: Channel
    name: str
    heard_at: float
    pidfd: int = -1
    is_pinged: bool = False
    is_gone: bool = False


@dataclass(slots=True, eq=False)
class Party:
    """One model: its fleet, and the processes of its workers by id."""

    spec: ModelSpec
    fleet: Fleet
    children: dict[int, Child] = field(default_factory=dict)
    loaded: dict[int, Loaded] = field(default_factory=dict)
    joined: dict[int, set[int]] = field(default_factory=dict)
    """By worker, the gateways that have linked up with it."""
    parted: dict[int, set[int]] = field(default_factory=dict)


class Supervisor:
    """Runs the models behind the listening sockets until it is told to stop.

    Args:
        models: what to serve.
        settings: how.
        gateway_module: the module that a gateway process runs.
        listeners: the sockets on which the gateways accept.
        on_ready: called once, when every required model can answer on every gateway.
    """

    def __init__(
        self,
        models: Sequence[ModelSpec],
        settings: ServerSettings,
        *,
        gateway_module: str,
        listeners: Sequence[socket.socket],
        on_ready: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.parties = {
            spec.name: Party(spec, Fleet(spec.settings.workers or 1, spec.settings.load_timeout_s, spec.settings.hang_kill_s))
            for spec in models
        }
        self.gateways: dict[int, Child] = {}
        self.is_ready = False
        self.is_draining = False
        self.board = Board.create(settings.gateways, len(models))
        self._gateway_module = gateway_module
        self._listeners = listeners
        self._on_ready = on_ready
        self._workers: dict[int, tuple[Party, int]] = {}
        self._serials: dict[tuple[str, int], int] = {}
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[int]
        self._drained: set[int] = set()
        self._gateway_deaths = 0
        self._started_s = time.time()
        self._watch = Watch([spec.root for spec in models]) if settings.reload else None

    # Start and end

    async def run(self) -> int:
        """Serve until told to stop; returns an `Exit`."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        for party in self.parties.values():
            self._obey(party, party.fleet.start(time.monotonic()))
        for index in range(self.settings.gateways):
            self._start_gateway(index)
        self._loop.add_signal_handler(signal.SIGTERM, self.stop)
        self._loop.add_signal_handler(signal.SIGINT, lambda: self.stop(is_hasty=True))
        self._loop.add_signal_handler(signal.SIGHUP, self.reload)
        ticking = asyncio.create_task(self._tick())
        try:
            return await self._ended
        finally:
            ticking.cancel()
            self._kill_all()

    def stop(self, *, is_hasty: bool = False) -> None:
        """Drain and end; told twice, end at once."""
        if self.is_draining:
            self._end(Exit.GRACE)
            return
        self.is_draining = True
        delay_s = 0.0 if is_hasty or not self.is_ready else self.settings.drain_delay_s
        log.info("draining", extra={"delay_s": delay_s, "grace_s": self.settings.grace_s})
        for gateway in self.gateways.values():
            gateway.channel.send(Drain(delay_s, self.settings.grace_s))
        # A gateway that does not say so in time is not waited for.
        self._loop.call_later(delay_s + self.settings.grace_s + 1.0, self._end, Exit.GRACE)
        if not self.gateways:
            self._end(Exit.OK)

    def reload(self) -> None:
        """Replace all workers by new ones with the files as they are now; the old ones serve until then."""
        log.info("reloading")
        for party in self.parties.values():
            self._obey(party, party.fleet.replace(time.monotonic()))

    def status(self) -> dict[str, Any]:
        """What runs, for the admin API."""
        return {
            "pid": os.getpid(),
            "is_ready": self.is_ready,
            "is_draining": self.is_draining,
            "gateways": [{"index": i, "pid": g.process.pid} for i, g in sorted(self.gateways.items())],
            "models": [self._status_of(party) for party in self.parties.values()],
        }

    def examples(self) -> dict[str, Any]:
        """An item to try, by model."""
        return {
            name: loaded.description.examples[0]
            for name, party in self.parties.items()
            for loaded in list(party.loaded.values())[:1]
            if loaded.description.examples
        }

    def _status_of(self, party: Party) -> dict[str, Any]:
        members = party.fleet.members.values()
        loaded = next(reversed(party.loaded.values()), None)
        return {
            "name": party.spec.name,
            "version": party.spec.version,
            "source": party.spec.source,
            "why": loaded.why if loaded else "",
            "failure": party.fleet.failure,
            "restarts": party.fleet.restarts,
            "workers": [
                {"id": m.id, "pid": party.children[m.id].process.pid, "phase": m.phase.value, "generation": m.generation}
                for m in members
                if m.id in party.children
            ],
        }

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _kill_all(self) -> None:
        children = [c for p in self.parties.values() for c in p.children.values()]
        children += self.gateways.values()
        for child in children:
            child.channel.send(Leave())
        end_at = time.monotonic() + 1.0
        for child in children:
            try:
                child.process.wait(max(0.0, end_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    # Children

    def _spawn(self, module: str, name: str, environment: dict[str, str], fds: Sequence[int]) -> Child:
        ours, theirs = pair()
        ours.settimeout(1.0)
        argv = [sys.executable, "-P", "-m", module, str(theirs.fileno()), self.settings.log_format, self.settings.log_level, name]
        process = subprocess.Popen(  # noqa: S603  (our own module, run by our own interpreter)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=[theirs.fileno(), *fds],
            env=config.child_environment(environment),
        )
        theirs.close()
        child = Child(process, Channel(ours), name, time.monotonic())
        self._loop.add_reader(child.channel, self._read, child)
        if hasattr(os, "pidfd_open"):
            child.pidfd = os.pidfd_open(process.pid)
            self._loop.add_reader(child.pidfd, self._read_end, child)
        return child

    def _read(self, child: Child) -> None:
        messages = child.channel.read()
        if messages is None:
            self._hung_up(child)
            return
        child.heard_at = time.monotonic()
        for message, _ in messages:
            self._hear(child, message)

    def _hung_up(self, child: Child) -> None:
        """A child has closed its channel: it is ending, or it is ended."""
        self._loop.remove_reader(child.channel)
        if child.pidfd < 0:
            self._read_end(child)
        elif not child.is_gone:
            self._loop.call_later(HANG_UP_S, child.process.kill)

    def _read_end(self, child: Child) -> None:
        """A child's process has ended, or its channel has; then it is ended."""
        if child.is_gone:
            return
        child.is_gone = True
        # Its last words may still be in the channel: a refusal, say.
        while not self._ended.done() and (messages := child.channel.read_now()):
            for message, _ in messages:
                self._hear(child, message)
        self._loop.remove_reader(child.channel)
        if child.pidfd >= 0:
            self._loop.remove_reader(child.pidfd)
            os.close(child.pidfd)
        child.channel.close()
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        code = child.process.wait()
        worker = self._workers.pop(id(child), None)
        if worker is not None:
            self._worker_ended(*worker, code)
        else:
            self._gateway_ended(child, code)

    def _hear(self, child: Child, message: Message) -> None:
        child.is_pinged = child.is_pinged and not isinstance(message, Pong)
        worker = self._workers.get(id(child))
        if worker is not None:
            self._hear_worker(*worker, message)
        else:
            self._hear_gateway(child, message)

    # Workers

    def _obey(self, party: Party, orders: Orders) -> None:
        for order, worker in orders:
            child = party.children.get(worker)
            if order is Order.START:
                self._start_worker(party, worker)
            elif order is Order.JOIN:
                for gateway in self.gateways:
                    self._introduce(party, worker, gateway)
            elif order is Order.KILL and child is not None:
                log.warning("worker_killed", extra={"model": party.spec.name, "pid": child.process.pid})
                child.process.kill()
            elif order is Order.LEAVE and child is not None:
                child.channel.send(Leave())
            elif order is Order.PART:
                party.parted[worker] = set()
                self._tell_gateways(Part(self._serial(party, worker)))
            elif order is Order.SUSPEND:
                log.warning("worker_silent", extra={"model": party.spec.name, "worker": worker})
                self._tell_gateways(Suspend(self._serial(party, worker)))
            elif order is Order.RESUME:
                self._tell_gateways(Resume(self._serial(party, worker)))

    def _serial(self, party: Party, worker: int) -> int:
        """A worker's number among those of all models, as the gateways know it."""
        return self._serials.setdefault((party.spec.name, worker), len(self._serials) + 1)

    def _start_worker(self, party: Party, worker: int) -> None:
        spec = party.spec
        count = threads.threads_of(spec.settings, threads.available_cores().count)
        name = f"{spec.name}-{worker}"
        child = self._spawn("headway.engine.worker", name, threads.environment(count), [])
        party.children[worker] = child
        self._workers[id(child)] = (party, worker)
        may_spin = spec.settings.workers == spec.settings.slots == 1 and count > 1
        child.channel.send(Hold(spec, count, may_spin, self.settings.max_body_bytes))

    def _introduce(self, party: Party, worker: int, gateway: int) -> None:
        """Give a worker and a gateway the sockets between them."""
        loaded = party.loaded[worker]
        pairs = [_data_pair() for _ in range(loaded.slots)] + [pair()]
        serial = self._serial(party, worker)
        to_worker = [ours.fileno() for ours, _ in pairs]
        to_gateway = [theirs.fileno() for _, theirs in pairs]
        party.children[worker].channel.send(Meet(gateway), to_worker)
        join = Join(serial, party.spec.name, party.spec.settings, loaded)
        self.gateways[gateway].channel.send(join, to_gateway)
        for ours, theirs in pairs:
            ours.close()
            theirs.close()

    def _hear_worker(self, party: Party, worker: int, message: Message) -> None:
        now = time.monotonic()
        if isinstance(message, Loaded):
            party.loaded[worker] = message
            party.joined[worker] = set()
            self._obey(party, party.fleet.loaded(worker, now))
            if party.spec.settings.workers is None and message.workers != party.fleet.size:
                self._obey(party, party.fleet.resize(message.workers, now))
        elif isinstance(message, Pong):
            self._obey(party, party.fleet.heard(worker, now))
        elif isinstance(message, Refused):
            log.error("load_refused", extra={"model": party.spec.name, "code": message.code, "reason": message.reason})
            self._obey(party, party.fleet.refused(worker, message.reason))
            self._judge(party)

    def _worker_ended(self, party: Party, worker: int, code: int) -> None:
        party.children.pop(worker, None)
        for known in (party.loaded, party.joined, party.parted):
            known.pop(worker, None)  # type: ignore[attr-defined]
        member = party.fleet.members.get(worker)
        is_expected = self.is_draining or member is None or member.phase is Phase.LEAVING
        reason = _reason(code)
        level = logging.INFO if is_expected else logging.ERROR
        log.log(level, "worker_ended", extra={"model": party.spec.name, "worker": worker, "reason": reason})
        if not is_expected:
            self.board.tally(self.board.supervisor, list(self.parties).index(party.spec.name)).restarted()
        self._tell_gateways(Forget(self._serial(party, worker)))
        self._serials.pop((party.spec.name, worker), None)
        if not self.is_draining:
            self._obey(party, party.fleet.died(worker, time.monotonic(), reason))
        self._judge(party)

    def _judge(self, party: Party) -> None:
        """A fleet that has failed: say so, and end if there is nothing at all to serve."""
        failure = party.fleet.failure
        if failure and not party.fleet.ready:
            self._tell_gateways(Trouble(party.spec.name, failure))
        if not self.is_ready and all(p.fleet.failure for p in self.parties.values()):
            self._end(Exit.MODEL)
        self._see_ready()

    # Gateways

    def _start_gateway(self, index: int) -> None:
        if self.is_draining:
            return
        listener_fds = [s.fileno() for s in self._listeners]
        child = self._spawn(self._gateway_module, f"gateway-{index}", {}, [*listener_fds, self.board.fd])
        self.gateways[index] = child
        required = [p.spec.name for p in self.parties.values() if p.spec.settings.is_required]
        child.channel.send(
            Listen(
                index,
                self.settings.gateways,
                self.settings,
                list(self.parties),
                required,
                self.board.fd,
                listener_fds,
                self._started_s,
                self.is_ready,
            )
        )
        for party in self.parties.values():
            for worker, member in party.fleet.members.items():
                if member.phase in (Phase.JOINING, Phase.READY, Phase.SILENT):
                    self._introduce(party, worker, index)
            if party.fleet.failure and not party.fleet.ready:
                child.channel.send(Trouble(party.spec.name, party.fleet.failure))

    def _gateway_ended(self, child: Child, code: int) -> None:
        index = next((i for i, g in self.gateways.items() if g is child), None)
        if index is None:
            return
        del self.gateways[index]
        self.board.clear_gauges(index)
        if self.is_draining:
            self._drained.add(index)
            self._see_drained()
            return
        log.error("gateway_ended", extra={"gateway": index, "reason": _reason(code)})
        self.board.connections(self.board.supervisor).restarted()
        self._gateway_deaths += 1
        if not self.is_ready and self._gateway_deaths >= MAX_GATEWAY_DEATHS:
            self._end(Exit.BUG)
        self._loop.call_later(0.0 if self.is_ready else GATEWAY_BACK_OFF_S, self._start_gateway, index)

    def _hear_gateway(self, child: Child, message: Message) -> None:
        index = next((i for i, g in self.gateways.items() if g is child), -1)
        if isinstance(message, Drained):
            self._drained.add(index)
            self._see_drained()
        elif isinstance(message, (Joined, Parted)):
            found = next((k for k, serial in self._serials.items() if serial == message.worker), None)
            if found is None:
                return
            party, worker = self.parties[found[0]], found[1]
            said = party.joined if isinstance(message, Joined) else party.parted
            said.setdefault(worker, set()).add(index)
            if said[worker] >= self.gateways.keys():
                self._agreed(party, worker, has_joined=isinstance(message, Joined))

    def _agreed(self, party: Party, worker: int, *, has_joined: bool) -> None:
        """All gateways have linked up with a worker, or all have let it go."""
        now = time.monotonic()
        if not has_joined:
            self._obey(party, party.fleet.parted(worker))
            return
        loaded = party.loaded[worker]
        log.info(
            "model_ready",
            extra={
                "model": party.spec.name,
                "load_s": round(loaded.load_s, 3),
                "item_ms": None if loaded.item_s is None else round(loaded.item_s * 1000, 3),
                "max_batch": loaded.max_batch,
                "max_rows": loaded.max_rows,
                "plan": loaded.why,
            },
        )
        self._obey(party, party.fleet.joined(worker, now))
        self._see_ready()

    def _tell_gateways(self, message: Message) -> None:
        for gateway in self.gateways.values():
            gateway.channel.send(message)

    def _see_drained(self) -> None:
        if self._drained >= self.gateways.keys():
            self._end(Exit.OK)

    def _see_ready(self) -> None:
        """Required models must be ready; another one must be, or have failed."""
        if self.is_ready or not self.parties:
            return
        if all(p.fleet.ready or (p.fleet.failure and not p.spec.settings.is_required) for p in self.parties.values()):
            self.is_ready = True
            self._tell_gateways(Ready())
            self._on_ready()

    # Time

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for party in self.parties.values():
                if not self.is_draining:
                    self._obey(party, party.fleet.tick(now))
                for worker, child in party.children.items():
                    if worker in party.loaded:
                        _ping(child)
            for child in list(self.gateways.values()):
                _ping(child)
                if now - child.heard_at > GATEWAY_HANG_S:
                    child.process.kill()
            if self._watch is not None and self._watch.has_changed():
                self.reload()


def _ping(child: Child) -> None:
    """Ask for a sign of life; never twice before an answer, so that a silent child's channel can't fill up."""
    if not child.is_pinged:
        child.is_pinged = True
        child.channel.send(Ping())


def _data_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DATA_BUFFER_BYTES)
    return ours, theirs


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name} (out of memory?)" if -code == signal.SIGKILL else name
