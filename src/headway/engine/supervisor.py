"""The process that starts and restarts all others, and decides nothing by itself: `fleet` does.

It opens the counters' memory, starts and watches processes, and has a part for each kind: the gateways (`gateways`),
and the workers of each model (`party`). It carries out a reload, and begins a drain. It imports no user code.
"""

import asyncio
import functools
import itertools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import headway
from headway import config
from headway.config import ModelSettings, ModelSpec, ServerSettings
from headway.engine.aside import aside
from headway.engine.child import Child, Death, Program, death
from headway.engine.gateways import Gateways
from headway.engine.memory import Memory, count, resident_bytes
from headway.engine.messages import Adapt, Leave, Level, Loaded, Message, Ready, Refused
from headway.engine.orphan import bury_orphans
from headway.engine.party import Party
from headway.engine.reload import Read, Reload
from headway.engine.reports import Reports
from headway.engine.threads import available_cores
from headway.engine.turns import Turns
from headway.engine.verbs import Verbs, tuned
from headway.engine.watch import Watch
from headway.errors import ConfigError, Exit, NotLoaded
from headway.model.call import Order
from headway.observe import log as logs
from headway.observe.error_log import ErrorLog
from headway.observe.exposition import exposition
from headway.observe.metrics import Board

log = logging.getLogger(__name__)

TICK_S = 0.25
LEAVE_S = 1.0
"""The children have this long to end when all is over."""
HANG_UP_S = 1.0
"""A child that has hung up must have ended by then."""


