"""The process that starts and restarts all others, and decides nothing by itself: `fleet` does.

It opens the counters' memory, starts gateways and workers, tells each what the others do, watches for their ends,
and carries out a drain or a reload. It imports no user code.
"""

import asyncio
import functools
import itertools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from headway.config import ModelSpec, ServerSettings
from headway.engine.back_off import BackOff
from headway.engine.child import Child, Program
from headway.engine.messages import (
    Drain,
    Drained,
    Ejected,
    Joined,
    Leave,
    Listen,
    Loaded,
    Message,
    Overdue,
    Parted,
    Ready,
    Refused,
)
from headway.engine.orphan import bury_orphans
from headway.engine.party import Party, ended_by
from headway.engine.threads import available_cores
from headway.engine.turns import Turns
from headway.engine.watch import Watch
from headway.errors import Exit, NotLoaded
from headway.observe.metrics import Board

log = logging.getLogger(__name__)

TICK_S = 0.25
GATEWAY_HANG_S = 10.0
GATEWAY_BACK_OFF_S = 5.0
"""Longest wait before a gateway is started again: nobody else takes its share of the clients."""
GATEWAY_STEADY_S = 10.0
"""A gateway that lived for so long was well: its end begins a new row of deaths."""
LEAVE_S = 1.0
"""The children have this long to end when all is over."""
HANG_UP_S = 1.0
"""A child that has hung up must have ended by then."""


