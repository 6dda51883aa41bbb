"""The records of jobs: one small file a job in a private folder, which all gateways of a server read.

    JSON of the record, one line | the answer's body, once the job has ended

The gateway that took a job writes its file: aside, then renamed, so that a reader sees one whole state or another. An
id is claimed by a link, which only one can make. Each gateway holds a lock on a file of its own for as long as it
lives; the kernel gives it back however it ends. So a job that is under way and whose gateway's lock is free is lost,
whoever looks, and after a restart too.

What has ended is kept for a time, and within bounds: the oldest goes first. A gateway looks through the folder only
when what it may add without looking is used up: an eighth of each bound, shared by all gateways. Everything here may
wait for a disk; it is called beside the loop.
"""

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from headway.protocols import EVENTS
from headway.server.sockets import make_private

_JOB, _GATEWAY, _ASIDE = ".job", ".gateway", ".new"
_MAX_ASIDE_S = 600.0
"""A file that was written aside and not renamed within this is a dead gateway's."""
_SLACK = 8
"""An eighth of a bound is left free by a look through the folder."""

Status = Literal["queued", "running", "succeeded", "failed", "canceled", "lost"]


class FullError(Exception):
    """All the jobs that there is room for are under way."""


class Record(Struct, omit_defaults=True):
    """What is kept of a job besides its answer's body. Times are in seconds since the epoch."""

    id: str
    owner: str
    """The gateway that took it."""
    codec: str
    op: str
    model: str
    request_id: str
    created_s: float
    status: Status = "queued"
    started_s: float | None = None
    ended_s: float | None = None
    reply_status: int = 0
    content_type: str = ""
    headers: list[tuple[str, str]] = []
    webhook: str = ""
    events: frozenset[str] = EVENTS
    trace: dict[str, str] = {}
    """The headers of a trace that its webhook gets."""

    @property
    def is_open(self) -> bool:
        """Whether the job is under way, as far as this record knows."""
        return self.status in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, over all gateways, and for how long."""

    jobs: int
    bytes: int
    ttl_s: float

    @property
    def largest_bytes(self) -> int:
        """The largest answer that can be kept."""
        return self.bytes - self.bytes // _SLACK


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Records:
    """One gateway's view of the folder.

    Args:
        folder: of all gateways of a server; it need not be there.
        bounds: of what is kept.
        gateways: how many share the folder.
    """

    def __init__(self, folder: Path, bounds: Bounds, gateways: int) -> None:
        self.owner = secrets.token_hex(8)
        self.bounds = bounds
        self._folder = folder
        self._gateways = gateways
        self._lock = threading.Lock()
        self._free_jobs = self._free_bytes = 0
        """What may be added before the next look through the folder."""
        self._held = -1

    # What its own gateway writes

    def claim(self, record: Record) -> tuple[Record, bytes] | None:
        """Begin a job.

        Returns:
            What is known already of a job of this id; None: it is begun.

        Raises:
            FullError: there is no room.
            OSError: the disk is full, or the folder somebody else's.
        """
        with self._lock:
            self._open()
            if self._free_jobs:
                self._free_jobs -= 1
            elif not self._clear(1, 0):
                raise FullError
        aside = self._write_aside(record, b"")
        try:
            os.link(aside, self._path(record.id))
        except FileExistsError:
            return self._claim_again(record, aside)
        finally:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
        return None

    def _claim_again(self, record: Record, aside: Path) -> tuple[Record, bytes] | None:
        """Take an id over from a job that is lost, or out of date."""
        with self._alone():
            known = self.read(record.id)
            if known is None or known[0].status == "lost":
                aside.replace(self._path(record.id))
                return None
        return known

    def write(self, record: Record, body: bytes = b"") -> None:
        """Write what has become of a job of this gateway. Raises OSError."""
        with self._lock:
            if self._free_bytes >= len(body):
                self._free_bytes -= len(body)
            else:
                self._clear(0, len(body))
        self._write_aside(record, body).replace(self._path(record.id))

    def lose(self, record: Record) -> None:
        """Write that a job is lost; where there is no room for that either it is forgotten."""
        record.status = "lost"
        try:
            self.write(record)
        except OSError:
            with contextlib.suppress(OSError):  # from a disk that takes nothing at all
                self.remove(record.id)

    def remove(self, id: str) -> None:
        """Forget a job."""
        self._path(id).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back; nothing of this gateway is under way any more."""
        if self._held >= 0:
            with contextlib.suppress(FileNotFoundError):
                self._lock_path(self.owner).unlink()
            os.close(self._held)
            self._held = -1

    # What any gateway reads

    def read(self, id: str) -> tuple[Record, bytes] | None:
        """A job and its answer's body; None where there is none, or it is out of date."""
        found = _read(self._path(id))
        if found is not None and found[0].is_open and not self._is_alive(found[0].owner):
            found = _read(self._path(id))  # it may have ended just before its gateway did
            if found is not None and found[0].is_open:
                found[0].status = "lost"
        if found is None or self._is_old(found[0], time.time()):
            return None
        return found

    def sweep(self) -> list[Record]:
        """Remove what is out of date or too much; bury the jobs of gateways that have died.

        Returns:
            The jobs that nobody had buried yet.
        """
        if not self._folder.is_dir():
            return []
        with self._lock:
            self._clear(0, 0)
        return self._bury()

    def _bury(self) -> list[Record]:
        lost: list[Record] = []
        for path in self._folder.glob(f"*{_GATEWAY}"):
            with _unheld(path) as is_dead, self._alone():
                if not is_dead:
                    continue
                owner = path.name.removesuffix(_GATEWAY)
                for record in self._records():
                    if record.owner == owner and record.is_open:
                        record.ended_s = time.time()
                        self.lose(record)
                        lost.append(record)
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        return lost

    # The folder

    def _open(self) -> None:
        """Make the folder, and hold a lock in it. Raises OSError."""
        if self._held < 0:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(self._folder)
            held = os.open(self._lock_path(self.owner), os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX)
            self._held = held

    def _clear(self, jobs: int, size: int) -> bool:
        """Make room for so many jobs and bytes, and some more; whether there is."""
        now = time.time()
        found: list[tuple[float, int, Path]] = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                stat = entry.stat(follow_symlinks=False)
                if entry.name.endswith(_JOB):
                    found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
                elif entry.name.endswith(_ASIDE) and now - stat.st_mtime > _MAX_ASIDE_S:
                    os.unlink(entry.path)
        most = self.bounds.jobs - self.bounds.jobs // _SLACK - jobs
        most_bytes = self.bounds.largest_bytes - size
        count, total = len(found), sum(size for _, size, _ in found)
        for changed_s, file_size, path in sorted(found):
            is_over = count > most or total > most_bytes
            if not is_over and now - changed_s <= self.bounds.ttl_s:
                break
            record = _read_head(path)
            if record is not None and self._is_under_way(record):
                continue
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            count, total = count - 1, total - file_size
        room, room_bytes = self.bounds.jobs - count - jobs, self.bounds.bytes - total - size
        self._free_jobs = max(0, min(room, self.bounds.jobs // _SLACK)) // self._gateways
        self._free_bytes = max(0, min(room_bytes, self.bounds.bytes // _SLACK)) // self._gateways
        return room >= 0

    def _is_under_way(self, record: Record) -> bool:
        return record.is_open and self._is_alive(record.owner)

    def _is_old(self, record: Record, now: float) -> bool:
        return record.ended_s is not None and now - record.ended_s > self.bounds.ttl_s

    def _is_alive(self, owner: str) -> bool:
        """Whether a gateway still holds its lock."""
        if owner == self.owner:
            return True
        try:
            file = os.open(self._lock_path(owner), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(file)

    def _write_aside(self, record: Record, body: bytes) -> Path:
        aside = self._folder / f".{record.id[:64]}-{secrets.token_hex(8)}{_ASIDE}"
        try:
            with os.fdopen(os.open(aside, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                file.write(_encode(record) + b"\n")
                file.write(body)
        except OSError:  # what a full disk has taken of it would keep it full
            aside.unlink(missing_ok=True)
            raise
        return aside

    def _records(self) -> Iterator[Record]:
        for path in self._folder.glob(f"*{_JOB}"):
            record = _read_head(path)
            if record is not None:
                yield record

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from taking over an id at the same time."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}{_JOB}"

    def _lock_path(self, owner: str) -> Path:
        return self._folder / f"{owner}{_GATEWAY}"


def _read(path: Path) -> tuple[Record, bytes] | None:
    """A whole file; None where it is gone, or is none of this version's."""
    try:
        with path.open("rb") as file:
            return _decode(file.readline()), file.read()
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _read_head(path: Path) -> Record | None:
    try:
        with path.open("rb") as file:
            return _decode(file.readline())
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


@contextlib.contextmanager
def _unheld(path: Path) -> Iterator[bool]:
    """Share a dead gateway's lock, with those who look whether it lives; whether it was to be had."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)