class Supervisor:
    """Runs the models behind the listening sockets until it is told to stop.

    Args:
        models: what to serve.
        settings: how.
        listeners: the sockets on which the gateways accept.
        read: reads models and settings again, for a reload.
        on_ready: called once, when every required model can answer on every gateway.

    It is made inside a running loop.
    """

    def __init__(
        self,
        models: Sequence[ModelSpec],
        settings: ServerSettings,
        *,
        listeners: Sequence[socket.socket],
        read: Read,
        on_ready: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.generation = 0
        """How many reloads were taken on, of all models or of one."""
        self._configured = settings
        """As headway.yaml has them; an operator may have changed some since."""
        self._reload = Reload(read, self._adopt)
        self._verbs = Verbs(self, self._reload.ask, self._tune)
        self.parties = {spec.name: Party(spec, self) for spec in models}
        self.is_ready = False
        self.is_draining = False
        self.board = Board.create(settings.gateways, len(models))
        self._front = Gateways(self, listeners, self.board)
        self._on_ready = on_ready
        self._workers: dict[Child, tuple[Party, int]] = {}
        self._serials = itertools.count(1)
        self._turns = Turns(available_cores().count)
        self._memory = Memory()
        roots = [spec.root for spec in models]
        self._watch = Watch(roots, settings.feedback) if settings.reload else None
        self._loop = asyncio.get_running_loop()
        self._reports = Reports(self._loop)
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
            self._reload.stop()
            for task in tasks:
                task.cancel()
            self._end_children()
            self._reports.close()
            self._heed_no_signals()

    def _heed_no_signals(self) -> None:
        """All is decided: whoever is impatient now must not change the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _start(self) -> None:
        for party in self.parties.values():
            party.obey(party.fleet.start(time.monotonic()))
        self._front.start()

    def stop(self, *, is_hasty: bool = False) -> None:
        """Drain and end; told twice, end at once."""
        if self.is_draining:
            self.end(Exit.GRACE)
            return
        self.is_draining = True
        self._verbs.stop()
        if not self.gateways and not self.is_ready and not self._workers:
            self.end(Exit.OK)  # nothing has been started yet
        delay_s = 0.0 if is_hasty or not self.is_ready else self.settings.drain_delay_s
        log.info("draining", extra={"delay_s": delay_s, "grace_s": self.settings.grace_s})
        self._front.drain(delay_s, self.settings.grace_s)
        # A gateway that does not say so in time is not waited for.
        self._loop.call_later(delay_s + self.settings.grace_s + 1.0, self.end, Exit.GRACE)

    def reload(self) -> "asyncio.Future[str]":
        """Read settings and files again, and replace all workers by new ones; the old ones serve until then.

        Returns:
            A future: "" once it is under way, or, in words, why all stays as it was.
        """
        return self._reload.ask()

    async def carry_out(self, order: Order) -> str:
        """Do what an operator asks for, as `Verbs.carry_out`."""
        return await self._verbs.carry_out(order)

    def fence(self) -> "asyncio.Future[None]":
        """Done when every gateway has heard all that it was told until now."""
        return self._front.fence()

    def _adopt(self, models: Sequence[ModelSpec], settings: ServerSettings, name: str) -> None:
        """Take on what a reload has read: all of it but for models that are unloaded, or what it says of one model.

        Raises:
            ConfigError: it can't be, while the server runs.
        """
        if self.is_draining:
            raise ConfigError(where="reload", problem="the server is stopping")
        if name:
            models = [spec for spec in models if spec.name == name]
            if not models:
                raise ConfigError(where=f"model {name!r}", problem="it is no longer configured")
        else:
            self._check_live(models, settings)
        self.generation += 1
        log.info("reloading", extra={"generation": self.generation, "model": name})
        if not name:
            self._configured = settings
            self._run_by(settings)
            if self._watch is not None:
                self._watch.follow([spec.root for spec in models])
        for spec in models:
            party = self.parties[spec.name]
            if name or not party.fleet.is_unloaded:
                party.replace(spec, self.generation)

    def _check_live(self, models: Sequence[ModelSpec], settings: ServerSettings) -> None:
        """Refuse what a running server can't take on. Raises ConfigError."""
        config.check_live(self.settings, settings)
        if changed := {spec.name for spec in models} ^ self.parties.keys():
            known = "no longer served" if min(changed) in self.parties else "new"
            problem = f"it is {known}; the server must be restarted for that"
            raise ConfigError(where=f"model {min(changed)!r}", problem=problem)

    def _tune(self, changes: Mapping[str, Any]) -> None:
        """Change settings until the next reload."""
        log.info("settings_changed", extra={"changes": dict(changes)})
        self._run_by(tuned(self.settings, self._configured, changes))
        for worker in self._workers:
            worker.channel.send(Level(self.settings.log_level))

    def _run_by(self, settings: ServerSettings) -> None:
        self.settings = settings
        logs.set_level(settings.log_level)
        self._front.tell(Adapt(settings))

    @property
    def max_body_bytes(self) -> int:
        """Largest request body."""
        return self.settings.max_body_bytes

    @property
    def models(self) -> list[ModelSettings]:
        """The settings of all models that are served."""
        return [party.spec.settings for party in self.parties.values()]

    @property
    def gateways(self) -> Mapping[int, Child]:
        """The gateways' processes, by index."""
        return self._front.processes

    @property
    def errors(self) -> ErrorLog:
        """The last errors that any process has logged."""
        return self._reports.errors

    def metrics(self) -> str:
        """All counters, as `/metrics` has them."""
        ready = {name: bool(party.fleet.ready) for name, party in self.parties.items()}
        return exposition(
            self.board,
            list(self.parties),
            ready=ready,
            version=headway.__version__,
            started_s=self._front.started_s,
        )

    def status(self) -> dict[str, Any]:
        """What runs, for the admin API."""
        return {
            "pid": os.getpid(),
            "is_ready": self.is_ready,
            "is_draining": self.is_draining,
            "generation": self.generation,
            "resident_bytes": resident_bytes(os.getpid()),
            "gateways": [
                {"index": i, "pid": g.pid, "resident_bytes": resident_bytes(g.pid)}
                for i, g in sorted(self.gateways.items())
            ],
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

    def end(self, code: int) -> None:
        """End now, with this exit code."""
        if not self._ended.done():
            self._ended.set_result(code)

    def _end_children(self) -> None:
        # A gateway that knows already takes the workers' end for no death of theirs.
        children = [*self.gateways.values(), *self._workers]
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

    def spawn(
        self, module: str, name: str, environment: dict[str, str], fds: Sequence[int]
    ) -> Child:
        """Start a process.

        Raises:
            OSError: it can't be started.
        """
        logs = (self.settings.log_format, self.settings.log_level)
        program = Program(module, name, logs, environment, self._reports.fd, fds)
        child = Child(program, self._loop)
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
            self._front.hear(child, message)

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
        died = self._death(child, child.close())
        if child in self._workers:
            party, worker = self._workers.pop(child)
            party.ended(worker, died)
            self._end_turn(party, worker)
        else:
            self._front.ended(child, died)

    def _death(self, child: Child, code: int) -> Death:
        """What a child has died of; each of the kernel's kills explains one death."""
        now = count(child.place.file)
        kills = None if now is None else now - child.place.kills
        died = death(code, is_ours=child.is_killed, kills=kills)
        if died.cause == "memory" and now is not None:
            for other in (*self._workers, *self.gateways.values()):
                if other.place.file == child.place.file:
                    other.place.kills = min(other.place.kills + 1, now)
        return died

    def _end_turn(self, party: Party, worker: int) -> None:
        self._turns.end((party.spec.name, worker))
        self._give_turns()

    def _give_turns(self) -> None:
        while turn := self._turns.take(time.monotonic()):
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
        child = self.spawn("headway.engine.worker", f"{party.spec.name}-{worker}", environment, [])
        self._workers[child] = (party, worker)
        self._locate(child)
        return child

    def _locate(self, child: Child) -> None:
        """See where a child's memory is accounted for; it may have been moved."""
        place = self._memory.place(child.pid)
        if place.file and place.file != child.place.file:
            child.place = place

    def next_serial(self) -> int:
        """A number that no other worker of this server has."""
        return next(self._serials)

    def count_restart(self, model: str, cause: str) -> None:
        """Count a worker that ended unasked."""
        place = list(self.parties).index(model)
        self.board.tally(self.board.supervisor, place).restarted(cause)

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
        elif all(p.fleet.ready or not p.is_needed for p in parties) and any(
            p.fleet.ready for p in parties
        ):
            self.is_ready = True
            self._front.tell(Ready())
            self._on_ready()

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
            self._locate(child)
            if worker in party.loaded:
                child.ping()
        self._front.look_around(now)
        for party in self.parties.values():
            party.obey(party.fleet.tick(now))
        self._give_turns()

    async def _watch_files(self, watch: Watch) -> None:
        """Reload when a file has changed. Looking is left to a thread: a slow disk must not hold up the loop."""
        while not self.is_draining:
            await asyncio.sleep(TICK_S)
            if await aside(watch.has_changed):
                self.reload()
