"""A server of the client's subjects, for tests. Not a test."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving import Server, serving

SUBJECTS = Path(__file__).with_name("client_subjects.py")
MODELS = {
    "echo": "Echo",
    "locate": "Locate",
    "story": "Story",
    "add-up": "Add",
    "size": "size",
    "count": "count",
    "slow": "Slow",
    "once": "Once",
}


def write_project(folder: Path, names: Sequence[str], extra: str = "") -> None:
    """Put a project with some of the subjects into a folder."""
    shutil.copy(SUBJECTS, folder / "client_subjects.py")
    lines = [
        f'  {name}: {{predictor: "client_subjects.py:{MODELS[name]}", workers: 1}}\n'
        for name in names
    ]
    (folder / "headway.yaml").write_text("models:\n" + "".join(lines) + extra)


@contextmanager
def asked(
    folder: Path, names: Sequence[str] = tuple(MODELS), *flags: str, extra: str = ""
) -> Iterator[tuple[Server, str]]:
    """A server of some of the subjects, and its URL."""
    write_project(folder, names, extra)
    with serving(folder, ".", *flags) as server:
        yield server, f"http://127.0.0.1:{server.port}"
