"""Write the golden model anew: `python tests/golden/runtimes/catboost/make.py`; the answers stay."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

if __name__ == "__main__":
    catboost = import_module("catboost")
    # 10 where a > 0, and 1 more where b > 0: the trees' sum says it all.
    a, b = (g.ravel() for g in np.meshgrid([-1.0, 1.0], [-1.0, 1.0]))
    rows = np.repeat(np.column_stack([a, b]), 10, axis=0)
    settings: dict[str, Any] = {
        "depth": 2,
        "learning_rate": 1.0,
        "l2_leaf_reg": 0.0,
        "boost_from_average": False,
    }
    settings |= {"random_strength": 0.0, "bootstrap_type": "No", "iterations": 4}
    model = catboost.CatBoostRegressor(allow_writing_files=False, verbose=0, **settings)
    model.fit(rows, 10.0 * (rows[:, 0] > 0) + (rows[:, 1] > 0))
    model.save_model(str(HERE / "model.cbm"))
