"""The command line as a user meets it: real processes, real exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headway import plugins
from headway.errors import Exit

PREDICTOR = '''
import headway as hw

class Shout(hw.Predictor):
    """Make it loud."""

    def predict(self, text: str, times: int = 1) -> str:
        if not text:
            raise hw.Reject("nothing to shout")
        return text.upper() * times
'''


STREAM = """
from collections.abc import Iterator

def count(upto: int) -> Iterator[list[int]]:
    for number in range(upto):
        yield [number]
"""


def headway(
    *arguments: str, cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headway", *arguments],
        cwd=cwd,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("shout.py").write_text(PREDICTOR)
    return tmp_path


@pytest.mark.parametrize("name", plugins.names("commands"))
def test_every_command_has_help_with_examples(name: str, tmp_path: Path) -> None:
    done = headway(name, "--help", cwd=tmp_path)
    assert done.returncode == Exit.OK
    assert f"Examples:\n    headway {name}" in done.stdout


def test_help_lists_every_command_and_opens_nothing_slow(tmp_path: Path) -> None:
    done = headway("--help", cwd=tmp_path, PYTHONVERBOSE="1")
    assert all(f"\n  {name} " in done.stdout for name in plugins.names("commands"))
    imported = set(re.findall(r"^import '([^']+)'", done.stderr, re.MULTILINE))
    assert {"click", "headway.commands.serve"} < imported
    assert not imported & {"asyncio", "numpy", "onnxruntime", "ssl", "uvloop", "urllib.request"}


def test_the_version_is_told(tmp_path: Path) -> None:
    done = headway("--version", cwd=tmp_path)
    assert done.stdout.startswith("headway 0.")


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    done = headway("serv", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "did you mean 'serve'" in done.stderr


def test_an_unknown_flag_is_a_usage_error(tmp_path: Path) -> None:
    done = headway("serve", "--prot", "1", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("serve", "nope.py"), {}, "there is no such file or folder"),
        (("serve", "--port", "99999"), {}, "`--port`: expected an integer from 0 to 65535"),
        (
            ("serve",),
            {"HEADWAY_MAX_BATCH": "x"},
            "`HEADWAY_MAX_BATCH` in the environment: expected",
        ),
        (("serve",), {"HEADWAY_MAX_BACTH": "1"}, "the nearest is `HEADWAY_MAX_BATCH`"),
        (("serve", "--tls-key", "x"), {}, "TLS needs `tls_certificate` too"),
        (("predict", "shout.py"), {}, "give inputs as NAME=VALUE, or as --json"),
        (("predict", "shout.py", "text"), {}, "expected NAME=VALUE, found 'text'"),
        (("predict", "shout.py", "txet=a"), {}, "the nearest is `text`"),
        (("predict", "shout.py", "text=a", "times=b"), {}, "`times`: expected JSON (integer)"),
        (("predict", "shout.py", "text=a", "text=b"), {}, "expected each input once"),
        (("predict", "shout.py", "text="), {}, "nothing to shout"),
        (("predict", "shout.py", "--json", "{"), {}, "`--json`: "),
        (("predict", "shout.py", "--json", "[1]"), {}, "an array of objects"),
        (("predict", "shout.py", "--json", "[" * 5000), {}, "`--json`: the JSON is nested too"),
        (("predict", "shout.py", "text=a", "times=" + "[" * 5000), {}, "`times`: expected JSON"),
        (("predict", "shout.py", "--json", '{"text": 1}'), {}, "str"),
        (("predict", "shout.py", "text=a", "--model", "shuot"), {}, "the nearest is `shout`"),
    ],
)
def test_what_the_user_got_wrong_ends_with_2_and_one_line(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    done = headway(*arguments, cwd=folder, **environment)
    assert done.returncode == Exit.USAGE
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_headway_yaml_is_told_with_its_line(folder: Path) -> None:
    folder.joinpath("headway.yaml").write_text("predictor: shout.py\nmax_batch: x\n")
    done = headway("serve", cwd=folder)
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "error: `max_batch` in headway.yaml, line 2: "
        "expected an integer from 1 to 65536, found 'x'.\n"
    )


@pytest.mark.parametrize("text", ["", "null\n", "# max_batch: 4\n"])
def test_an_empty_headway_yaml_is_told_by_its_name(folder: Path, text: str) -> None:
    folder.joinpath("headway.yaml").write_text(text)
    done = headway("serve", cwd=folder)
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "error: headway.yaml: is empty; expected `key: value` lines, "
        "such as `predictor: file.py:Name`, or no file.\n"
    )


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = headway("--debug", "serve", "nope.py", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "Traceback" in done.stderr


def test_a_model_that_can_not_be_loaded_ends_with_3(folder: Path) -> None:
    folder.joinpath("broken.onnx").write_bytes(b"no model")
    done = headway("predict", "broken.onnx", "x=1", cwd=folder)
    assert done.returncode == Exit.MODEL
    assert "broken.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_predict_answers_in_json(folder: Path) -> None:
    done = headway("predict", "shout.py", "text=17", "times=2", cwd=folder)
    assert (done.returncode, done.stdout) == (Exit.OK, '"1717"\n')


def test_predict_reads_json_from_text_file_and_standard_input(folder: Path) -> None:
    folder.joinpath("ask.json").write_text('{"text": "b"}')
    given = {'{"text": "a"}': ("", '"A"'), "@ask.json": ("", '"B"')}
    given["-"] = ('[{"text": "c"}, {"text": "d"}]', '["C","D"]')
    for argument, (stdin, answer) in given.items():
        done = headway("predict", "shout.py", "--json", argument, cwd=folder, stdin=stdin)
        assert (done.stdout.strip(), done.returncode) == (answer, Exit.OK)


def test_predict_prints_each_item_of_a_stream_on_its_own_line(tmp_path: Path) -> None:
    tmp_path.joinpath("count.py").write_text(STREAM)
    done = headway("predict", "count.py", "upto=3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (Exit.OK, "[0]\n[1]\n[2]\n")


def test_predict_chooses_among_several_models(folder: Path) -> None:
    text = "models:\n  a: {predictor: 'shout.py:Shout'}\n  b: {predictor: 'shout.py:Shout'}\n"
    folder.joinpath("headway.yaml").write_text(text)
    assert "several models: a, b" in headway("predict", ".", "text=x", cwd=folder).stderr
    assert headway("predict", ".", "text=x", "--model", "b", cwd=folder).stdout == '"X"\n'


def test_a_new_project_answers_and_passes_its_own_tests(tmp_path: Path) -> None:
    done = headway("init", "my-model", cwd=tmp_path)
    assert done.returncode == Exit.OK
    assert "cd my-model && headway serve" in done.stdout
    home = tmp_path / "my-model"
    names = {path.name for path in home.iterdir()}
    assert names >= {"predictor.py", "headway.yaml", "test_predictor.py", "README.md", ".gitignore"}
    done = headway("predict", ".", "text=my card was charged twice", cwd=home)
    answer = json.loads(done.stdout)
    assert max(answer, key=answer.__getitem__) == "billing"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    tests = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert "4 passed" in tests.stdout, tests.stdout


ASKED = {
    "image": ["--json", "@question.json"],
    "stream": ["prompt=the old", "max_words=3"],
    "tabular": ['flat={"area": 60, "rooms": 2}'],
    "text": ["text=my card was charged twice"],
}
ENGINE = """
import headway as hw
with hw.load(".") as ask:
    print(ask(**ask.description.examples[0]))
