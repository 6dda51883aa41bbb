"""Strikes the processes of a real server as planned (`schedule`), and sees that each fault happened and ended."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from serving import Server

from harness import census, schedule
from harness.schedule import Strike

SEEN_S = 25.0
"""A fault must have happened, and have ended, within this."""


@dataclass
class Nemesis:
    """Carries out a plan.

    Args:
        server: who is struck.
        model: whose workers are struck.
        on_reload: writes new code before a reload.
        on_reloaded: told once all old workers are gone.
    """

    server: Server
    model: str
    on_reload: Callable[[], None] = lambda: None
    on_reloaded: Callable[[], None] = lambda: None
    struck: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Faults that did not happen."""
    still: list[str] = field(default_factory=list)
    """Faults whose end was not seen."""

    def __post_init__(self) -> None:
        self._whole = self._ready()

    async def run(self, strikes: Sequence[Strike]) -> None:
        """Strike, one after the other."""
        started = time.monotonic()
        for strike in strikes:
            await asyncio.sleep(max(0.0, strike.at_s - (time.monotonic() - started)))
            # In a thread: looking at a server that is struck may take its time, and the load goes on.
            await asyncio.to_thread(self.strike, strike)

    def strike(self, strike: Strike) -> None:
        """Do it, and wait until the server has got over it."""
        what = f"{strike.kind} at {strike.at_s} s"
        if not _wait(self._is_whole):
            self.missed.append(f"{what}: the server had not got over what was before")
            return
        try:
            happened, is_over = self._blow(strike)
        except (OSError, IndexError, StopIteration) as e:
            self.missed.append(f"{what}: {e!r}")
            return
        if not happened:
            self.missed.append(what)
        elif not _wait(is_over):
            self.still.append(what)
        else:
            self.struck.append(strike.kind)

    def _blow(self, strike: Strike) -> "Blow":
        """Strike; once more where a poisonous request was quicker, and who was picked has just ended."""
        try:
            return _BLOWS[strike.kind](self, strike)
        except ProcessLookupError:
            _wait(self._is_whole)
            return _BLOWS[strike.kind](self, strike)

    def _is_whole(self) -> bool:
        return len(self._ready()) >= len(self._whole)

    def kill_worker(self, strike: Strike) -> "Blow":
        before = self.server.workers(self.model)
        victim = _pick(before, strike)
        os.kill(victim, signal.SIGKILL)

        def is_over() -> bool:
            now = self.server.workers(self.model)
            return len(now) >= len(before) and victim not in now

        return _wait(lambda: victim not in self.server.workers(self.model)), is_over

    def term_worker(self, strike: Strike) -> "Blow":
        """Tell a worker to end, which is the supervisor's to say: it goes on."""
        victim = _pick(self.server.workers(self.model), strike)
        os.kill(victim, signal.SIGTERM)
        time.sleep(0.1)
        return True, lambda: victim in self.server.workers(self.model)

    def stop_worker(self, strike: Strike) -> "Blow":
        victim = _pick(self.server.workers(self.model), strike)
        return _stand_still(victim, strike), lambda: victim in self.server.workers(self.model)

    def kill_gateway(self, strike: Strike) -> "Blow":
        before = self.server.gateways()
        victim = _pick(before, strike)
        os.kill(victim, signal.SIGKILL)

        def is_over() -> bool:
            now = self.server.gateways()
            return len(now) == len(before) and victim not in now and self._joined(now)

        return _wait(lambda: census.state(victim) in ("", "Z")), is_over

    def stop_gateway(self, strike: Strike) -> "Blow":
        victim = _pick(self.server.gateways(), strike)
        return _stand_still(victim, strike), lambda: victim in self.server.gateways()

    def stop_supervisor(self, strike: Strike) -> "Blow":
        pid = self.server.process.pid
        return _stand_still(pid, strike), lambda: self.server.status()["is_ready"]

    def reload(self, strike: Strike) -> "Blow":
        before = self._ready()
        self.on_reload()
        self.server.send_signal(signal.SIGHUP)

        def is_over() -> bool:
            return not set(self._all()) & set(before) and len(self._ready()) == len(self._whole)

        is_seen = _wait(lambda: set(self._ready()) - set(before))
        if _wait(is_over):
            self.on_reloaded()
        return is_seen, is_over

    def _ready(self) -> list[int]:
        """Pids of all models' workers that take requests."""
        return [
            w["pid"]
            for m in self.server.status()["models"]
            for w in m["workers"]
            if w["phase"] == "ready"
        ]

    def _all(self) -> list[int]:
        return [w["pid"] for m in self.server.status()["models"] for w in m["workers"]]

    def _joined(self, gateways: Sequence[int]) -> bool:
        """Whether each gateway has as many descriptors as any: a new one that has met all workers."""
        held = [len(os.listdir(f"/proc/{pid}/fd")) for pid in gateways]
        return min(held) > 8


Blow = tuple[bool, Callable[[], object]]
"""Whether the fault happened, and what tells that it is over."""

_BLOWS: dict[str, Callable[[Nemesis, Strike], Blow]] = {
    schedule.KILL_WORKER: Nemesis.kill_worker,
    schedule.TERM_WORKER: Nemesis.term_worker,
    schedule.STOP_WORKER: Nemesis.stop_worker,
    schedule.KILL_GATEWAY: Nemesis.kill_gateway,
    schedule.STOP_GATEWAY: Nemesis.stop_gateway,
    schedule.STOP_SUPERVISOR: Nemesis.stop_supervisor,
    schedule.RELOAD: Nemesis.reload,
}


def _pick(pids: Sequence[int], strike: Strike) -> int:
    return pids[int(strike.pick * len(pids))]


def _stand_still(pid: int, strike: Strike) -> bool:
    """Stop a process for a while; whether it was seen to stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        is_stopped = _wait(lambda: census.state(pid) == "T")
        time.sleep(strike.hold_s)
    finally:
        os.kill(pid, signal.SIGCONT)
    return is_stopped


def _wait(condition: Callable[[], object]) -> bool:
    end_at = time.monotonic() + SEEN_S
    while time.monotonic() < end_at:
        try:
            if condition():
                return True
        except OSError:
            pass  # who answers is being struck; ask again
        time.sleep(0.02)
    return False
