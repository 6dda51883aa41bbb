"""The demo's script: a server that never gets ready is told, and not waited for."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "ask.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ask", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(20)
def test_server_that_says_nothing_is_told_of() -> None:
    ask = load()
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            with pytest.raises(SystemExit, match=r"not ready within 0\.1 s"):
                ask.read_line(server, 0.1)
        finally:
            server.kill()


def test_server_that_ends_says_nothing_more() -> None:
    ask = load()
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE, text=True) as server:
        assert ask.read_line(server, 20) == ""
