"""Train LightGBM's trees on scikit-learn's diabetes data; the file alone is what is served.

442 patients, ten columns, and how far the illness had come a year later. Run by `examples/prepare.py`.
"""

from collections.abc import Callable
from pathlib import Path

from packages import publish

SEED = 7
TREES = 60
SETTINGS = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 15,
    "seed": SEED,
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `diabetes.lgb`."""
    import lightgbm  # noqa: PLC0415  (prepare.py tells which library is missing)
    from sklearn.datasets import load_diabetes  # noqa: PLC0415
    from sklearn.metrics import r2_score  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    rows, progress = load_diabetes(return_X_y=True, scaled=False)
    parts = train_test_split(rows, progress, test_size=0.25, random_state=SEED)
    train, test, train_progress, test_progress = parts
    booster = lightgbm.train(SETTINGS, lightgbm.Dataset(train, train_progress), TREES)
    share = r2_score(test_progress, booster.predict(test))
    say(f"{len(train)} patients: explains {share:.2f} of the variance of {len(test)} others")
    publish(folder / "diabetes.lgb", booster.model_to_string().encode())
