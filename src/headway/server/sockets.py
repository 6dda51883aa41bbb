"""Unix sockets that are listened on: opened where nothing is in the way, removed at the end.

Only the socket of a server that is dead is replaced: no file, and no socket that somebody answers on. Only our own is
removed, for a successor may have taken the place once we listen no more. Servers that look at one place at the same
time take turns, by a lock on its folder: it needs no file, and ends with who holds it.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

_MAX_PATH_BYTES = 107
"""Of a Unix socket's address on Linux, without the NUL at its end (unix(7))."""
_PROBE_S = 1.0


class UnixListener:
    """A Unix socket that is listened on; one that a killed server left behind is replaced.

    Args:
        path: where.
        backlog: how many connections may wait to be accepted.
        is_private: only this user may connect.

    Raises:
        OSError: the path is too long, is taken, or can't be used; its `filename` is the path.
    """

    def __init__(self, path: str, backlog: int, *, is_private: bool = False) -> None:
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            problem = f"a Unix socket's path must be at most {_MAX_PATH_BYTES} bytes long"
            raise OSError(errno.ENAMETOOLONG, problem, path)
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177) if is_private else None
        try:
            with _alone(path):
                _clear(path)
                self.socket.bind(path)
                self.socket.listen(backlog)
                self._identity = _identity(path)
        except OSError as e:
            self.socket.close()
            raise OSError(e.errno, e.strerror, path) from e
        finally:
            if before is not None:
                os.umask(before)

    def remove(self) -> None:
        """Remove the socket's file, unless it is somebody else's by now, or gone."""
        with contextlib.suppress(OSError), _alone(self._path):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)


def place_label(path: str) -> str:
    """A short name for the place of a Unix socket, for files that belong to it."""
    place = os.fsencode(os.path.abspath(path))
    return f"unix-{hashlib.sha256(place).hexdigest()[:16]}"


def make_private(folder: Path) -> None:
    """Make a folder that only this user can look into.

    Raises:
        OSError: it is there, and is another user's, open to others, or no folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or stat.S_IMODE(found.st_mode) != 0o700:
        problem = f"the folder {folder} must be this user's own, with mode 0700"
        raise OSError(errno.EPERM, problem, str(folder))


def _clear(path: str) -> None:
    """Remove a dead server's socket. Raises OSError if anything else is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something is there that is no socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except (TimeoutError, BlockingIOError):
            pass  # its backlog is full: it lives
        except OSError as e:
            raise OSError(e.errno, e.strerror, path) from e
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Keep others from looking at a place while it changes."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _identity(path: str) -> tuple[int, int, int]:
    """What tells a file from another one in its place; numbers alone are given again."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns
