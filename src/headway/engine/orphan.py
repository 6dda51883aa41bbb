"""A child ends with its supervisor, whatever it is doing: loading, in native code, or holding the interpreter.

On Linux the kernel sees to it. Elsewhere only the closed channel tells, once somebody reads it.
"""

import ctypes
import os
import select
import signal
import sys
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
