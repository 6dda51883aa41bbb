"""Write the golden model anew: `python tests/golden/runtimes/lightgbm/make.py`; the answers stay."""

from importlib import import_module
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

if __name__ == "__main__":
    lightgbm = import_module("lightgbm")
    # y = 10 where a > 0, and 1 more where b > 0: two splits say it all.
    a, b = (g.ravel() for g in np.meshgrid([-1.0, 1.0], [-1.0, 1.0]))
    rows = np.repeat(np.column_stack([a, b]), 10, axis=0)
    settings = {
        "num_leaves": 4,
        "min_data_in_leaf": 1,
        "learning_rate": 1.0,
        "boost_from_average": False,
        "lambda_l2": 0.0,
        "verbose": -1,
    }
    target = 10.0 * (rows[:, 0] > 0) + (rows[:, 1] > 0)
    data = lightgbm.Dataset(rows, target, feature_name=["a", "b"])
    lightgbm.train(settings, data, num_boost_round=1).save_model(HERE / "model.lgb")
