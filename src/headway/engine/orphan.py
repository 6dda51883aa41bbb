"""A child ends with its supervisor, whatever it is doing: loading, in native code, or holding the interpreter.

On Linux the kernel sees to it, and takes along what the child has started. The *lifeline* is a pipe of which the
supervisor alone has the writing end; nothing is ever written. When that end closes, for which a kill -9 is enough, the
kernel signals the owner of the reading end: here the child's whole process group. A grandchild that has moved to a
group or session of its own is out of reach. Elsewhere only the closed channel tells, once somebody reads it.

And the other way round: a supervisor that is process 1 of a container inherits the orphans of others, and lets go of
those that ended.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import sys
from collections.abc import Container
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(lifeline: int) -> None:
    """Have this process and its group be killed when the parent ends; end now if it has already.

    Args:
        lifeline: the reading end of a pipe that the parent keeps open. This process leads its group.
    """
    if sys.platform != "linux":
        return
    try:
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    except OSError:
        # A sandbox without it: at least this process ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # hung up: the parent ended before the kernel was told
        os._exit(0)


def bury_orphans(ours: Container[int]) -> None:
    """Let go of ended processes that nobody else waits for; `ours` are those that somebody does."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in ours:
                return  # its pidfd says so too; the others' turn comes with the next look
            os.waitpid(ended.si_pid, os.WNOHANG)
