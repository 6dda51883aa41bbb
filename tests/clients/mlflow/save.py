"""Train small models and save them as MLflow does, below a folder; prints their names as one JSON value."""

import json
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

home = Path(sys.argv[1])
draw = np.random.default_rng(7)
frame = pd.DataFrame(
    {
        "petal length (cm)": draw.normal(3, 1, 40),
        "größe": draw.integers(0, 9, 40),
        "colour": draw.choice(["red", "blue"], 40),
    }
)
words = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough"
)
labels = make_pipeline(words, LogisticRegression())
labels.fit(frame, frame["größe"] > 4)


def save(model, name, inputs):
    signature = infer_signature(inputs, model.predict(inputs))
    mlflow.sklearn.save_model(
        model, home / name, signature=signature, serialization_format="cloudpickle"
    )


class Names(mlflow.pyfunc.PythonModel):
    """Answers a frame, so that each prediction is a record."""

    def predict(self, context, model_input, params=None):
        total = model_input.sum(axis=1)
        return pd.DataFrame({"total": total, "is_large": total > 6})


save(labels, "labels", frame)
save(make_pipeline(words, LinearRegression()).fit(frame, frame["größe"] * 0.7), "columns", frame)
matrix = draw.normal(size=(40, 3))
save(LinearRegression().fit(matrix, matrix @ [1.0, -2.0, 0.5]), "matrix", matrix)
numbers = frame[["petal length (cm)", "größe"]]
mlflow.pyfunc.save_model(
    home / "records",
    python_model=Names(),
    signature=infer_signature(numbers, Names().predict(None, numbers)),
)
print(json.dumps(["labels", "columns", "matrix", "records"]))
