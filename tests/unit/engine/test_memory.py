"""Where the kernel's kills of a process are counted: read from this machine's own control groups."""

import os
import subprocess
import sys

import pytest

from headway.engine.memory import Memory


def test_who_is_ending_is_nowhere_though_the_kernel_shows_him_in_the_root_group() -> None:
    memory = Memory()
    if not memory.place(os.getpid()).file:
        pytest.skip("this machine counts no kills for want of memory")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert memory.place(child.pid) == memory.place(os.getpid())

        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert memory.place(child.pid).file == ""
