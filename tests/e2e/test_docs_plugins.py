"""The worked examples of the how-to pages: one new file each, served by a real process, asked."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from needed import need

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
START_TIMEOUT_S = 60
PREDICTOR = '''
import headway as hw


def shout(text: str, times: int = 1) -> str:
    """Say it loudly."""
    if not text:
        raise hw.Reject("there is nothing to say")
    return text.upper() * times
'''

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that a test may add a file to."""
    made = tmp_path / "package" / "headway"
    shutil.copytree(ROOT / "src" / "headway", made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def code_of(page: str) -> tuple[str, str]:
    """The file that a page tells to write, below the package, and what is to stand in it."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    (found,) = re.findall(
        r"as\s+`src/headway/([\w/]+\.py)`:\n\n```python\n(.*?)^```", text, re.M | re.S
    )
    name, code = found
    return name, code


def asked_by(page: str) -> str:
    """The curl line of a page."""
    (line,) = re.findall(r"^curl .*$", (HOW_TO / page).read_text(encoding="utf-8"), re.M)
    return str(line)


@contextmanager
def served(package: Path, target: Path) -> Iterator[str]:
    """`headway serve TARGET` from the copied package; its address."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-m", "headway", "serve", str(target), "--port", "0"]
    with subprocess.Popen(
        command, env=environment, cwd=package.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert select.select([process.stdout], [], [], START_TIMEOUT_S)[0], "never ready"
            yield str(json.loads(process.stdout.readline())["http"])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_TIMEOUT_S)


def post(url: str, body: bytes, content_type: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {"content-type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("page", ["add-a-protocol.md", "add-a-runtime.md"])
def test_the_code_of_a_page_passes_the_linter(page: str, tmp_path: Path) -> None:
    name, code = code_of(page)
    need("ruff")
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert ruff
    file = tmp_path / Path(name).name
    file.write_text(code, encoding="utf-8")
    checks = (["check", "--no-cache"], ["format", "--no-cache", "--check"])
    for check in checks:
        done = subprocess.run(
            [ruff, *check, "--config", str(ROOT / "pyproject.toml"), str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_protocol_is_one_new_file(package: Path, tmp_path: Path) -> None:
    name, code = code_of("add-a-protocol.md")
    (package / name).write_text(code, encoding="utf-8")
    target = tmp_path / "shout.py"
    target.write_text(PREDICTOR, encoding="utf-8")
    form = "application/x-www-form-urlencoded"
    with served(package, target) as url:
        assert "/forms/" in asked_by("add-a-protocol.md")
        ask = f"{url}/forms/shout"
        assert post(ask, b"text=a+joy&times=2", form) == (200, "A JOYA JOY")
        for bad in (b"", b"text=%ff", b"text", b"text=a&times=many", b"other=1", b"\xff\x00"):
            status, told = post(ask, bad, form)
            assert (status, told["code"]) == (400, "bad_input"), bad
        status, told = post(ask, b"text=", form)
        assert (status, told["code"]) == (400, "rejected")
        assert told["error"].endswith("there is nothing to say")
        assert post(f"{url}/forms/nobody", b"text=a", form)[1]["code"] == "unknown_model"


def test_a_runtime_is_one_new_file(package: Path, tmp_path: Path) -> None:
    name, code = code_of("add-a-runtime.md")
    (package / name).write_text(code, encoding="utf-8")
    page = (HOW_TO / "add-a-runtime.md").read_text(encoding="utf-8")
    (model,) = re.findall(r"`(\{\"weights\".*?\})`", page)
    (question,) = re.findall(r"-d '(.*?)'", asked_by("add-a-runtime.md"))
    target = tmp_path / "score.linear"
    target.write_text(model, encoding="utf-8")
    with served(package, target) as url:
        ask = f"{url}/models/score/predict"
        assert post(ask, question.encode(), "application/json") == (200, [11.0, -1.5])
        many = json.dumps([{"features": [float(i), 1.0]} for i in range(5)]).encode()
        status, answer = post(ask, many, "application/json")
        assert status == 200
        assert [row[0] for row in answer] == [2.0, 3.0, 4.0, 5.0, 6.0]
        status, told = post(ask, b'{"features": [1]}', "application/json")
        assert (status, told["code"]) == (400, "bad_input")


@pytest.mark.parametrize(
    "damaged", ["", "[]", '{"weights": [[1], [1, 2]], "bias": []}', '{"weights": [1], "bias": [1]}']
)
def test_a_damaged_file_is_refused_in_words(package: Path, tmp_path: Path, damaged: str) -> None:
    name, code = code_of("add-a-runtime.md")
    (package / name).write_text(code, encoding="utf-8")
    target = tmp_path / "score.linear"
    target.write_text(damaged, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "headway", "predict", str(target), "features=[3, 4]"],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "score.linear" in done.stderr
    assert "Traceback" not in done.stderr
