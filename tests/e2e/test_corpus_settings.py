"""The corpus of bad headway.yaml files and variables: each is refused before anything starts, in words, at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import corpus
import pytest

from headway import config
from headway.config import ModelSettings, ServerSettings
from headway.errors import ConfigError
from headway.model import project

YAML = corpus.load(corpus.HOME / "yaml/documents.yaml")
ENVIRONMENT = corpus.load(corpus.HOME / "yaml/environment.yaml")["cases"]
LONGEST_S = 20.0
"""Of processor time; the largest document that is read takes about one, and what grows without bound takes for ever."""


def documents() -> list[tuple[str, bytes, str]]:
    """Name, document, and what the error must say."""
    found = []
    for row in YAML["cases"]:
        template = row.get("template", YAML["defaults"]["template"]).encode()
        for i, text in enumerate(row["each"]):
            piece = text.encode() if isinstance(text, str) else corpus.to_bytes(text)
            found.append(
                (f"{row['name']} {i}", template.replace(corpus.HERE, piece), row.get("says", ""))
            )
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("model.py").write_text("def predict(a: int) -> int:\n    return a\n")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    outside.joinpath("model.py").write_text("raise SystemExit('it was run')")
    tmp_path.joinpath("link").symlink_to(outside)
    return tmp_path


def refuse(folder: Path) -> ConfigError | None:
    try:
        found = project.find_models(str(folder))
        config.read(ServerSettings, found.server)
    except ConfigError as e:
        return e
    return None


def test_every_bad_document_is_refused_with_its_place(folder: Path) -> None:
    failures = []
    for name, document, says in documents():
        folder.joinpath("headway.yaml").write_bytes(document)
        started = time.process_time()
        error = refuse(folder)
        took_s = time.process_time() - started
        if error is None:
            failures.append(f"{name}: taken: {document[:80]!r}")
        elif says not in error.message or "Traceback" in error.message:
            failures.append(f"{name}: {error.message[:200]}")
        elif not error.message.isprintable() or len(error.message) > 2000:
            failures.append(f"{name}: unfit for a terminal: {error.message[:200]!r}")
        elif took_s > LONGEST_S:
            failures.append(f"{name}: took {took_s:.1f} s")
    assert not failures, "\n".join(failures)
    assert not folder.joinpath("pwned").exists()


def test_the_good_document_beside_them_is_taken(folder: Path) -> None:
    folder.joinpath("headway.yaml").write_text("predictor: model.py:predict\nworkers: 1\n")
    assert refuse(folder) is None


@pytest.mark.parametrize("row", ENVIRONMENT, ids=lambda row: row["name"])
def test_every_bad_variable_is_refused(row: dict[str, str]) -> None:
    taken, unfit = [], list[str]()
    for text in row["each"]:
        environ = {row["variable"]: text}
        try:
            config.check_environment(environ)
            for table in (ServerSettings, ModelSettings):
                config.read(table, config.environment(table, environ))
        except ConfigError as e:
            unfit += [] if e.message.isprintable() else [e.message]
        else:
            taken.append(text)
    assert not unfit, f"unfit for a terminal: {unfit}"
    assert not taken, f"{row['variable']} takes {taken}"


@pytest.mark.parametrize(
    ("document", "environment"),
    [
        (
            b"predictor: model.py:predict\nworkers: !!python/object/apply:os.system ['touch pwned']\n",
            {},
        ),
        (b"predictor: model.py:predict\nworkers: 1e3\n", {}),
        (b"predictor: model.py:predict\n", {"HEADWAY_PORT": "$(touch pwned)"}),
    ],
    ids=["tag", "number", "variable"],
)
def test_serve_ends_with_2_and_starts_nothing(
    folder: Path, document: bytes, environment: dict[str, str]
) -> None:
    folder.joinpath("headway.yaml").write_bytes(document)
    done = subprocess.run(
        [sys.executable, "-m", "headway", "serve"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not folder.joinpath("pwned").exists()
