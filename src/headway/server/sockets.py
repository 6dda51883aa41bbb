"""Unix sockets that are listened on: opened where nothing is in the way, removed at the end.

Only the socket of a server that is dead is replaced: no file, and no socket that somebody answers on.
"""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

_MAX_PATH_BYTES = 107
"""Of a Unix socket's address on Linux, without the NUL at its end (unix(7))."""
_PROBE_S = 1.0


def open_unix(path: str, backlog: int, *, is_private: bool = False) -> socket.socket:
    """Listen on a Unix socket; one that a killed server left behind is replaced.

    Args:
        path: where.
        backlog: how many connections may wait to be accepted.
        is_private: only this user may connect.

    Raises:
        OSError: the path is too long, is taken, or can't be used; its `filename` is the path.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        problem = f"a Unix socket's path must be at most {_MAX_PATH_BYTES} bytes long"
        raise OSError(errno.ENAMETOOLONG, problem, path)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177) if is_private else None
    try:
        listener.bind(path)
        listener.listen(backlog)
    except OSError as e:
        listener.close()
        raise OSError(e.errno, e.strerror, path) from e
    finally:
        if before is not None:
            os.umask(before)
    return listener


def remove(path: str) -> None:
    """Remove a socket of ours; somebody else may have done so."""
    with contextlib.suppress(OSError):
        os.unlink(path)


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
