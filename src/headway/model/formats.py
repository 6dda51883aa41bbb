"""Which runtime opens a file or a folder: its ending, or the file in a folder that marks it, and what that holds.

Read from the literals of the runtimes, none of which is imported, and no library opens anything.
"""

from collections.abc import Iterator
from pathlib import Path

from headway import plugins

_SEARCHED_BYTES = 65536
"""A mark stands in the head of its file."""


def runtime_of(path: Path) -> str | None:
    """Name the runtime that opens a file or a folder, or None."""
    for name in plugins.in_turn("runtimes"):
        marks = plugins.literal("runtimes", name, "MARKS", {})
        for ending in _endings(name, path.is_dir()):
            file = path / ending if path.is_dir() else path
            is_named_so = file.is_file() if path.is_dir() else path.name.endswith(ending)
            if is_named_so and (ending not in marks or _holds(file, marks[ending])):
                return name
    return None


def known(is_folder: bool) -> str:
    """What is opened, in words: endings of files, or what marks a folder."""
    found = sorted({e for n in plugins.in_turn("runtimes") for e in _endings(n, is_folder)})
    if is_folder:
        return f"known are folders with {', '.join(found) or 'nothing'}"
    return f"known: {', '.join(['.py', *found])}"


def is_claimed(file_name: str) -> bool:
    """Whether the ending is one that a runtime opens, whatever the file holds."""
    return any(
        file_name.endswith(tuple(_endings(name, False))) for name in plugins.in_turn("runtimes")
    )


def _endings(runtime: str, is_folder: bool) -> Iterator[str]:
    found = plugins.literal("runtimes", runtime, "FOLDERS" if is_folder else "SUFFIXES")
    return (e for e in found if e != ".py")


def _holds(file: Path, mark: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return mark in opened.read(_SEARCHED_BYTES)
    except OSError:
        return False
