"""CatBoost: its own answers for numbers, categories and classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.catboost import open_model

catboost = need("catboost")

RNG = np.random.default_rng(5)
NUMBERS = RNG.standard_normal((200, 3)).astype(np.float32)
COLOURS = RNG.choice(["red", "green", "blue"], 200)


def fitted(kind: str, rows: Any, target: Any, path: Path, **more: Any) -> Any:
    made = getattr(catboost, kind)(iterations=8, verbose=0, allow_writing_files=False)
    made.fit(rows, target, **more).save_model(str(path))
    return made


def test_a_regressor_answers_as_itself(tmp_path: Path) -> None:
    native = fitted("CatBoostRegressor", NUMBERS, NUMBERS.sum(axis=1), tmp_path / "m.cbm")

    model = open_model(tmp_path / "m.cbm", Options(threads=2))

    assert prove_rows(model) is None
    assert float(np.abs(model(NUMBERS)["output"] - native.predict(NUMBERS)).max()) < 1e-9


@pytest.mark.parametrize("names", [["no", "yes"], ["a", "b", "c"]])
def test_a_classifier_with_categories_answers_as_itself(names: list[str], tmp_path: Path) -> None:
    rows = np.empty((200, 4), object)
    rows[:, [0, 1, 3]], rows[:, 2] = NUMBERS, COLOURS
    target = np.array(names)[np.digitize(NUMBERS[:, 0], [0.0, 0.8][: len(names) - 1])]
    native = fitted("CatBoostClassifier", rows, target, tmp_path / "m.cbm", cat_features=[2])

    model = open_model(tmp_path / "m.cbm", Options())
    found = model(features=NUMBERS, categories=COLOURS.astype(object)[:, None])

    assert [s.name for s in model.inputs] == ["features", "categories"]
    assert found["label"].tolist() == native.predict(rows).ravel().tolist()
    assert float(np.abs(found["probabilities"] - native.predict_proba(rows)).max()) < 1e-9