class Supervisor:
    """Runs the models behind the listening sockets until it is told to stop.

    Args:
        models: what to serve.
        settings: how.
        gateway_module: the module that a gateway process runs.
        listeners: the sockets on which the gateways accept.
        on_ready: called once, when every required model can answer on every gateway.

    It is made inside a running loop.
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
        self.max_body_bytes = settings.max_body_bytes
        self.models = [spec.settings for spec in models]
        self.gateways: dict[int, Child] = {}
        self.parties = {spec.name: Party(spec, self) for spec in models}
        self.is_ready = False
        self.is_draining = False
        self._board = Board.create(settings.gateways, len(models))
        self._gateway_module = gateway_module
        self._listeners = listeners
        self._on_ready = on_ready
        self._workers: dict[Child, tuple[Party, int]] = {}
        self._serials = itertools.count(1)
        self._turns = Turns(available_cores().count)
        self._back_offs = [BackOff(GATEWAY_BACK_OFF_S) for _ in range(settings.gateways)]
        self._drained: set[int] = set()
        self._started_s = time.time()
        self._watch = Watch([spec.root for spec in models]) if settings.reload else None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()

    # Start and end

    def heed_signals(self) -> None:
        """Stop and reload when told to by a signal; until then, whoever started us has his way with them."""
        self._loop.add_signal_handler(signal.SIGTERM, self.stop)
        self._loop.add_signal_handler(signal.SIGINT, functools.partial(self.stop, is_hasty=True))
        self._loop.add_signal_handler(signal.SIGHUP, self.reload)

    async def run(self) -> int:
        """Serve until told to stop; returns an `Exit`.

        Raises:
            NotLoaded: a required model, or the last one that was left, can't be loaded.
        """
        tasks: set[asyncio.Task[None]] = {asyncio.create_task(self._tick())}
        if self._watch is not None:
            tasks.add(asyncio.create_task(self._watch_files(self._watch)))
        try:
            if not self.is_draining:
                self._start()
            return await self._ended
        finally:
            for task in tasks:
                task.cancel()
            self._end_children()
            self._heed_no_signals()

    def _heed_no_signals(self) -> None:
        """All is decided: whoever is impatient now must not change the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _start(self) -> None:
        for party in self.parties.values():
            party.obey(party.fleet.start(time.monotonic()))
        for index in range(self.settings.gateways):
            self._start_gateway(index)

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
        # The gateways have copies of the listening socket. The last to close its own takes who waits in it.
        for listener in self._listeners:
            listener.close()
        # A gateway that does not say so in time is not waited for.
        self._loop.call_later(delay_s + self.settings.grace_s + 1.0, self._end, Exit.GRACE)
        self._see_drained()

    def reload(self) -> None:
        """Replace all workers by new ones with the files as they are now; the old ones serve until then."""
        if self.is_draining:
            return
        log.info("reloading")
        for party in self.parties.values():
            party.obey(party.fleet.replace(time.monotonic()))

    def status(self) -> dict[str, Any]:
        """What runs, for the admin API."""
        return {
            "pid": os.getpid(),
            "is_ready": self.is_ready,
            "is_draining": self.is_draining,
            "gateways": [{"index": i, "pid": g.pid} for i, g in sorted(self.gateways.items())],
            "models": [party.status() for party in self.parties.values()],
        }

    def failures(self) -> dict[str, str]:
        """Why a model can't be served, by model."""
        return {n: p.fleet.failure for n, p in self.parties.items() if p.has_failed}

    def examples(self) -> dict[str, Any]:
        """An item to try, by model."""
        return {
            name: loaded.description.examples[0]
            for name, party in self.parties.items()
            for loaded in list(party.loaded.values())[:1]
            if loaded.description.examples
        }

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _end_children(self) -> None:
        children = [*self._workers, *self.gateways.values()]
        for child in children:
            child.channel.send(Leave())
        end_at = time.monotonic() + LEAVE_S
        while time.monotonic() < end_at and not all(child.has_ended() for child in children):
            time.sleep(0.005)
        for child in children:
            self._loop.remove_reader(child.channel)
            if child.pidfd >= 0:
                self._loop.remove_reader(child.pidfd)
            child.close()

    # Children

    def _spawn(
        self, module: str, name: str, environment: dict[str, str], fds: Sequence[int]
    ) -> Child:
        logs = (self.settings.log_format, self.settings.log_level)
        child = Child(Program(module, name, logs, environment, fds), self._loop)
        self._loop.add_reader(child.channel, self._read, child)
        if child.pidfd >= 0:
            self._loop.add_reader(child.pidfd, self._child_ended, child)
        return child

    def _read(self, child: Child) -> None:
        messages = child.channel.read()
        if messages is None:
            self._hung_up(child)
            return
        for message, _ in messages:
            self._hear(child, message)

    def _hear(self, child: Child, message: Message) -> None:
        child.heard(message)
        if child in self._workers:
            party, worker = self._workers[child]
            party.hear(worker, message)
            if isinstance(message, Loaded | Refused):
                self._end_turn(party, worker)
        else:
            self._hear_gateway(child, message)

    def _hung_up(self, child: Child) -> None:
        """A child has closed its channel: it is ending, or it is ended."""
        self._loop.remove_reader(child.channel)
        if child.pidfd < 0:
            self._child_ended(child)
        else:
            self._loop.call_later(HANG_UP_S, child.kill)

    def _child_ended(self, child: Child) -> None:
        if child.is_gone:
            return
        # Its last words may still be in the channel: a refusal, say.
        while messages := child.channel.read_now():
            for message, _ in messages:
                self._hear(child, message)
        self._loop.remove_reader(child.channel)
        if child.pidfd >= 0:
            self._loop.remove_reader(child.pidfd)
        code = child.close()
        if child in self._workers:
            party, worker = self._workers.pop(child)
            party.ended(worker, code, is_draining=self.is_draining)
            self._end_turn(party, worker)
        else:
            self._gateway_ended(child, code)

    def _end_turn(self, party: Party, worker: int) -> None:
        self._turns.end((party.spec.name, worker))
        self._give_turns()

    def _give_turns(self) -> None:
        while not self.is_draining and (turn := self._turns.take(time.monotonic())):
            model, worker = turn
            if not self.parties[model].begin(worker):
                self._turns.end(turn)

    # What parties ask for

    def line_up(self, party: Party, worker: int) -> None:
        """Let a worker begin when it is its turn."""
        self._turns.ask((party.spec.name, worker))
        self._give_turns()

    def start_worker(self, party: Party, worker: int, environment: dict[str, str]) -> Child:
        """Start a worker process."""
        child = self._spawn("headway.engine.worker", f"{party.spec.name}-{worker}", environment, [])
        self._workers[child] = (party, worker)
        return child

    def next_serial(self) -> int:
        """A number that no other worker of this server has."""
        return next(self._serials)

    def count_restart(self, model: str) -> None:
        """Count a worker that ended unasked."""
        place = list(self.parties).index(model)
        self._board.tally(self._board.supervisor, place).restarted()

    def changed(self) -> None:
        """A model has become ready, or has failed: see what that makes of the server.

        It is ready once all required models are, and at least one is. Before that, a required model that has failed
        for good ends it, and so does the last one that was left.
        """
        if self.is_ready or self.is_draining or self._ended.done():
            return
        parties = list(self.parties.values())
        failed = [p for p in parties if p.has_failed]
        fatal = [p for p in failed if p.spec.settings.is_required]
        if fatal or len(failed) == len(parties):
            lost = (fatal or failed)[0]
            reason = lost.fleet.failure.rstrip(".")
            self._ended.set_exception(NotLoaded(model=lost.spec.name, reason=reason))
        elif all(p.fleet.ready or not p.spec.settings.is_required for p in parties) and any(
            p.fleet.ready for p in parties
        ):
            self.is_ready = True
            for gateway in self.gateways.values():
                gateway.channel.send(Ready())
            self._on_ready()

    # Gateways

    def _start_gateway(self, index: int) -> None:
        if self.is_draining:
            return
        fds = [listener.fileno() for listener in self._listeners]
        try:
            child = self._spawn(
                self._gateway_module, f"gateway-{index}", {}, [*fds, self._board.fd]
            )
        except OSError as e:
            log.error("gateway_not_started", extra={"gateway": index, "reason": str(e)})
            self._start_gateway_again(index)
            return
        self.gateways[index] = child
        child.channel.send(
            Listen(
                gateway=index,
                gateways=self.settings.gateways,
                settings=self.settings,
                names=list(self.parties),
                board_fd=self._board.fd,
                listener_fds=fds,
                started_s=self._started_s,
                was_ready=self.is_ready,
            )
        )
        for party in self.parties.values():
            party.meet_gateway(index)
        if self.is_ready:
            child.channel.send(Ready())

    def _gateway_ended(self, child: Child, code: int) -> None:
        index = self._index(child)
        del self.gateways[index]
        self._board.clear_gauges(index)
        if self.is_draining:
            self._see_drained()
            return
        for party in self.parties.values():
            party.lose_gateway(index)
        log.error("gateway_ended", extra={"gateway": index, "reason": ended_by(code)})
        self._board.connections(self._board.supervisor).restarted()
        if time.monotonic() - child.started_at > GATEWAY_STEADY_S:
            self._back_offs[index].lived()
        self._start_gateway_again(index)

    def _start_gateway_again(self, index: int) -> None:
        now = time.monotonic()
        back_off = self._back_offs[index]
        back_off.died(now)
        if back_off.is_hopeless and not self.is_ready:
            self._end(Exit.BUG)
        wait_s = max(0.0, back_off.start_at - now)
        self._loop.call_later(wait_s, self._start_gateway, index)

    def _hear_gateway(self, child: Child, message: Message) -> None:
        index = self._index(child)
        if isinstance(message, Drained):
            if message.left:
                log.error("grace_over", extra={"gateway": index, "left": message.left})
                self._end(Exit.GRACE)
            self._drained.add(index)
            self._see_drained()
        elif isinstance(message, Overdue):
            for party in self.parties.values():
                party.end_hanging(message.worker)
        elif isinstance(message, Ejected):
            for party in self.parties.values():
                party.see_ejected(message, index)
        elif isinstance(message, Joined | Parted):
            for party in self.parties.values():
                party.hear_gateway(message.worker, index, has_joined=isinstance(message, Joined))

    def _index(self, child: Child) -> int:
        return next(i for i, gateway in self.gateways.items() if gateway is child)

    def _see_drained(self) -> None:
        if self.is_draining and self._drained >= self.gateways.keys():
            self._end(Exit.OK)

    # Time

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._look_around(time.monotonic())
            # The outermost loop: the operator reads it, and the next tick tries again.
            except Exception:
                log.exception("tick_failed")

    def _look_around(self, now: float) -> None:
        """Ask everybody for a sign of life, and let the clock have its say."""
        if os.getpid() == 1:
            bury_orphans({child.pid for child in (*self._workers, *self.gateways.values())})
        for child, (party, worker) in list(self._workers.items()):
            if worker in party.loaded:
                child.ping()
        for gateway in list(self.gateways.values()):
            gateway.ping()
            if now - gateway.heard_at > GATEWAY_HANG_S:
                gateway.kill()
        if self.is_draining:
            return
        for party in self.parties.values():
            party.obey(party.fleet.tick(now))
        self._give_turns()

    async def _watch_files(self, watch: Watch) -> None:
        """Reload when a file has changed. Looking is left to a thread: a slow disk must not hold up the loop."""
        while not self.is_draining:
            await asyncio.sleep(TICK_S)
            if await asyncio.to_thread(watch.has_changed):
                self.reload()
