"""Apps that `headway ui export` wrote, run in the environments of what they were written for. Not a test."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving import wait_until

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
START_S = 90.0


def export(folder: Path, place: str, *arguments: str) -> Path:
    """Write the project of a folder for a place."""
    out = folder / f"as-{place}"
    command = [
        sys.executable,
        "-m",
        "headway",
        "ui",
        "export",
        str(folder),
        str(out),
        "--to",
        place,
    ]
    ran = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return out


def python_of(name: str) -> str:
    """The Python of an environment that `scripts/clients NAME` has made."""
    python = ROOT / "build" / "clients" / name / "bin" / "python"
    assert python.exists(), f"{python} is missing: `scripts/clients {name}` makes it"
    return str(python)


def environment_of(folder: Path) -> dict[str, str]:
    """What an app finds: Headway as it is in this tree, nobody's settings, and nothing to be fetched."""
    path, home = os.environ["PATH"], str(folder)
    python = str(ROOT / "src")
    return {"PATH": path, "HOME": home, "PYTHONPATH": python, "HF_HUB_OFFLINE": "1"}


@contextmanager
def running(
    command: Sequence[str], folder: Path, url: str, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start an app, and wait until it answers at `url`; at the end it is told to stop."""
    told = {**environment_of(folder), **environment}
    log = folder / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=told, stdout=out, stderr=out)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, OSError):
            return False

    with process:
        try:
            wait_until(answers, f"{url} answers: {log}", START_S)
            yield process
        finally:
            process.terminate()
