"""Models are opened from files of Python and of weights; what fails says why."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from headway.config import ModelSettings, ModelSpec
from headway.errors import BundleError, ConfigError, ModelFailed, SignatureError
from headway.model.opening import open_predictor, open_spec

CLASS = '''
import headway as hw

class Shout(hw.Predictor):
    """Say it louder."""

    examples = ({"text": "a"}, {"text": "b", "mark": "?"})
    thread_safe = True

    def load(self) -> None:
        self.suffix = self.path("suffix.txt").read_text()

    def predict(self, text: hw.Batch[str], mark: str = "!") -> hw.Batch[str]:
        return [t.upper() + self.suffix + mark for t in text]

    def close(self) -> None:
        self.path("closed.txt").write_text("")
'''


@pytest.fixture(autouse=True)
def _tidy_modules() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        if not name.startswith(("headway", "numpy", "onnx", "simdjson")):
            del sys.modules[name]
    sys.path[:] = path


def spec_of(root: Path, source: str) -> ModelSpec:
    return ModelSpec("m", str(root), source, ModelSettings())


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)


def test_a_class_is_found_loaded_and_described(tmp_path: Path) -> None:
    write(tmp_path, "shout.py", CLASS)
    write(tmp_path, "suffix.txt", "-")
    opened = open_spec(spec_of(tmp_path, "shout.py"))
    assert opened.predict(text=["a"], mark="?") == ["A-?"]
    assert opened.is_thread_safe
    assert opened.description.name == "m"
    assert opened.description.doc == "Say it louder."
    assert list(opened.description.examples) == [{"text": "a"}, {"text": "b", "mark": "?"}]
    call = opened.example_call(3)
    assert call is not None
    assert call.columns == {"text": ["a", "b", "a"], "mark": ["!", "?", "!"]}
    opened.close()
    assert (tmp_path / "closed.txt").exists()


def test_its_types_are_those_of_a_module_that_has_a_name(tmp_path: Path) -> None:
    source = """
import pickle
from dataclasses import dataclass
import headway as hw
from beside import WORD

@dataclass
class Answer:
    word: str

def predict(text: str) -> Answer:
    return pickle.loads(pickle.dumps(Answer(WORD)))
