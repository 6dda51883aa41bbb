"""What counts as a change of a project: its files, and nothing that the server writes itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from headway.engine.watch import Watch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "predictor.py").write_text("one")
    return tmp_path


def test_a_file_that_is_written_added_or_removed_is_a_change(root: Path) -> None:
    watch = Watch([str(root)])
    assert not watch.has_changed()
    for change in (
        lambda: (root / "predictor.py").write_text("other"),
        lambda: (root / "weights.bin").write_bytes(b"x"),
        (root / "weights.bin").unlink,
    ):
        change()
        assert watch.has_changed()
        assert not watch.has_changed()


@pytest.mark.parametrize("name", [".git/index", "__pycache__/x.pyc", "x.pyc", ".hidden", "backup~"])
def test_what_is_no_part_of_a_project_is_no_change(root: Path, name: str) -> None:
    watch = Watch([str(root)])
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("new")
    assert not watch.has_changed()


@pytest.mark.parametrize("name", ["said.db", "said.db-wal", "said.db-shm", "said.db-journal"])
def test_feedback_that_is_kept_is_no_change(root: Path, name: str) -> None:
    watch = Watch([str(root)], own=str(root / "said.db"))
    (root / name).write_text("new")
    assert not watch.has_changed()
    (root / "other.db").write_text("new")
    assert watch.has_changed()


def test_a_log_in_the_project_is_no_change(root: Path) -> None:
    code = f"""
import sys
from headway.engine.watch import Watch
watch = Watch([{str(root)!r}])
print("a line", flush=True)
print("another", file=sys.stderr, flush=True)
sys.exit(watch.has_changed())
"""
    with open(root / "out.log", "w") as out, open(root / "err.log", "w") as err:
        command = [sys.executable, "-c", code]
        assert subprocess.run(command, stdout=out, stderr=err, check=False).returncode == 0
    assert (root / "out.log").read_text() == "a line\n"
    assert (root / "err.log").read_text() == "another\n"
