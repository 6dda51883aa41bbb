"""From a target to what is served."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from headway import config
from headway.config import ModelSettings, ServerSettings
from headway.errors import BundleError, ConfigError
from headway.model.project import Project, check_name, find_models, join

PREDICTOR = """
import headway as hw

class {name}(hw.Predictor):
    def predict(self, x: int) -> int: ...
"""
FUNCTION = "def double(x: int) -> int:\n    return 2 * x\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files below a folder: names with __ for a slash."""

    def write_files(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write_files


def refused(target: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        find_models(str(target))
    return caught.value.message


def sources(project: Project) -> dict[str, str]:
    return {model.name: model.source for model in project.models}


def test_a_file_with_one_predictor_needs_no_name(write: Write) -> None:
    root = write({"mood.py": PREDICTOR.format(name="Mood")})
    (model,) = find_models(str(root / "mood.py")).models
    assert (model.name, model.root, model.source) == ("mood", str(root.resolve()), "mood.py:Mood")
    assert model.settings == ModelSettings()


def test_a_predictor_may_be_named(write: Write) -> None:
    root = write({"two.py": PREDICTOR.format(name="A") + PREDICTOR.format(name="B")})
    assert sources(find_models(f"{root}/two.py:B")) == {"two": "two.py:B"}
    assert f"choose one: {'two.py:A, two.py:B'}" in refused(root / "two.py")
    assert "defines no `BB`; the nearest is `B`" in refused(f"{root}/two.py:BB")


def test_a_base_class_in_the_file_is_not_served_itself(write: Write) -> None:
    text = PREDICTOR.format(name="Base") + "class Real(Base):\n    pass\n"
    root = write({"a.py": text})
    assert sources(find_models(f"{root}/a.py")) == {"a": "a.py:Real"}


@pytest.mark.parametrize(
    "text",
    [
        FUNCTION,
        "import headway as hw\n@hw.predictor(examples=({'x': 1},))\n" + FUNCTION,
        "async " + FUNCTION,
        FUNCTION
        + "def _private(x: int) -> int: ...\ndef loose(x): ...\ndef many(*x: int) -> int: ...\n",
        FUNCTION.replace("double", "other")
        + "from headway import predictor\n@predictor\n"
        + FUNCTION,
    ],
)
def test_a_function_is_a_predictor(write: Write, text: str) -> None:
    root = write({"a.py": text})
    assert sources(find_models(f"{root}/a.py")) == {"a": "a.py:double"}


def test_of_several_functions_the_one_called_predict_is_served(write: Write) -> None:
    root = write({"a.py": FUNCTION + FUNCTION.replace("double", "predict")})
    assert sources(find_models(f"{root}/a.py")) == {"a": "a.py:predict"}


def test_a_file_without_a_predictor_says_what_to_write(write: Write) -> None:
    root = write({"a.py": "x = 1\n"})
    assert "has no predictor: write a class derived from headway.Predictor" in refused(
        root / "a.py"
    )


def test_a_file_that_is_not_python_is_told_with_its_line(write: Write) -> None:
    root = write({"a.py": "x = 1\ndef (\n"})
    with pytest.raises(BundleError, match=r"a\.py, line 2"):
        find_models(f"{root}/a.py")


def test_a_model_file_is_served_by_its_ending(write: Write) -> None:
    root = write({"My model v1.onnx": "", "a.skops": ""})
    assert sources(find_models(f"{root}/a.skops")) == {"a": "a.skops"}
    assert sources(find_models(f"{root}/My model v1.onnx")) == {"My-model-v1": "My model v1.onnx"}


def test_an_unknown_ending_lists_the_known_ones(write: Write) -> None:
    root = write({"model.xyz": ""})
    message = refused(root / "model.xyz")
    assert "'model.xyz' has no ending that can be served; known: .py, " in message
    assert ".onnx" in message


def test_the_file_of_a_project_is_served_by_its_folder(write: Write) -> None:
    root = write({"headway.yaml": "predictor: a.py", "a.py": FUNCTION})
    assert f"give the folder that it lies in, '{root}'" in refused(root / "headway.yaml")


def test_a_missing_target_names_the_nearest_file(write: Write) -> None:
    root = write({"sentiment.py": FUNCTION})
    assert "the nearest is 'sentiment.py'" in refused(root / "sentimnt.py")
    assert "there is no folder" in refused(root / "no" / "a.py")


@pytest.mark.parametrize("target", ["https://example.org/model.onnx", "a\0b"])
def test_only_files_and_folders_are_targets(target: str) -> None:
    assert "expected a file or a folder" in refused(target)


def test_a_folder_with_one_predictor_needs_no_headway_yaml(write: Write) -> None:
    files = {"mood.py": PREDICTOR.format(name="Mood"), "weights.onnx": "", "test_mood.py": FUNCTION}
    root = write(files)
    assert sources(find_models(str(root))) == {"mood": "mood.py:Mood"}


def test_a_folder_with_one_model_file_needs_no_headway_yaml(write: Write) -> None:
    root = write({"digits.onnx": "", "notes.txt": "", "constants.py": "A = 1\n"})
    assert sources(find_models(str(root))) == {"digits": "digits.onnx"}


@pytest.mark.parametrize(
    ("files", "found"),
    [({"a.txt": ""}, "found none"), ({"a.onnx": "", "b.onnx": ""}, "a.onnx, b.onnx")],
)
def test_a_folder_that_leaves_a_choice_says_what_to_write(
    write: Write, files: dict[str, str], found: str
) -> None:
    message = refused(write(files))
    assert found in message
    assert "write a headway.yaml there with `predictor: file.py:Name`" in message


def test_headway_yaml_names_the_model_and_sets_it(write: Write) -> None:
    text = "predictor: mood.py:Mood\nname: mood-2\nmax_batch: 16\ntrusted: true\n"
    text += "dependencies: [a>=1]\n"
    project = find_models(
        str(write({"mood.py": PREDICTOR.format(name="Mood"), "headway.yaml": text}))
    )
    (model,) = project.models
    assert (model.name, model.source) == ("mood-2", "mood.py:Mood")
    assert model.settings == ModelSettings(max_batch=16, is_trusted=True)
    assert project.dependencies == ("a>=1",)


def test_headway_yaml_may_hold_settings_alone(write: Write) -> None:
    root = write({"digits.onnx": "", "headway.yaml": "workers: 2\n"})
    (model,) = find_models(str(root)).models
    assert (model.source, model.settings.workers) == ("digits.onnx", 2)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nothing"), os.mkfifo])
def test_a_headway_yaml_that_is_no_file_is_not_as_if_it_were_not_there(
    write: Write, make: Callable[[Path], None]
) -> None:
    """Docker makes a folder of a file that is mounted and is not there."""
    root = write({"mood.py": PREDICTOR.format(name="Mood")})
    make(root / "headway.yaml")
    assert "headway.yaml: can't be read" in refused(root)


def test_several_models_have_their_own_settings_over_those_of_all(write: Write) -> None:
    text = """
max_batch: 4
workers: 1
models:
  mood: {predictor: "mood.py:Mood", max_batch: 8}
  digits:
    model: digits.onnx
    root: sub
"""
    files = {"mood.py": PREDICTOR.format(name="Mood"), "sub/digits.onnx": "", "headway.yaml": text}
    root = write(files)
    mood, digits = find_models(str(root)).models
    assert (mood.name, mood.settings.max_batch, mood.settings.workers) == ("mood", 8, 1)
    assert (digits.name, digits.settings.max_batch) == ("digits", 4)
    assert digits.root == str((root / "sub").resolve())


def test_a_folder_below_speaks_for_itself_and_is_overruled_from_above(write: Write) -> None:
    files = {
        "headway.yaml": "slots: 2\nmodels:\n  a: {root: sub, threads: 3}\n",
        "sub/headway.yaml": "model: x.onnx\nworkers: 5\nslots: 5\nthreads: 5\n",
        "sub/x.onnx": "",
    }
    (model,) = find_models(str(write(files))).models
    settings = model.settings
    assert (settings.workers, settings.slots, settings.threads) == (5, 2, 3)
    assert (model.name, model.source) == ("a", "x.onnx")


def test_layers_above_the_file_win(write: Write) -> None:
    root = write({"digits.onnx": "", "headway.yaml": "workers: 2\nmax_batch: 3\n"})
    environment = config.environment(ModelSettings, {"HEADWAY_WORKERS": "4"})
    flags = config.flags(ModelSettings, {"max_batch": "9"})
    (model,) = find_models(str(root), environment, flags).models
    assert (model.settings.workers, model.settings.max_batch) == (4, 9)


def test_the_server_section_becomes_a_layer_and_its_paths_start_at_the_file(write: Write) -> None:
    root = write(
        {"digits.onnx": "", "headway.yaml": "server:\n  port: 9000\n  key_file: keys.txt\n"}
    )
    settings = config.read(ServerSettings, find_models(str(root)).server)
    assert (settings.port, settings.key_file) == (9000, str(root.resolve() / "keys.txt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch: x", "`max_batch` in headway.yaml, line 1: expected an integer from"),
        (
            "name: a\nmax_bacth: 1",
            "`max_bacth` in headway.yaml, line 2: there is no such key; the nearest is `max_batch`",
        ),
        (
            "server: {prot: 1}",
            "`server.prot` in headway.yaml, line 1: there is no such key; the nearest is `port`",
        ),
        ("server: 8000", "`server` in headway.yaml, line 1: expected `key: value` lines below it"),
        ("models: {a: {model: d.onnx, threds: 1}}", "`models.a.threds` in headway.yaml, line 1"),
        ("models: {a: d.onnx}", "`models.a` in headway.yaml, line 1: expected `key: value`"),
        ("models: {}", "`models` in headway.yaml, line 1: expected a name"),
        ("models: {a: {model: d.onnx}}\nname: b", "`name` in headway.yaml, line 2: can't stand"),
        ("models: {../a: {model: d.onnx}}", "the name '../a' is not letters"),
        ("model: d.onnx\nname: a..b", "`name` in headway.yaml, line 2: the name 'a..b' is not"),
        ("model: d.onnx\npredictor: a.py", "`predictor` is there too; keep one"),
        ("model: ../d.onnx", "`model` in headway.yaml, line 1: '../d.onnx' is outside"),
        ("model: /etc/passwd", "`model` in headway.yaml, line 1: '/etc/passwd' is outside"),
        ("model: link.onnx", "`model` in headway.yaml, line 1: 'link.onnx' is outside"),
        ("models: {a: {root: ..}}", "`models.a.root` in headway.yaml, line 1: '..' is outside"),
        ("models: {a: {root: no}}", "`no` is read differently"),
        ("models: {a: {root: nope}}", "'nope' is not a folder here"),
        ("model: e.onnx", "'e.onnx': there is no such file or folder; the nearest is 'd.onnx'"),
        ("model: [a]", "`model` in headway.yaml, line 1: expected text, found ['a']"),
        ("model:", "`model` in headway.yaml, line 1: expected text, found None"),
        ("model: d.onnx\ndependencies: numpy", "`dependencies` in headway.yaml, line 2: exp"),
        ("model: d.onnx\ndependencies: [1]", "`dependencies` in headway.yaml, line 2: exp"),
    ],
)
def test_a_wrong_headway_yaml_is_refused_with_the_line(
    write: Write, tmp_path_factory: pytest.TempPathFactory, text: str, message: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "d.onnx"
    outside.write_text("")
    root = write({"d.onnx": "", "a.py": FUNCTION, "headway.yaml": text})
    (root / "link.onnx").symlink_to(outside)
    assert message in refused(root)


def test_two_models_of_one_name_are_refused(write: Write) -> None:
    root = write({"a/m.onnx": "", "b/m.onnx": ""})
    projects = [find_models(f"{root}/{name}/m.onnx") for name in "ab"]
    with pytest.raises(ConfigError, match="m: two models have this name"):
        join(projects)


def test_two_targets_may_not_both_set_the_server(write: Write) -> None:
    files = {"a/m.onnx": "", "b/n.onnx": ""}
    files |= {f"{name}/headway.yaml": "server: {port: 1}\n" for name in "ab"}
    root = write(files)
    with pytest.raises(ConfigError, match=r"another target's headway\.yaml sets the server too"):
        join([find_models(f"{root}/{name}") for name in "ab"])


def test_several_targets_are_served_together(write: Write) -> None:
    root = write({"a/m.onnx": "", "b/n.onnx": "", "b/headway.yaml": "server: {port: 1}\n"})
    joined = join([find_models(f"{root}/{name}") for name in "ab"])
    assert sources(joined) == {"m": "m.onnx", "n": "n.onnx"}
    assert config.read(ServerSettings, joined.server).port == 1


@pytest.mark.parametrize("name", ["", ".a", "a b", "a/b", "a..b", "é", "a\n", "a" * 129, "-a"])
def test_a_name_that_can_not_stand_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not letters, digits"):
        check_name(name, "here")


@pytest.mark.parametrize("name", ["a", "0", "a.b", "A-b_c", "a" * 128])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name(name, "here") == name