"""


def test_every_template_is_tried() -> None:
    starter = Path(plugins.__file__).parent / "commands" / "starter"
    assert {path.name for path in starter.iterdir() if path.is_dir()} == set(ASKED)


@pytest.mark.parametrize("template", ASKED)
def test_a_project_of_each_template_answers_and_passes_its_own_tests(
    tmp_path: Path, template: str
) -> None:
    done = headway("init", "--template", template, "my-model", cwd=tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    home = tmp_path / "my-model"
    assert "{name}" not in "".join(p.read_text() for p in home.glob("[Rh]*"))
    done = headway("predict", ".", *ASKED[template], cwd=home)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert json.loads(done.stdout.splitlines()[0])
    for arguments in (["-c", ENGINE], ["-m", "pytest", "-q", "-p", "no:randomly"]):
        command = [sys.executable, *arguments]
        tried = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stdout + tried.stderr


def test_an_unknown_template_names_those_that_there_are(tmp_path: Path) -> None:
    done = headway("init", "--template", "sound", "x", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert all(name in done.stderr for name in ASKED)
    assert not (tmp_path / "x").exists()


def test_init_overwrites_nothing(folder: Path) -> None:
    folder.joinpath("README.md").write_text("mine")
    done = headway("init", ".", cwd=folder)
    assert done.returncode == Exit.USAGE
    assert "already has README.md" in done.stderr
    assert folder.joinpath("README.md").read_text() == "mine"
    assert not folder.joinpath("predictor.py").exists()


def test_a_key_is_shown_once_and_its_hash_is_a_line(tmp_path: Path) -> None:
    done = headway("key", cwd=tmp_path)
    line = done.stdout.strip()
    assert len(line) == 64
    assert int(line, 16)
    assert line not in done.stderr
