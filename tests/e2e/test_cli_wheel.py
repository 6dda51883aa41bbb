"""The wheel, not the tree: what is in it, and that what is in it runs."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from headway import plugins

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project as `pip install .` does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True, timeout=50)
    (found,) = folder.glob("headway-*.whl")
    return found


def test_the_wheel_holds_what_is_not_python_too(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "headway"
    assets = {
        f"headway/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"headway/py.typed", "headway/commands/starter/text/samples.tsv"} <= assets
    assert assets <= names
    assert not {name for name in names if name.startswith(("tests", "examples", "bench"))}


def test_every_plugin_that_requires_something_is_an_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    extras = set(metadata.get_all("Provides-Extra", []))
    needed = {
        plugin
        for kind in ("runtimes", "kinds", "protocols")
        for plugin in plugins.names(kind)
        if plugins.literal(kind, plugin, "REQUIRES")
    }
    assert {"onnx", "sklearn"} <= needed
    assert needed | {"all-runtimes", "light-runtimes", "test", "lint", "dev"} <= extras
    requirements = metadata.get_all("Requires-Dist", [])
    for requirement in plugins.literal("runtimes", "onnx", "REQUIRES"):
        assert f"{requirement}; extra == 'onnx'" in requirements


def test_what_the_wheel_installs_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
    subprocess.run([*command, str(wheel)], check=True, timeout=50)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        )
        return done.stdout

    assert run("-c", "import headway; print(headway.__file__)").startswith(str(site))
    run("-m", "headway", "init", "project")
    assert "billing" in run("-m", "headway", "predict", "project", "text=a refund, please")
