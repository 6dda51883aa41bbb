"""The predictors that the API must make beautiful, each with its test, as its author runs it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needed import need

HERE = Path(__file__).parent
NAMES = sorted(p.parent.name for p in HERE.glob("*/train_*.py"))


def _copy(name: str, folder: Path) -> Path:
    return Path(
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    )


def _run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_of_them_are_here() -> None:
    assert NAMES == ["digits", "flowers", "ocr", "sentiment", "story", "titanic"]


@pytest.mark.parametrize("name", NAMES)
def test_the_authors_test_passes(name: str, tmp_path: Path) -> None:
    folder = _copy(name, tmp_path)
    (folder / "pytest.ini").write_text("[pytest]\n")
    _run(folder, f"train_{name}.py")
    _run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", ".")


@pytest.mark.parametrize("name", NAMES)
def test_the_predictor_is_clean_under_strict_mypy(name: str, tmp_path: Path) -> None:
    need("mypy")
    folder = _copy(name, tmp_path)
    (folder / f"train_{name}.py").unlink()
    cache = HERE.parents[1] / ".mypy_cache" / "predictors"
    _run(folder, "-m", "mypy", "--strict", "--cache-dir", str(cache / name), ".")


def test_the_predictors_are_clean_under_strict_pyright(tmp_path: Path) -> None:
    need("pyright")
    names: list[str] = []
    for name in NAMES:
        folder = _copy(name, tmp_path)
        names.append(f'{{"root": "{folder.name}"}}')
        (folder / f"train_{name}.py").unlink()
    (tmp_path / "pyrightconfig.json").write_text(
        '{"typeCheckingMode": "strict", "pythonVersion": "3.11", '
        f'"executionEnvironments": [{", ".join(names)}]}}'
    )
    _run(tmp_path, "-m", "pyright", "--pythonpath", sys.executable)
