"""A process of the supervisor's: started, asked for signs of life, and ended with all that it has started itself.

Each leads a process group of its own, which is killed when the process has ended, for whatever reason: what a
predictor has forked goes with it. `orphan` sees to the case that the supervisor itself is killed.
"""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from headway import config
from headway.engine.channel import pair
from headway.engine.mailbox import Mailbox
from headway.engine.memory import Place
from headway.engine.messages import Message, Ping, Pong


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs."""

    module: str
    name: str
    """For its log lines."""
    logs: tuple[str, str]
    """Format and level."""
    environment: dict[str, str]
    reports: int
    """A descriptor that it inherits, to write the errors to that it logs."""
    fds: Sequence[int] = ()
    """Descriptors that it inherits."""


class Child:
    """A process of ours, and the channel to it.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, program: Program, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = pair()
        held, self._lifeline = os.pipe()
        try:
            self.process = _start(program, theirs.fileno(), held)
        except OSError:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(held)
        self.pid = self.process.pid
        self.channel = Mailbox(ours, loop, self.kill)
        self.started_at = self.heard_at = time.monotonic()
        self.pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self.is_gone = False
        self.is_killed = False
        """By us."""
        self.place = Place("", 0)
        """Where its memory is accounted for."""
        self._is_pinged = False

    def kill(self) -> None:
        """End it at once, and what it has started."""
        self.is_killed = self.is_killed or not self.has_ended()
        self._kill()

    def _kill(self) -> None:
        # Until it is waited for, which `close` does, its number can be nobody else's.
        if not self.is_gone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def ping(self) -> None:
        """Ask for a sign of life; never twice before an answer, so that a silent child's channel can't fill up."""
        if not self._is_pinged:
            self._is_pinged = True
            self.channel.send(Ping())

    def heard(self, message: Message) -> None:
        """Note a sign of life."""
        self.heard_at = time.monotonic()
        if isinstance(message, Pong):
            self._is_pinged = False

    def has_ended(self) -> bool:
        """Whether the process has ended; it is not waited for, where the system allows, so its number stays its own."""
        if self.pidfd < 0:
            return self.process.poll() is not None
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> int:
        """Let go of a process that has ended or must; returns its exit code."""
        self._kill()
        self.is_gone = True
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.channel.close()
        os.close(self._lifeline)
        return self.process.wait()


@dataclass(frozen=True, slots=True)
class Death:
    """What a process died of."""

    cause: str
    """One of `headway.observe.metrics.CAUSES`."""
    text: str
    """For the log."""

    @property
    def told(self) -> str:
        """What a caller may read of it; "" if nothing."""
        return "out of memory" if self.cause == "memory" else ""


def death(code: int, *, is_ours: bool, kills: int | None) -> Death:
    """What a process died of.

    Args:
        code: its exit code; of a signal, its negative number.
        is_ours: the supervisor has killed it.
        kills: how many processes of its control group the kernel has killed since for want of memory; None if nobody
            knows.
    """
    if code >= 0:
        return Death("exit", f"exit code {code}")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == signal.SIGKILL and kills:
        return Death("memory", f"{name} (out of memory)")
    if is_ours:
        return Death("killed", f"{name} of the supervisor")
    if -code != signal.SIGKILL:
        return Death("signal", name)
    return Death("signal", f"{name} (out of memory?)" if kills is None else name)


def _start(program: Program, channel: int, lifeline: int) -> "subprocess.Popen[bytes]":
    arguments = [str(channel), str(lifeline), *program.logs, program.name, str(program.reports)]
    return subprocess.Popen(  # noqa: S603  (our own module, run by our own interpreter)
        [sys.executable, "-P", "-m", program.module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=[channel, lifeline, program.reports, *program.fds],
        env=config.child_environment(program.environment),
        process_group=0,
    )
