"""The predictor that the corpus of bad tables is sent to: a number, a choice, and a text that may lack."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd

import headway as hw


@dataclass
class Passenger:
    age: Annotated[float, hw.Meta(ge=0, le=120)]
    sex: Literal["female", "male"]
    cabin: str | None = None


class Table(hw.Predictor):
    def predict(self, rows: Annotated[pd.DataFrame, hw.Rows(Passenger)]) -> hw.Batch[str]:
        found = rows.astype(object).itertuples(index=False)
        return [f"{row.age:g} {row.sex} {row.cabin}" for row in found]
