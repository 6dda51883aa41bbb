"""A server as a tree of processes: start, what it costs by /proc, end."""

import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "BENCH_TREE"
"""Names a tree in the environment of each of its processes: some outlive their parents."""

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Tree:
    """A process in a session of its own, with all that it starts."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        self.started = time.monotonic()
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._root = subprocess.Popen(
            command,
            env=_clean_environment() | dict(environment) | {MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """Every process of the tree: descendants, and who else is in its session."""
        stats = _stats()
        found = {pid for pid, stat in stats.items() if self._root.pid in (pid, stat[_SESSION])}
        while more := {p for p, s in stats.items() if s[_PARENT] in found} - found:
            found |= more
        return sorted(found)

    def cpu_s(self) -> float:
        """CPU seconds of the tree so far, user and system, with its children that have ended."""
        stats = _stats()
        return sum(sum(stats[p][_TIMES]) for p in self.pids() if p in stats) / TICKS_PER_S

    def cpu_by(self, role_of: Callable[[str], str]) -> Mapping[str, float]:
        """CPU seconds as `cpu_s` counts them, by the roles that command lines tell."""
        found: Counter[str] = Counter()
        stats = _stats()
        for pid in self.pids():
            with suppress(OSError, KeyError):
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found[role_of(command)] += sum(stats[pid][_TIMES])
        return {role: ticks / TICKS_PER_S for role, ticks in found.items()}

    def pss_mb(self) -> float:
        """Memory of the tree, what is shared counted once; 10^6 bytes."""
        return sum(_pss_bytes(pid) for pid in self.pids()) / 1e6

    def holders(self) -> list[int]:
        """The processes of the tree that have loaded onnxruntime: those that hold the model."""
        return [pid for pid in self.pids() if _has_mapped(pid, "onnxruntime_pybind11_state")]

    def is_running(self) -> bool:
        """Whether the first process lives."""
        return self._root.poll() is None

    def tail(self) -> str:
        """The end of what the tree wrote."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def stop(self, patience_s: float = 5.0) -> None:
        """Ask the first process to end; after the patience, end each of the tree by its id."""
        pids = self.pids()
        if self.is_running():
            self._root.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._root.wait(patience_s)
        for pid in {*pids, *self.pids(), *_marked(self._mark)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._root.wait()
        self.log.close()


def busy_s() -> float:
    """CPU seconds that all processes of the machine have used, and what its host took from it."""
    user, nice, system, _idle, _wait, *rest = (
        Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return sum(map(int, (user, nice, system, *rest[:3]))) / TICKS_PER_S


def own_cpu_s() -> float:
    """CPU seconds of this process and of the load generators that it ran and that have ended."""
    seen = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in seen)


def _clean_environment() -> dict[str, str]:
    """Ours without what would be a setting of a server."""
    ours = ("HEADWAY_", "MOSEC_", "BENCH_", "OMP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


_PARENT, _SESSION, _TIMES = 1, 3, slice(11, 15)
"""Places in /proc/PID/stat after the name: ppid, session, utime to cstime."""


def _stats() -> dict[int, list[int]]:
    """The numbers of each process's stat file; the state letter is a 0."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                found[int(entry)] = [0, *map(int, fields[1:20])]
    return found


def _marked(mark: str) -> list[int]:
    """The processes with this in their environment: also those whose parents have ended."""
    found = []
    for pid in _stats():
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def _has_mapped(pid: int, name: str) -> bool:
    """Whether a process has a file with this in its path in its memory."""
    with suppress(OSError):
        return name in Path(f"/proc/{pid}/maps").read_text()
    return False


def _pss_bytes(pid: int) -> int:
    """Proportional set size; 0 for a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
