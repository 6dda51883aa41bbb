"""From a table of findings to chances: a DataFrame in, one row of probabilities for each patient out."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd

import headway as hw

Ecg = Literal["normal", "ST-T abnormal", "left vent hypertrophy"]
Pain = Literal["asymptomatic", "atypical ang", "non-anginal", "typical ang"]
Thal = Literal["normal", "reversable defect", "fixed defect"]


@dataclass
class Patient:
    """What was found of one patient; the last two may be unknown."""

    age: Annotated[float, hw.Meta(ge=18, le=110, description="in years")]
    sex: Literal["female", "male"]
    chest_pain: Pain
    rest_blood_pressure: Annotated[float, hw.Meta(ge=50, le=300, description="in mm Hg")]
    cholesterol: Annotated[float, hw.Meta(ge=50, le=1000, description="in mg/dl")]
    has_high_blood_sugar: bool
    rest_ecg: Ecg
    max_heart_rate: Annotated[float, hw.Meta(ge=40, le=250, description="beats a minute")]
    has_angina_by_exercise: bool
    st_depression: Annotated[float, hw.Meta(ge=0, le=10, description="in mm, by exercise")]
    st_slope: Literal["upsloping", "flat", "downsloping"]
    vessels: Annotated[int, hw.Meta(ge=0, le=3)] | None = None
    thal: Thal | None = None


@dataclass
class Chances:
    """The chance that a coronary artery is narrowed by half or more, and that none is."""

    narrowed: float
    open: float


class Heart(hw.Predictor):
    """Tell from findings how likely a coronary artery is narrowed. An example, not a diagnosis."""

    examples = (
        {
            "age": 63.0,
            "sex": "male",
            "chest_pain": "typical ang",
            "rest_blood_pressure": 145.0,
            "cholesterol": 233.0,
            "has_high_blood_sugar": True,
            "rest_ecg": "left vent hypertrophy",
            "max_heart_rate": 150.0,
            "has_angina_by_exercise": False,
            "st_depression": 2.3,
            "st_slope": "downsloping",
            "vessels": 0,
            "thal": "fixed defect",
        },
    )

    def load(self) -> None:
        """Open the pipeline: what prepares the columns, and the regression behind it."""
        self.pipeline = self.open_model("heart.skops").native

    def predict(self, patients: Annotated[pd.DataFrame, hw.Rows(Patient)]) -> hw.Batch[Chances]:
        """Ask the pipeline once for all patients of the batch."""
        chances = self.pipeline.predict_proba(patients).tolist()
        return [Chances(narrowed, no) for no, narrowed in chances]
