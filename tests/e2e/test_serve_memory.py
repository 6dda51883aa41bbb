"""What one large request frees serves the next one, and what is kept of it is bounded and does not grow."""

import platform
import shutil
import statistics
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import corpus_subjects
import pytest
from serving import JSON, Server, call, serving

from headway.engine.allocator import TRIM_BYTES

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator"),
]

PAGE_BYTES = 4096
MIB = 2**20
WARM, MEASURED = 10, 30
SETTINGS = 'models: {free: {predictor: "subjects.py:Frees", workers: 1}}'
ROUNDS = 12
LARGEST = 24 * MIB
HEAPS = 4
"""A process has the main heap and one for a thread that found the others taken, seldom more; each comes when it comes.
Who keeps the largest body of each round is beyond the bound of them all after ROUNDS."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(corpus_subjects.__file__, tmp_path / "subjects.py")
    tmp_path.joinpath("headway.yaml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as server:
        yield server


def body(size: int) -> bytes:
    """JSON of about so many bytes: a row of numbers."""
    return b'{"free":[%b0.125]}' % (b"0.125," * (size // 6))


def processes(server: Server) -> dict[str, int]:
    return {"gateway": server.gateways()[0], "worker": server.workers("free")[0]}


def ask(connection: HTTPConnection, raw: bytes, times: int = 1) -> None:
    for _ in range(times):
        assert call(connection, "POST", "/models/free/predict", raw, JSON).status == 200


def faults(pid: int) -> int:
    """Pages that the kernel had to give a process, without reading a disk."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def pages_a_request(server: Server, raw: bytes) -> dict[str, float]:
    """Fresh pages that each process needs for a request like those before it: the median of MEASURED.

    A thread that comes to a heap of its own only then needs pages for a few.
    """
    connection = server.connect()
    ask(connection, raw, WARM)
    needed: dict[str, list[int]] = {name: [] for name in processes(server)}
    for _ in range(MEASURED):
        before = {name: faults(pid) for name, pid in processes(server).items()}
        ask(connection, raw)
        for name, pid in processes(server).items():
            needed[name].append(faults(pid) - before[name])
    connection.close()
    return {name: statistics.median(pages) for name, pages in needed.items()}


def test_a_large_body_needs_no_fresh_pages(server: Server) -> None:
    raw = body(MIB)
    pages = pages_a_request(server, raw)
    assert all(n < len(raw) / PAGE_BYTES / 10 for n in pages.values()), pages


def test_who_has_set_the_allocator_has_the_last_word(folder: Path) -> None:
    with serving(folder, MALLOC_TRIM_THRESHOLD_="131072") as server:
        raw = body(MIB)
        pages = pages_a_request(server, raw)
        assert all(n > len(raw) / PAGE_BYTES for n in pages.values()), pages


def test_what_is_kept_of_large_bodies_is_bounded_and_does_not_grow(server: Server) -> None:
    connection = server.connect()
    ask(connection, body(100))
    before = {name: resident_bytes(pid) for name, pid in processes(server).items()}
    for _ in range(ROUNDS):
        ask_large(connection)
        now = {name: resident_bytes(pid) for name, pid in processes(server).items()}
        kept = {name: n - before[name] for name, n in now.items()}
        assert all(n < HEAPS * TRIM_BYTES for n in kept.values()), kept
    connection.close()


def ask_large(connection: HTTPConnection) -> None:
    """Bodies on both sides of the size from which a block is a mapping of its own; a small one last."""
    for size in (MIB, LARGEST, 8 * MIB):
        ask(connection, body(size))
    ask(connection, body(100))
