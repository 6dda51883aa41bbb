"""Notice that files of a project have changed, for `--reload`."""

import contextlib
import os
from collections.abc import Sequence

_SKIPPED = {"__pycache__", "node_modules", "venv"}
_MOST_FILES = 10_000


class Watch:
    """The files below some folders, as they were when last looked at.

    Args:
        roots: the folders.
        own: a file that the server writes itself, and what SQLite writes beside it; "" for none.
    """

    def __init__(self, roots: Sequence[str], own: str = "") -> None:
        self._own = os.path.abspath(own) if own else ""
        self._outputs = _outputs()
        self._roots = sorted(set(roots))
        self._seen = self._look()

    def follow(self, roots: Sequence[str]) -> None:
        """Look below these folders from now on."""
        self._roots = sorted(set(roots))

    def has_changed(self) -> bool:
        """Whether a file was written, added or removed since the last time."""
        before, self._seen = self._seen, self._look()
        return before != self._seen

    def _look(self) -> dict[str, tuple[int, int]]:
        seen: dict[str, tuple[int, int]] = {}
        for root in self._roots:
            for folder, folders, files in os.walk(root):
                folders[:] = [f for f in folders if f not in _SKIPPED and not f.startswith(".")]
                for name in files:
                    if len(seen) >= _MOST_FILES:
                        return seen
                    path = os.path.join(folder, name)
                    if name.startswith(".") or name.endswith((".pyc", "~")) or self._is_own(path):
                        continue
                    self._note(path, seen)
        return seen

    def _note(self, path: str, seen: dict[str, tuple[int, int]]) -> None:
        try:
            found = os.stat(path)
        except OSError:
            # It went away between the listing and this look; the next look tells.
            return
        if (found.st_dev, found.st_ino) not in self._outputs:
            seen[path] = (found.st_mtime_ns, found.st_size)

    def _is_own(self, path: str) -> bool:
        beside = ("", "-wal", "-shm", "-journal")
        return bool(self._own) and path in {self._own + ending for ending in beside}


def _outputs() -> set[tuple[int, int]]:
    """Files that this process's own words are written to: a log line must not be a change."""
    found = set()
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            place = os.fstat(descriptor)
            found.add((place.st_dev, place.st_ino))
    return found
