"""What is done with an example of any kind: made, tested as its author does, checked. Not a test."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 540


def prepare(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run prepare.py as a user does."""
    return _run([str(EXAMPLES / "prepare.py"), *arguments], EXAMPLES)


def author_tests(name: str) -> "subprocess.CompletedProcess[str]":
    """Run an example's own tests in its folder."""
    quiet = ["-q", "--import-mode=prepend", "-p", "no:cacheprovider"]
    return _run(["-m", "pytest", *quiet], EXAMPLES / name)


def check(name: str) -> "subprocess.CompletedProcess[str]":
    """Ask for an example's accepted answers in every form."""
    return _run(["-m", "headway", "check", str(EXAMPLES / name)], EXAMPLES)


def _run(arguments: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
