"""Scikit-learn files: what is opened, what is refused by its content, and what is answered."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.sklearn import SklearnModel, open_model

need("sklearn")
skops = need("skops.io")
joblib = need("joblib")

TEXTS = ["a joy to watch", "great fun", "what a bore", "dull and long"]


def text_pipeline() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return made.fit(TEXTS, ["good", "good", "bad", "bad"])


def iris_pipeline() -> Any:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)


def opened(native: Any, tmp_path: Path) -> SklearnModel:
    path = tmp_path / "m.skops"
    skops.dump(native, path)
    return open_model(path, Options())


def test_a_classifier_answers_labels_and_probabilities(tmp_path: Path) -> None:
    native = iris_pipeline()
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])

    model = opened(native, tmp_path)
    answer = model(features=rows)

    assert model.platform == "sklearn_skops"
    assert [(s.name, s.dtype, s.shape) for s in model.inputs] == [("features", "float64", (4,))]
    assert [(s.name, s.dtype, s.shape) for s in model.outputs] == [
        ("label", "int64", ()),
        ("probabilities", "float64", (3,)),
    ]
    np.testing.assert_array_equal(answer["label"], native.predict(rows))
    np.testing.assert_array_equal(answer["probabilities"], native.predict_proba(rows))
    assert prove_rows(model) is None


def test_a_text_pipeline_takes_texts(tmp_path: Path) -> None:
    native = text_pipeline()

    model = opened(native, tmp_path)
    answer = model(text=np.array([b"great joy", "so dull"], dtype=object))

    assert [(s.name, s.dtype, s.shape) for s in model.inputs] == [("text", "bytes", ())]
    assert [(s.name, s.dtype) for s in model.outputs] == [
        ("label", "bytes"),
        ("probabilities", "float64"),
    ]
    assert answer["label"].tolist() == ["good", "bad"]
    np.testing.assert_array_equal(
        answer["probabilities"], native.predict_proba(["great joy", "so dull"])
    )
    assert prove_rows(model) is None


def test_a_classifier_without_probabilities_answers_labels(tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    model = opened(LinearSVC().fit([[0.0], [1.0]], [3, 8]), tmp_path)

    assert [(s.name, s.dtype) for s in model.outputs] == [("output", "int64")]
    assert model(np.array([[0.0], [1.0]])).tolist() == [3, 8]


def test_a_transformer_answers_its_rows(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    model = opened(StandardScaler().fit([[0.0, 1.0], [2.0, 5.0]]), tmp_path)

    assert model(np.array([[2.0, 1.0]])).tolist() == [[1.0, -1.0]]
    assert model.outputs[0].shape == (2,)


def test_an_estimator_that_wants_a_table_tells_no_inputs(tmp_path: Path) -> None:
    from sklearn.preprocessing import OneHotEncoder

    model = opened(OneHotEncoder().fit([["a"], ["b"]]), tmp_path)

    assert (list(model.inputs), list(model.outputs)) == ([], [])
    assert model(np.array([["b"]], dtype=object)).tolist() == [[0.0, 1.0]]


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".joblib", ".skops"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, suffix: str, protocol: int) -> None:
    ran = tmp_path / "ran"
    path = tmp_path / f"m{suffix}"
    path.write_bytes(pickle.dumps(Bomb(ran), protocol=protocol))

    with pytest.raises(BundleError):
        open_model(path, Options())

    assert not ran.exists()


def test_a_malicious_joblib_archive_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    joblib.dump(Bomb(ran), tmp_path / "m.joblib", compress=("gzip", 3))

    with pytest.raises(BundleError, match=r"set `trusted: true`"):
        open_model(tmp_path / "m.joblib", Options())

    assert not ran.exists()


def test_a_pickle_called_skops_is_refused_even_of_a_trusted_author(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(pickle.dumps(iris_pipeline()))

    with pytest.raises(BundleError, match="not a skops file"):
        open_model(tmp_path / "m.skops", Options(is_trusted=True))


def test_a_skops_file_called_pickle_is_opened_safely(tmp_path: Path) -> None:
    skops.dump(iris_pipeline(), tmp_path / "m.skops")
    renamed = (tmp_path / "m.skops").rename(tmp_path / "m.pkl")

    assert open_model(renamed, Options()).platform == "sklearn_skops"


@pytest.mark.parametrize("suffix", [".pkl", ".joblib"])
def test_a_trusted_pickle_gives_the_same_answers(tmp_path: Path, suffix: str) -> None:
    native, path = iris_pipeline(), tmp_path / f"m{suffix}"
    joblib.dump(native, path)
    rows = np.array([[5.1, 3.5, 1.4, 0.2]])

    model = open_model(path, Options(is_trusted=True))

    np.testing.assert_array_equal(model(rows)["probabilities"], native.predict_proba(rows))


def test_types_unknown_to_skops_are_named(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    path = tmp_path / "m.skops"
    skops.dump(FunctionTransformer(np.cumsum), path)
    with pytest.raises(BundleError, match=r"numpy\.cumsum"):
        open_model(path, Options())

    assert open_model(path, Options(is_trusted=True)).native.func is np.cumsum


def test_what_is_no_estimator_is_refused(tmp_path: Path) -> None:
    joblib.dump({"a": 1}, tmp_path / "m.joblib")

    with pytest.raises(BundleError, match="holds a dict, which has no predict"):
        open_model(tmp_path / "m.joblib", Options(is_trusted=True))


def test_a_step_that_mixes_rows_is_not_proven(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    mixing = FunctionTransformer(np.cumsum, kw_args={"axis": 0}, validate=True)
    native = make_pipeline(mixing, LinearRegression())
    native.fit([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]], [1.0, 2.0, 3.0])
    path = tmp_path / "m.joblib"
    joblib.dump(native, path)

    model = open_model(path, Options(is_trusted=True))

    assert prove_rows(model) == "output 'output' of a row changes with the rows beside it"
