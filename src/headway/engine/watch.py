"""Notice that files of a project have changed, for `--reload`."""

import os
from collections.abc import Sequence

_SKIPPED = {"__pycache__", "node_modules", "venv"}
_MOST_FILES = 10_000


class Watch:
    """The files below some folders, as they were when last looked at."""

    def __init__(self, roots: Sequence[str]) -> None:
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
                    if not name.startswith(".") and not name.endswith((".pyc", "~")):
                        _note(os.path.join(folder, name), seen)
        return seen


def _note(path: str, seen: dict[str, tuple[int, int]]) -> None:
    try:
        found = os.stat(path)
    except OSError:
        # It went away between the listing and this look; the next look tells.
        return
    seen[path] = (found.st_mtime_ns, found.st_size)
