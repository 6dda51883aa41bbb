"""Plugins of another package: really installed, found by their entry points, and not trusted to be right."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import JSON, Server, serving

SOURCE = Path(__file__).with_name("third_party")
PREDICTORS = '''
from collections.abc import Iterator

from hw_extras.colour import Colour

import headway as hw


def invert(colour: Colour) -> Colour:
    """Turn a colour into its opposite."""
    return Colour(255 - colour.red, 255 - colour.green, 255 - colour.blue)


def grumble(words: int) -> Iterator[str]:
    """Stop in the middle."""
    yield from ["well"] * words
    raise hw.Reject("enough")
'''
MODELS = """
models:
  invert: {predictor: "predictors.py:invert", workers: 1}
  grumble: {predictor: "predictors.py:grumble", workers: 1}
  scaled: {model: scaled.scale, workers: 1}
  scaled-by-content: {model: odd.number, workers: 1}
  scaled-folder: {model: folder, workers: 1}
"""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the package."""
    home = tmp_path_factory.mktemp("third-party")
    shutil.copytree(SOURCE, home / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--target", str(home / "site"), str(home / "source")]
    subprocess.run([*command, *options], check=True, timeout=50)
    return home / "site"


@pytest.fixture(scope="module")
def server(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    folder.joinpath("predictors.py").write_text(PREDICTORS)
    folder.joinpath("scaled.scale").write_text("2.5")
    folder.joinpath("odd.number").write_text("0.5")
    folder.joinpath("folder").mkdir()
    folder.joinpath("folder", "scale.txt").write_text("3.0")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder, PYTHONPATH=str(site)) as server:
        yield server


def run(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "headway", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_a_kind_of_another_package_speaks_for_its_type(server: Server) -> None:
    assert server.ask("invert", {"colour": "#00ff10"}).json == "#ff00ef"
    refused = server.ask("invert", {"colour": "green"})
    assert (refused.status, refused.code) == (400, "bad_input")
    schema = server.call("GET", "/models/invert").json["input_schema"]
    assert schema["properties"]["colour"] == {"type": "string", "format": "colour"}


def test_a_runtime_of_another_package_opens_its_files(server: Server) -> None:
    assert server.ask("scaled", {"x": [2.0]}).json == [5.0]


def test_a_runtime_may_open_a_folder_and_tell_files_by_what_they_hold(
    server: Server, site: Path, tmp_path: Path
) -> None:
    assert server.ask("scaled-by-content", {"x": [2.0]}).json == [1.0]
    assert server.ask("scaled-folder", {"x": [2.0]}).json == [6.0]
    (tmp_path / "by-itself").mkdir()
    (tmp_path / "by-itself" / "scale.txt").write_text("4.0")
    asked = run(site, "predict", str(tmp_path / "by-itself"), "x=[2.0]")
    assert json.loads(asked.stdout) == [8.0], asked.stderr

    (tmp_path / "words.number").write_text("seven")
    refused = run(site, "predict", str(tmp_path / "words.number"), "x=[2.0]")
    assert refused.returncode == 2
    assert "'words.number' holds no model of a known format" in refused.stderr
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "scale.txt").write_text("seven")
    yaml = tmp_path / "headway.yaml"
    yaml.write_text("model: nothing\n")
    refused = run(site, "predict", str(tmp_path), "x=[2.0]")
    assert "'nothing' is no model's folder; known are folders with" in refused.stderr


def test_a_protocol_of_another_package_is_asked_by_its_path(server: Server) -> None:
    answer = server.call("POST", "/sulky/invert", b'{"colour": "#ffffff"}', JSON)
    assert (answer.status, answer.json) == (200, "#000000")


def test_a_command_of_another_package_is_listed_and_runs(site: Path) -> None:
    listed = run(site, "--help").stdout
    assert "greet" in listed
    assert "Greet somebody." in listed
    assert run(site, "greet", "Ada").stdout == "good day, Ada\n"


@pytest.mark.parametrize("query", ["", "?none"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sulky/invert", b'{"colour": "none"}'),  # in the worker
        ("POST", "/sulky/invert", b"{"),
        ("POST", "/sulky/nobody", b"{}"),  # in the gateway
        ("GET", "/sulky/nobody", None),
        ("DELETE", "/sulky/invert", None),
    ],
)
def test_an_error_that_a_protocol_can_not_tell_is_a_plain_500_logged_once(
    server: Server, method: str, path: str, body: bytes | None, query: str
) -> None:
    workers = server.workers("invert")
    id_ = f"{method}-{path.replace('/', '-')}-{len(body or b'')}{query}".replace("?", "-")
    headers = {**JSON, "x-request-id": id_}
    answer = server.call(method, path + query, body, headers)
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-request-id"] == id_
    assert b"secret" not in answer.body
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    told = [line["message"] for line in lines if line.get("request_id") == id_]
    assert told == ["render_failed"]
    assert server.workers("invert") == workers, "nobody died of it"


def test_a_late_answer_of_such_a_protocol_is_a_plain_500_too(server: Server) -> None:
    (worker,) = server.workers("invert")
    os.kill(worker, signal.SIGSTOP)
    try:
        headers = {**JSON, "headway-timeout": "0.2"}
        late = server.call("POST", "/sulky/invert", b'{"colour": "#ffffff"}', headers)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert late.status == 500


def test_a_stream_whose_end_can_not_be_told_ends_all_the_same(server: Server) -> None:
    answer = server.call("POST", "/sulky/grumble", b'{"words": 2}', JSON)
    assert (answer.status, answer.body) == (200, b'"well"\n"well"\n')
    assert server.call("POST", "/sulky/grumble", b'{"words": 1}', JSON).body == b'"well"\n'
    assert "a secret of chunk_error" in server.log