"""
    write(tmp_path, "with_types.py", source)
    write(tmp_path, "beside.py", "WORD = 'here'")
    opened = open_spec(spec_of(tmp_path, "with_types.py"))
    assert opened.wire.write_item(opened.predict(text="a")) == b'{"word":"here"}'


def test_two_files_of_one_name_are_two_predictors(tmp_path: Path) -> None:
    found = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        text = f"def predict(text: str) -> str:\n    return text + {folder!r}\n"
        write(tmp_path / folder, "same.py", text)
        found.append(open_spec(spec_of(tmp_path / folder, "same.py")))
    assert [o.predict(text="") for o in found] == ["one", "two"]


def test_a_file_named_like_a_library_shadows_nothing(tmp_path: Path) -> None:
    import json

    write(tmp_path, "json.py", "def predict(text: str) -> str:\n    return 'mine'\n")
    assert open_spec(spec_of(tmp_path, "json.py")).predict(text="") == "mine"
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pandas", "add it with: pip install 'headway[pandas]'"),
        ("PIL", "add it with: pip install 'headway[image]'"),
        ("sklearn", "add it with: pip install 'headway[sklearn]'"),
        ("torch", "add it with: pip install 'headway[torch]'"),
        ("cv2", "no file of yours, add it with: pip install opencv-python-headless"),
        ("skops", "no file of yours, add it with: pip install skops"),
    ],
)
@pytest.mark.parametrize("where", ["at import", "in load"])
def test_a_library_that_lacks_is_named_with_the_line_that_adds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, line: str, where: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    text = f"import {module}\n" + CLASS
    if where == "in load":
        text = CLASS.replace("self.suffix =", f"import {module};")
    write(tmp_path, f"lacking_{module}_{where[:2]}.py", text)
    with pytest.raises((BundleError, ModelFailed), match=re.escape(line)):
        open_spec(spec_of(tmp_path, f"lacking_{module}_{where[:2]}.py"))


def test_of_what_is_there_no_installation_is_advised(tmp_path: Path) -> None:
    write(tmp_path, "within.py", "import json.nothing_such\n" + CLASS)
    with pytest.raises(BundleError) as told:
        open_spec(spec_of(tmp_path, "within.py"))
    assert "pip" not in told.value.message


@pytest.mark.parametrize(
    ("text", "source", "error", "words"),
    [
        (CLASS, "gone.py", BundleError, ("gone.py", "no such file")),
        (CLASS, "../x/shout.py", BundleError, ("out of the bundle",)),
        (CLASS, "shout.py:Shou", ConfigError, ("Shou", "Shout")),
        (CLASS, "shout.py:hw", ConfigError, ("hw", "no predictor")),
        ("x = 1", "shout.py", ConfigError, ("no predictor",)),
        ("def", "shout.py", BundleError, ("shout.py",)),
        ("import nothing_such\n" + CLASS, "shout.py", BundleError, ("nothing_such",)),
        ("1 / 0\n" + CLASS, "shout.py", BundleError, ("ZeroDivisionError",)),
        (CLASS, "shout.py", ModelFailed, ("load()", "suffix.txt")),
        (
            CLASS.replace("self.suffix =", "raise ValueError('no');"),
            "shout.py",
            ModelFailed,
            ("no",),
        ),
        (CLASS.replace("text: hw.Batch[str], ", ""), "shout.py", SignatureError, ("batch",)),
        (
            CLASS.replace('"mark": "?"', '"more": 1'),
            "shout.py",
            SignatureError,
            ("more", "text, mark"),
        ),
    ],
)
def test_what_cannot_be_opened_says_why(
    tmp_path: Path, text: str, source: str, error: type[Exception], words: tuple[str, ...]
) -> None:
    write(tmp_path, "shout.py", text)
    if error is SignatureError:
        write(tmp_path, "suffix.txt", "")
    with pytest.raises(error) as caught:
        open_spec(spec_of(tmp_path, source))
    for word in words:
        assert word in str(caught.value)
    if error is ModelFailed:
        assert caught.value.__cause__ is not None


def test_a_model_file_is_a_predictor(tmp_path: Path) -> None:
    write(tmp_path, "m.echo", '{"inputs":[{"name":"x","shape":[2]}]}')
    opened = open_spec(spec_of(tmp_path, "m.echo"))
    assert opened.signature.is_batched
    assert opened.note == ""
    assert opened.description.platform == "headway_echo"
    call = opened.example_call(3)
    assert call is not None
    result = opened.wire.scatter(opened.predict(**opened.wire.gather([(call, None)])), 3)
    assert opened.wire.rows(result) == 3
    one = opened.wire.read_json(b'{"x":[1,2]}')
    answer = opened.wire.scatter(opened.predict(**opened.wire.gather([(one, None)])), 1)
    assert msgspec.json.decode(opened.wire.write_json(answer, is_single=True))["x"] == [1, 2]


@pytest.mark.parametrize(
    ("shape", "made"), [("-1", (3, 64)), ("-1,-1", (3, 64, 64)), ("-1,-1,-1", (3, 8, 8, 8))]
)
def test_a_model_file_is_warmed_with_free_lengths_as_requests_have_them(
    tmp_path: Path, shape: str, made: tuple[int, ...]
) -> None:
    write(tmp_path, "m.echo", f'{{"inputs":[{{"name":"x","shape":[{shape}]}}]}}')
    opened = open_spec(spec_of(tmp_path, "m.echo"))
    call = opened.example_call(3)
    assert call is not None
    assert opened.wire.gather([(call, None)])["x"].shape == made


def test_a_predictor_at_hand_finds_files_beside_its_source() -> None:
    def shout(text: str) -> str:
        return text.upper()

    opened = open_predictor(shout)
    assert opened.description.name == "shout"
    assert opened.predict(text="a") == "A"
    assert opened.example_call(1) is None


def test_a_file_that_was_edited_twice_within_a_second_is_what_it_holds_now(tmp_path: Path) -> None:
    for answer in (1, 2):
        write(tmp_path, "p.py", f"def f(x: int) -> int:\n    return {answer}\n")
        os.utime(tmp_path / "p.py", (1_000_000_000, 1_000_000_000))
        opened = open_spec(spec_of(tmp_path, "p.py"))
        assert opened.predict(x=0) == answer


@pytest.mark.parametrize("name", ['x"', "x\\", "x\n"])
def test_an_input_whose_name_json_would_escape_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, "m.echo", json.dumps({"inputs": [{"name": name}]}))
    with pytest.raises(SignatureError, match="no quotes, backslashes"):
        open_spec(spec_of(tmp_path, "m.echo"))
