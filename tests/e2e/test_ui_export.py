"""`headway ui export` as a process: what is copied, what is refused, and a container's command that really serves."""

import http.client
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from serving import serving

PREDICTOR = """
import json
import PIL.Image
import lengths
import headway as hw

@hw.predictor(examples=[{"text": "abc"}])
def sizes(text: str) -> int:
    "Tell how long a text is."
    return lengths.of(text)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A predictor with a module of its own, and things beside it that are nobody's business."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "venv").mkdir()
    (folder / "data").mkdir()
    folder.joinpath("sizes.py").write_text(PREDICTOR)
    folder.joinpath("lengths.py").write_text("import yaml\n\ndef of(text):\n    return len(text)\n")
    for name in (".env", ".git/config", "__pycache__/x.pyc", "venv/pyvenv.cfg", "venv/secret.txt"):
        folder.joinpath(name).write_text("secret")
    for name in ("feedback.db", "test_sizes.py", "data/rows.csv", "notes.txt"):
        folder.joinpath(name).write_text("x")
    folder.joinpath("elsewhere.txt").symlink_to("/etc/hostname")
    return folder


def export(folder: Path, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "headway", "ui", "export", *arguments]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert ran.returncode == code, f"{ran.stdout}\n{ran.stderr}"
    return ran


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_container_holds_what_is_served_and_its_command_serves(
    project: Path, tmp_path: Path
) -> None:
    export(project, "sizes.py", "before", "--to", "streamlit")
    ran = export(project, "sizes.py", "out", "--to", "space-docker", "--exclude", "data/*")
    out = project / "out"
    bundle = {"bundle/sizes.py", "bundle/lengths.py", "bundle/notes.txt"}
    own = {"README.md", "Dockerfile", "requirements.txt", ".gitattributes"}
    assert files(out) - {".headway-export.json"} == bundle | own
    assert "hf upload YOU/NAME out" in ran.stdout
    assert "notes.txt" in ran.stderr
    assert "see that your index has it, or say with --headway where it is" in ran.stderr
    needed = out.joinpath("requirements.txt").read_text().splitlines()
    assert needed[0].startswith("headway==")
    assert [line.partition("==")[0].lower() for line in needed[1:]] == ["pillow", "pyyaml"]
    (command,) = [
        json.loads(line.removeprefix("CMD "))
        for line in out.joinpath("Dockerfile").read_text().splitlines()
        if line.startswith("CMD ")
    ]
    assert command[:2] == ["headway", "serve"]
    asked = [
        "127.0.0.1" if word == "0.0.0.0" else "0" if word == "7860" else word for word in command
    ]
    # What a server leaves there is not the Space's.
    bundled = tmp_path / "bundle"
    (out / "bundle").rename(bundled)
    with serving(bundled, *asked[2:]) as server:
        assert server.ask("sizes", {"text": "four"}).json == 4
        policy = server.call("GET", "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://huggingface.co")


def test_what_headway_yaml_needs_is_what_is_installed(project: Path) -> None:
    text = "predictor: sizes.py:sizes\ndependencies: [pillow>=9]\n"
    project.joinpath("headway.yaml").write_text(text)
    source = "headway @ git+https://example.org/headway"
    export(project, ".", "out", "--to", "space-docker", "--headway", source)
    needed = project.joinpath("out", "requirements.txt").read_text().splitlines()
    assert needed == [source, "pillow>=9"]


def test_a_folder_with_other_things_is_not_written_over(project: Path) -> None:
    project.joinpath("out").mkdir()
    project.joinpath("out", "mine.txt").write_text("mine")
    arguments = ["sizes.py", "out", "--to", "streamlit"]
    refused = export(project, *arguments, code=2)
    assert "out: holds other things" in refused.stderr
    assert "--force" in refused.stderr
    export(project, *arguments, "--force")
    assert project.joinpath("out", "mine.txt").read_text() == "mine"
    export(project, *arguments)  # what was written here may be written again
    assert "is a file" in export(project, "sizes.py", "notes.txt", "--to", "gradio", code=2).stderr


def test_what_is_served_is_copied_whatever_its_name(project: Path) -> None:
    project.joinpath("test_it.py").write_text(PREDICTOR)
    arguments = ["test_it.py", "out", "--to", "space-docker", "--exclude"]
    export(project, *arguments, "notes.txt")
    bundle = files(project / "out" / "bundle")
    assert "test_it.py" in bundle
    assert "test_sizes.py" not in bundle
    refused = export(project, *arguments, "*.py", code=2)
    assert "--exclude: leaves out test_it.py, which is served" in refused.stderr


def test_what_is_left_out_later_is_taken_away(project: Path, tmp_path: Path) -> None:
    for name in ("server.pem", "tls.key", "id_ed25519"):
        project.joinpath(name).write_text("secret")
    arguments = ["sizes.py", "out", "--to", "space-docker"]
    export(project, *arguments)
    bundle = project / "out" / "bundle"
    assert files(bundle) == {"sizes.py", "lengths.py", "notes.txt", "data/rows.csv"}
    project.joinpath("out", "mine.txt").write_text("mine")
    mark = project / "out" / ".headway-export.json"
    told = json.loads(mark.read_text())
    tmp_path.joinpath("elsewhere.txt").write_text("x")
    absolute = str(tmp_path / "elsewhere.txt")
    mark.write_text(json.dumps({"files": [*told["files"], "../notes.txt", absolute]}))
    export(project, *arguments, "--exclude", "data/*", "--exclude", "notes.txt")
    assert files(bundle) == {"sizes.py", "lengths.py"}
    kept = (project / "out" / "mine.txt", project / "notes.txt", tmp_path / "elsewhere.txt")
    assert all(path.is_file() for path in kept)
    for damaged in ("[]", "{", '{"files": [1]}'):
        mark.write_text(damaged)
        assert "is no list of what was exported" in export(project, *arguments, code=2).stderr


@pytest.mark.parametrize("link", ["README.md", "bundle"])
def test_nothing_is_written_through_a_link(project: Path, tmp_path: Path, link: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious") if link == "README.md" else target.mkdir()
    project.joinpath("out").mkdir()
    project.joinpath("out", link).symlink_to(target)
    before = files(tmp_path)
    refused = export(project, "sizes.py", "out", "--to", "space-docker", "--force", code=2)
    assert f"out/{link}: is a link" in refused.stderr
    bytecode = {name for name in files(tmp_path) if "__pycache__" in name}
    assert files(tmp_path) - before <= bytecode
    assert target.is_dir() or target.read_text() == "precious"


def test_a_place_that_nobody_knows_is_told_with_those_that_are(project: Path) -> None:
    refused = export(project, "sizes.py", "out", "--to", "space", code=2)
    known = "gradio, space-docker, space-gradio, space-static, streamlit"
    assert f"'space' is not one of {known}" in refused.stderr


def test_python_is_refused_by_a_place_without_a_server(project: Path) -> None:
    ort = project / "ort"
    ort.mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        ort.joinpath(name).write_text("")
    asked = ["sizes.py", "out", "--to", "space-static"]
    missing = export(project, *asked, code=2)
    assert "npm install onnxruntime-web" in missing.stderr
    refused = export(project, *asked, "--ort", str(ort), code=2)
    assert "sizes: sizes is no class with a model that `load` opens" in refused.stderr
    assert "space-docker and space-gradio run it" in refused.stderr
    assert not project.joinpath("out").exists()


def test_a_folder_that_is_too_large_to_be_copied_is_told_before_anything_is(project: Path) -> None:
    for number in range(2001):
        project.joinpath("data", f"{number}.txt").touch()
    asked = ["sizes.py", "out", "--to", "space-docker"]
    refused = export(project, *asked, code=2)
    assert "holds more than 2000 files or 1024 MB" in refused.stderr
    assert "--exclude" in refused.stderr
    assert not project.joinpath("out").exists()
    export(project, *asked, "--exclude", "data/*")


def test_a_gradio_app_has_no_password_and_is_not_shared(project: Path) -> None:
    command = [sys.executable, "-m", "headway", "ui", "sizes.py", "--gradio", "--share"]
    ran = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "--gradio and --share are not for one run" in ran.stderr


def test_gradio_that_is_missing_is_told_with_the_line_that_adds_it(project: Path) -> None:
    command = [sys.executable, "-m", "headway", "ui", "sizes.py", "--gradio", "--no-open"]
    if importlib.util.find_spec("gradio"):
        pytest.skip("Gradio is installed: tests/clients shows such an app")
    ran = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    assert ran.returncode == 3
    assert "pip install 'headway[gradio]'" in ran.stderr


def test_what_headway_yaml_says_of_the_server_holds_for_the_page_too(project: Path) -> None:
    text = "predictor: sizes.py:sizes\nserver: {port: 0, feedback: said.db}\n"
    project.joinpath("headway.yaml").write_text(text)
    server = subprocess.Popen(
        [sys.executable, "-m", "headway", "ui", "--no-open"],
        cwd=project,
        env={**os.environ, "HEADWAY_DRAIN_DELAY_S": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with server:
        try:
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["port"] != 8000
        finally:
            server.terminate()
    assert project.joinpath("said.db").is_file()


def test_a_socket_is_served_and_no_browser_is_sent_there(project: Path, tmp_path: Path) -> None:
    place = tmp_path / "s.sock"
    server = subprocess.Popen(
        [sys.executable, "-m", "headway", "ui", "sizes.py"],
        cwd=project,
        env={**os.environ, "HEADWAY_UNIX": str(place), "HEADWAY_DRAIN_DELAY_S": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["unix"] == str(place)
        finally:
            server.terminate()
        told = server.stderr.read() if server.stderr else ""
    assert "Unix socket" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("address", ["127.0.0.2", ""])
def test_what_is_shared_is_opened_where_it_listens(
    project: Path, tmp_path: Path, address: str
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o700)
    share = ["--share", address] if address else ["--share"]
    server = subprocess.Popen(
        [sys.executable, "-m", "headway", "ui", "sizes.py", "--port", "0", *share],
        cwd=project,
        env={**os.environ, "BROWSER": f"{browser} %s", "HEADWAY_DRAIN_DELAY_S": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            page, _, key = opened.read_text().partition("#key=")
            host, _, port = page.removeprefix("http://").removesuffix("/").partition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request("GET", "/models")
            assert connection.getresponse().status == 401
            connection.close()
            connection.request("GET", "/models", headers={"authorization": f"Bearer {key}"})
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            server.terminate()
        told = server.stderr.read() if server.stderr else ""
    place = f"{address or '127.0.0.1'}:{port}"
    assert f"ssh -R 80:{place} " in told
    assert f"--url http://{place}\n" in told
    assert host == (address or "127.0.0.1")
    assert key not in "".join(line for line in told.splitlines() if line.startswith("{"))
