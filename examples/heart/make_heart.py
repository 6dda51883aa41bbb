"""Train a regression on the Cleveland heart disease data (UCI, CC BY 4.0), as it lies in Orange's wheel.

The columns are named and typed as `heart.py` gets them, so that training and serving see the same table. Run by
`examples/prepare.py`.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from packages import download, publish, read_wheel

REQUIREMENT = "Orange3==3.40.0"
TABLE = "Orange/datasets/heart_disease.tab"
TABLE_SHA256 = "954e44e3d93a97682b5466c7ea166e16f376f8dd93deef5855f511734e4d6224"
COLUMNS = {
    "age": "age",
    "gender": "sex",
    "chest pain": "chest_pain",
    "rest SBP": "rest_blood_pressure",
    "cholesterol": "cholesterol",
    "fasting blood sugar > 120": "has_high_blood_sugar",
    "rest ECG": "rest_ecg",
    "max HR": "max_heart_rate",
    "exerc ind ang": "has_angina_by_exercise",
    "ST by exercise": "st_depression",
    "slope peak exc ST": "st_slope",
    "major vessels colored": "vessels",
    "thal": "thal",
}
WORDS = ["sex", "chest_pain", "rest_ecg", "st_slope", "thal"]
FLAGS = ["has_high_blood_sugar", "has_angina_by_exercise"]
NUMBERS = ["age", "rest_blood_pressure", "cholesterol", "max_heart_rate", "st_depression"]
SEED = 7


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `heart.skops`.

    Raises:
        PrepareError: the wheel could not be had, or does not hold what was expected.
    """
    import skops.io  # noqa: PLC0415  (prepare.py tells which library is missing)
    from sklearn.model_selection import cross_val_score, train_test_split  # noqa: PLC0415

    say(f"downloading {REQUIREMENT}")
    wheel = download(REQUIREMENT, scratch)
    table, is_narrowed = read_patients(read_wheel(wheel, TABLE, TABLE_SHA256).decode())
    parts = train_test_split(table, is_narrowed, test_size=0.25, random_state=SEED)
    train, test, train_labels, test_labels = parts
    scores = cross_val_score(pipeline(), train, train_labels, scoring="roc_auc")
    fitted = pipeline().fit(train, train_labels)
    say(
        f"{len(train)} patients: area under the curve {scores.mean():.2f}, cross-validated; "
        f"accuracy on {len(test)} others {fitted.score(test, test_labels):.2f}"
    )
    publish(folder / "heart.skops", skops.io.dumps(fitted))


def read_patients(text: str) -> tuple[pd.DataFrame, "list[bool]"]:
    """The table as a predictor gets it, and whose artery is narrowed; two lines of types come after the names."""
    names, _, _, *rows = csv.reader(io.StringIO(text), delimiter="\t")
    found = pd.DataFrame(rows, columns=names)
    table = found[list(COLUMNS)].rename(columns=COLUMNS)
    table = table.map(lambda value: None if value in ("", "?") else value)
    for name in (*NUMBERS, "vessels"):
        table[name] = table[name].astype("float64")
    for name in FLAGS:
        table[name] = table[name] == "1"
    return table, (found["diameter narrowing"] == "1").tolist()


def pipeline() -> Any:
    """What prepares the columns, and a logistic regression behind it."""
    from sklearn.compose import make_column_transformer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [*WORDS, "vessels"]),  # what lacks is a class too
        ("passthrough", FLAGS),
        (StandardScaler(), NUMBERS),
    )
    return make_pipeline(columns, LogisticRegression(C=0.3, max_iter=1000))
