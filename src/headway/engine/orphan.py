"""A child ends with its supervisor, whatever it is doing: loading, in native code, or holding the interpreter.

On Linux the kernel sees to it. Elsewhere only the closed channel tells, once somebody reads it. And the other way
round: a supervisor that is process 1 of a container inherits the orphans of others, and lets go of those that ended.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Container
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(channel: int) -> None:
    """Be killed when the parent ends; end now if it has already, which its closed channel tells."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(channel, 0)
    if poll.poll(0):  # hung up: the parent ended before the kernel was told
        os._exit(0)


def bury_orphans(ours: Container[int]) -> None:
    """Let go of ended processes that nobody else waits for; `ours` are those that somebody does."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in ours:
                return  # its pidfd says so too; the others' turn comes with the next look
            os.waitpid(ended.si_pid, os.WNOHANG)
