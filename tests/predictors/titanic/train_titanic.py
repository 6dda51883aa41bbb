"""Make the weights: a pipeline over columns of numbers and of words."""

# pyright: basic

import pandas as pd
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

if __name__ == "__main__":
    rows = [(29, 211, "female"), (2, 151, "female"), (60, 8, "male"), (30, 7, "male")] * 5
    table = pd.DataFrame(rows, columns=["age", "fare", "sex"]).astype(
        {"age": "float64", "fare": "float64", "sex": "object"}
    )
    columns = make_column_transformer(
        (StandardScaler(), ["age", "fare"]), (OneHotEncoder(handle_unknown="ignore"), ["sex"])
    )
    pipeline = make_pipeline(columns, LogisticRegression())
    pipeline.fit(table, [1, 1, 0, 0] * 5)
    skops.io.dump(pipeline, "pipeline.skops")
