"""Clients that others wrote, each in an environment of its own: `scripts/clients NAME` makes build/clients/NAME.

A client is a folder: `requirements.txt` has all that its environment holds, each pinned; its other files are scripts
that run there, and print what they were answered as one JSON value. `test_NAME.py` beside it serves and looks.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snippets import FILE_NAME, snippets_of

HERE = Path(__file__).parent
HOME = HERE.parents[1] / "build" / "clients"
ASK_S = 240.0

Run = Callable[..., Any]


@pytest.fixture
def run_client(tmp_path: Path) -> Run:
    """Run `tests/clients/NAME/SCRIPT` with arguments where its client is installed; gives the JSON of its last line."""

    def run(name: str, script: str, *arguments: object, **environment: str) -> Any:
        python = HOME / name / "bin" / "python"
        if not python.exists():
            pytest.fail(
                f"{python} is missing: `scripts/clients {name}` makes it and runs this test"
            )
        command = [str(python), str(HERE / name / script), *map(str, arguments)]
        # Of this environment nothing: what a client reads there or in its home is the test's to say.
        told = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environment}
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=ASK_S, env=told
        )
        assert ran.returncode == 0, ran.stderr[-4000:]
        return json.loads(ran.stdout.splitlines()[-1])

    return run


@pytest.fixture
def run_snippet(tmp_path: Path) -> Run:
    """Run the Python of a page of docs/how-to that asks a server at port 8000, where its client is installed."""

    def run(name: str, page: str, port: int) -> None:
        text = HERE.parents[1] / "docs" / "how-to" / page
        (found,) = [
            s.text for s in snippets_of(text) if s.language == "python" and "8000" in s.text
        ]
        command = [str(HOME / name / "bin" / "python"), "-c", found.replace("8000", str(port))]
        told = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=ASK_S, env=told
        )
        assert ran.returncode == 0, ran.stderr[-4000:]

    return run


@pytest.fixture
def write_predictors() -> Callable[[str, Path], None]:
    """Write the files that a page of docs/how-to names in their first lines into a folder."""

    def write(page: str, folder: Path) -> None:
        for snippet in snippets_of(HERE.parents[1] / "docs" / "how-to" / page):
            if named := FILE_NAME.match(snippet.text):
                folder.joinpath(named[1]).write_text(snippet.text)

    return write
