"""LightGBM and XGBoost: their own answers, shared endings, threads, and files that are not whole."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.formats import runtime_of
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes import lightgbm as headway_lightgbm
from headway.runtimes import xgboost as headway_xgboost
from headway.runtimes._ubjson import check_ubjson

lightgbm = need("lightgbm")
xgboost = need("xgboost")

RNG = np.random.default_rng(7)
ROWS = RNG.standard_normal((300, 5))
TARGETS = {
    "regression": ROWS @ np.arange(5) + RNG.standard_normal(300),
    "binary": (ROWS[:, 0] > 0).astype(float),
    "classes": np.digitize(ROWS[:, 1], [-0.5, 0.5]).astype(float),
}


def booster(kind: str) -> Any:
    objective = {"regression": "regression", "binary": "binary", "classes": "multiclass"}[kind]
    settings = {"objective": objective, "verbose": -1, "num_threads": 1}
    if kind == "classes":
        settings["num_class"] = 3
    return lightgbm.train(settings, lightgbm.Dataset(ROWS, TARGETS[kind]), 10)


def learner(kind: str, **more: Any) -> Any:
    names = {"regression": "reg:squarederror", "binary": "binary:logistic"}
    settings = {"objective": names.get(kind, "multi:softprob"), "nthread": 1, **more}
    if kind == "classes":
        settings["num_class"] = 3
    return xgboost.train(settings, xgboost.DMatrix(ROWS, TARGETS[kind]), 10)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("suffix", [".lgb", ".txt"])
def test_lightgbm_answers_as_its_booster(kind: str, suffix: str, tmp_path: Path) -> None:
    native, path = booster(kind), tmp_path / f"m{suffix}"
    native.save_model(path)

    assert runtime_of(path) == "lightgbm"
    model = headway_lightgbm.open_model(path, Options(threads=2))

    assert prove_rows(model) is None
    assert float(np.abs(model(ROWS) - native.predict(ROWS)).max()) == 0.0
    assert model(ROWS[:0]).shape == (0, *model.outputs[0].shape)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("suffix", [".ubj", ".json"])
@pytest.mark.parametrize("trees", ["gbtree", "dart", "gblinear"])
@pytest.mark.filterwarnings("ignore:.*gblinear.*", "ignore:.*deprecated.*")
def test_xgboost_answers_as_its_booster(kind: str, suffix: str, trees: str, tmp_path: Path) -> None:
    native, path = learner(kind, booster=trees), tmp_path / f"m{suffix}"
    native.save_model(path)
    rows = ROWS.astype(np.float32)

    assert runtime_of(path) == "xgboost"
    model = headway_xgboost.open_model(path, Options(threads=2))

    assert prove_rows(model) is None
    expected = native.predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(model(features=rows), expected, rtol=1e-5, atol=1e-6)
    assert model(rows[:0]).shape == (0, *model.outputs[0].shape)


def test_xgboost_stops_at_the_best_iteration_that_a_file_notes(tmp_path: Path) -> None:
    native = learner("regression")
    native.set_attr(best_iteration="3")
    native.save_model(tmp_path / "m.ubj")
    rows = ROWS.astype(np.float32)

    found = headway_xgboost.open_model(tmp_path / "m.ubj", Options())(rows)

    expected = native.predict(xgboost.DMatrix(rows), iteration_range=(0, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_missing_value_is_nan_for_both(tmp_path: Path) -> None:
    rows = ROWS.astype(np.float32)
    rows[::3, 0] = np.nan
    trees, forest = booster("binary"), learner("binary")
    trees.save_model(tmp_path / "m.lgb")
    forest.save_model(tmp_path / "m.ubj")

    found = headway_lightgbm.open_model(tmp_path / "m.lgb", Options())(rows.astype(float))
    np.testing.assert_array_equal(found, trees.predict(rows.astype(float)))
    found = headway_xgboost.open_model(tmp_path / "m.ubj", Options())(rows)
    np.testing.assert_allclose(found, forest.predict(xgboost.DMatrix(rows)), rtol=1e-6)


@pytest.mark.parametrize("text", ["", "tree of life", "{}", '{"a": 1}'])
def test_other_files_of_a_shared_ending_are_left_alone(text: str, tmp_path: Path) -> None:
    for suffix in (".txt", ".json"):
        (tmp_path / f"m{suffix}").write_text(text)
        assert runtime_of(tmp_path / f"m{suffix}") is None


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """XGBoost itself ends the process on many of these."""
    native = learner("regression")
    whole = bytes(native.save_raw("ubj"))
    check_ubjson(whole)
    for end in {*range(0, len(whole), 97), *range(len(whole) - 40, len(whole))}:
        with pytest.raises(ValueError, match=r"early|neither|length|begins|type"):
            check_ubjson(whole[:end])
    with pytest.raises(ValueError, match="2 bytes follow its end"):
        check_ubjson(whole + b"ab")
    (tmp_path / "m.json").write_bytes(bytes(native.save_raw("json"))[:-9])
    with pytest.raises(BundleError, match="not an XGBoost model"):
        headway_xgboost.open_model(tmp_path / "m.json", Options())


@pytest.mark.parametrize(
    ("opened", "name"), [(headway_lightgbm, "LightGBM"), (headway_xgboost, "XGBoost")]
)
def test_a_pickle_and_a_device_that_is_not_here_are_refused(
    opened: Any, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BundleError, match=f"not an? {name} model"):
        opened.open_model(path, Options(is_trusted=True))
    with pytest.raises(BundleError, match="cuda:0"):
        opened.open_model(path, Options(device="cuda:0"))
