"""The marks by which an echo is told to misbehave."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.errors import BundleError, ModelFailed
from headway.runtimes import Options
from headway.runtimes.echo import EchoModel, open_model


def write(tmp_path: Path, **more: Any) -> Path:
    path = tmp_path / "m.echo"
    path.write_text(json.dumps({"inputs": [{"name": "x", "dtype": "int64"}], **more}))
    return path


def opened(tmp_path: Path, **more: Any) -> EchoModel:
    return open_model(write(tmp_path, **more), Options())


def test_a_marked_row_fails_its_call_alone(tmp_path: Path) -> None:
    model = opened(tmp_path, fail_on=13)

    with pytest.raises(ModelFailed, match="13"):
        model(np.array([12, 13]))
    assert model(np.array([12]))["x"].tolist() == [12]


def test_a_marked_row_ends_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np; from headway.runtimes import Options;"
        "from headway.runtimes.echo import open_model;"
        "open_model(pathlib.Path(sys.argv[1]), Options())(np.array([666])); print('alive')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(write(tmp_path, exit_on=666))],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (70, b"")


def test_a_delay_is_kept_for_calls_and_rows(tmp_path: Path) -> None:
    model = opened(tmp_path, delay_s=0.02, row_delay_s=0.01)

    started = time.monotonic()
    model(np.arange(3))

    assert time.monotonic() - started >= 0.05


def test_wrong_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected int64, found float64"):
        opened(tmp_path)(np.array([0.5]))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"inputs": []}',
        '{"inputs": [{"name": "x", "dtype": "floaty"}]}',
        '{"inpust": []}',
    ],
)
def test_a_file_that_says_nothing_sensible_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.echo"
    path.write_text(content)

    with pytest.raises(BundleError, match="echo"):
        open_model(path, Options())
