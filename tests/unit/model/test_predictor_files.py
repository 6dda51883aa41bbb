"""A predictor finds its files beside its code, and nowhere else."""

from pathlib import Path

import pytest

import headway as hw
from headway.errors import BundleError
from headway.model.formats import runtime_of
from headway.model.predictor import Place, confine, place, traits_of
from headway.model.weights import Options


class Plain(hw.Predictor):
    """Used bare."""

    def predict(self, text: str) -> str:
        return text


def test_a_bare_predictor_finds_files_beside_its_source() -> None:
    predictor = Plain()
    predictor.load()
    assert predictor.path("x.txt") == Path(__file__).resolve().parent / "x.txt"
    assert predictor.predict("a") == "a"
    assert predictor.device == "cpu"


def test_a_placed_predictor_finds_files_and_device_where_it_is_told(tmp_path: Path) -> None:
    predictor = Plain()
    place(predictor, Place(tmp_path, Options(device="cuda:0")))
    assert predictor.path("a/b.txt") == tmp_path.resolve() / "a" / "b.txt"
    assert predictor.device == "cuda:0"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a/b/../../../x", "link/x", "out"]
)
def test_no_path_leads_out_of_the_bundle(tmp_path: Path, name: str) -> None:
    root = tmp_path / "bundle"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="out of the bundle"):
        confine(root, name)


def test_a_link_within_the_bundle_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert confine(tmp_path, "alias").read_text() == "x"


def test_the_suffix_names_the_runtime(tmp_path: Path) -> None:
    assert runtime_of(Path("a.onnx")) == "onnx"
    assert runtime_of(Path("a.skops")) == "sklearn"
    assert runtime_of(Path("a.txt")) is None
    predictor = Plain()
    place(predictor, Place(tmp_path))
    with pytest.raises(BundleError, match=r"no such file"):
        predictor.open_model("a.onnx")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(BundleError, match=r"known: .*\.onnx"):
        predictor.open_model("a.txt")


def test_a_model_is_opened_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "m.echo").write_text('{"inputs":[{"name":"x","shape":[2]}]}')
    predictor = Plain()
    place(predictor, Place(tmp_path))
    model = predictor.open_model("m.echo")
    assert [t.name for t in model.inputs] == ["x"]
    assert model.native is not None


def test_a_predictor_made_in_no_file_says_so() -> None:
    scope: dict[str, type[hw.Predictor]] = {}
    exec("import headway as hw\nclass Nowhere(hw.Predictor): pass", {"__name__": "nowhere"}, scope)
    with pytest.raises(BundleError, match="not written in a file"):
        scope["Nowhere"]().path("a")


def test_traits_are_read_from_classes_instances_and_functions() -> None:
    class Loud(Plain):
        thread_safe = True

    assert traits_of(Loud).thread_safe
    assert traits_of(Loud()).thread_safe
    assert not traits_of(Plain).thread_safe
    assert traits_of(len).idempotent
