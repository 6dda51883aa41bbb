"""What a process has in memory, and how often the kernel has killed in its control group for want of it. Reads /proc.

Both generations of control groups count such kills: v1 in `memory.oom_control` of the memory controller, v2 in
`memory.events`. Where there is neither, nothing is known.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PF_EXITING = 0x4
"""The kernel's flag of a task that exits, in the ninth field of /proc/PID/stat."""
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


@dataclass(slots=True)
class Place:
    """Where a process's kills are counted, and how many there were when it came there."""

    file: str
    """ "" if nothing is known."""
    kills: int


class Memory:
    """The control groups of this machine, as they are mounted here."""

    def __init__(self) -> None:
        self._v1 = self._v2 = ("", "")
        for line in _read("/proc/self/mountinfo").splitlines():
            mount, _, system = line.partition(" - ")
            root, point = mount.split(" ")[3:5]
            kind, _, options = system.split(" ", 2)
            if kind == "cgroup" and "memory" in re.split("[ ,]", options):
                self._v1 = (root, point)
            elif kind == "cgroup2":
                self._v2 = (root, point)

    def place(self, pid: int) -> Place:
        """Where the kills of a process's group are counted now; nothing is known of one that is ending."""
        groups = [line.split(":", 2) for line in _read(f"/proc/{pid}/cgroup").splitlines()]
        for number, controllers, path in groups:
            if "memory" in controllers.split(","):
                file = _file(self._v1, path, "memory.oom_control")
            elif number == "0" and not any("memory" in g[1].split(",") for g in groups):
                file = _file(self._v2, path, "memory.events")
            else:
                continue
            # v1 shows whoever is ending in the root group. Looked at last: who is not ending now was not before.
            if (kills := count(file)) is not None and not _is_ending(pid):
                return Place(file, kills)
        return Place("", 0)


def resident_bytes(pid: int) -> int | None:
    """The memory of a process that is in RAM, shared pages and all; None if nobody knows, as on macOS."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def count(file: str) -> int | None:
    """The kills that a file counts; None if it does not."""
    found = _KILLS.search(_read(file))
    return int(found[1]) if found else None


def _is_ending(pid: int) -> bool:
    """Whether a process has begun to exit, or is gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return not fields or bool(int(fields[6]) & _PF_EXITING)


def _file(mount: tuple[str, str], path: str, name: str) -> str:
    root, point = mount
    inner = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path()
    return str(Path(point) / inner / name) if point else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:  # no such system, or the process has ended
        return ""
