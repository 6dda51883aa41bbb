"""Counts what the processes of a server hold: descriptors, threads, shared memory, files. Reads /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

from harness.checker import Holdings

SHARED = Path("/dev/shm")


def members(session: int) -> Iterator[tuple[int, str]]:
    """Pids of a session's processes that have not ended, with their states."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[3]) == session:
            yield int(stat.parent.name), fields[0]


def alive(session: int) -> list[int]:
    """Pids of a session's processes that still run."""
    return [pid for pid, state in members(session) if state != "Z"]


def role(pid: int) -> str:
    """What a process of a server is: supervisor, gateway-0, worker of a model."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    if "headway.engine.worker" in words:
        return "worker of " + words[-1].rpartition("-")[0]
    return words[-1] if "headway.server.process" in words else "supervisor"


def state(pid: int) -> str:
    """The kernel's letter for what a process does; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def resident_bytes(pid: int) -> int:
    """Memory of a process that is its own: neither files' nor others'."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def count(session: int, *folders: Path) -> Holdings:
    """What a server's processes hold now."""
    found = Holdings()
    memfds: set[int] = set()
    for pid, letter in members(session):
        try:
            name = "zombie" if letter == "Z" else role(pid)
            found.processes[name] += 1
            if letter == "Z":
                continue
            found.threads[name] += len(os.listdir(f"/proc/{pid}/task"))
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                found.descriptors[name] += 1
                if os.readlink(fd).startswith("/memfd:"):
                    info = fd.stat()
                    if info.st_ino not in memfds:
                        memfds.add(info.st_ino)
                        found.memfd_bytes += info.st_size
        except OSError:
            continue  # it ended, or closed it, while we looked
    found.files = frozenset(
        str(path) for folder in (SHARED, *folders) if folder.is_dir() for path in folder.iterdir()
    )
    return found
