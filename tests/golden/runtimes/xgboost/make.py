"""Write the golden model anew: `python tests/golden/runtimes/xgboost/make.py`; the answers stay."""

from importlib import import_module
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

if __name__ == "__main__":
    xgboost = import_module("xgboost")
    # y = 10 where a > 0, and 1 more where b > 0: two splits say it all.
    a, b = (g.ravel() for g in np.meshgrid([-1.0, 1.0], [-1.0, 1.0]))
    rows = np.repeat(np.column_stack([a, b]), 10, axis=0)
    settings = {"max_depth": 2, "eta": 1.0, "lambda": 0.0, "base_score": 0.0}
    target = 10.0 * (rows[:, 0] > 0) + (rows[:, 1] > 0)
    data = xgboost.DMatrix(rows, target, feature_names=["a", "b"])
    xgboost.train(settings, data, num_boost_round=1).save_model(HERE / "model.ubj")
