"""Where the benchmark keeps what it makes: one folder with models and virtual environments.

`BENCH_CACHE` names another folder. An environment is made on first use and again when its
requirements change; nothing is installed into the environment that runs this.
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

ONNXRUNTIME = "onnxruntime==1.32.0"
"""The same build in every server, so that only the serving differs."""

INSTALL_LIMIT_S = 900.0
"""For one requirement."""

RUNNER = (ONNXRUNTIME, "numpy==2.4.6", "onnx==1.23.2", "scikit-learn==1.9.1", "rich==15.0.0")
"""What runs the benchmark, makes the small models and knows the right answers."""


class InstallError(Exception):
    """pip could not install a requirement; says which and why."""


def cache(*parts: str) -> Path:
    """A path in the cache folder, whose parents exist."""
    top = os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "headway-bench"
    path = Path(top).joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return cache("envs", name) / "bin" / "python"


def site_packages(name: str) -> Path:
    """The folder that an environment installs to."""
    return next(cache("envs", name).glob("lib/python3*/site-packages"))


def ensure(name: str, requirements: Sequence[str], *, fresh: bool = False) -> Path:
    """Make an environment with exactly these requirements, unless it is there.

    Args:
        name: Its folder in the cache.
        requirements: What pip is given, in order; one that starts with "-e " is an editable folder.
        fresh: Make it again even if it is there.

    Returns:
        Its interpreter.

    Raises:
        InstallError: A requirement is not to be had here.
    """
    stamp = cache("envs", name, "requirements.json")
    wanted = [sys.version, *requirements]
    if not fresh and stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return python_of(name)
    print(
        f"installing the environment {name}: {' '.join(requirements) or 'nothing'}", file=sys.stderr
    )
    venv.create(cache("envs", name), clear=True, with_pip=True)
    for requirement in requirements:
        _pip(name, requirement)
    stamp.write_text(json.dumps(wanted))
    return python_of(name)


def _pip(name: str, requirement: str) -> None:
    """Install one requirement; one at a time, so that a pin stands before what depends on it."""
    pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, *requirement.split(maxsplit=1)]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_LIMIT_S
        )
    except subprocess.TimeoutExpired as e:
        raise InstallError(f"pip took over {INSTALL_LIMIT_S} s for {requirement}") from e
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        why = "\n".join(lines)[-2000:]
        raise InstallError(f"pip could not install {requirement} for {name}:\n{why}")


def installed_bytes(name: str) -> int:
    """Bytes on disk of what an environment installed, without pip and setuptools."""
    ours = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")
    kept = [
        entry
        for entry in site_packages(name).iterdir()
        if not any(entry.name == o or entry.name.startswith(f"{o}-") for o in ours)
    ]
    return sum(map(tree_bytes, kept))


def tree_bytes(path: Path) -> int:
    """Bytes on disk of a file, or of the files under a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.lstat().st_blocks * 512 for f in files if f.is_file())
