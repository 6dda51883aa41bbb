"""Say what a flat would cost a month, by what `rents.csv` teaches.

Least squares on a few columns: quick to learn, a fair baseline. Replace the table by your own, or
the class by your model. A row is a dataclass: its fields, limits and defaults are the API.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

import headway as hw


@dataclass
class Flat:
    """One flat."""

    area: Annotated[float, hw.Meta(gt=0, le=1000, description="in square metres")]
    rooms: Annotated[int, hw.Meta(ge=1, le=20)]
    has_balcony: bool = False


class Rent(hw.Predictor):
    """Say what a flat would cost a month."""

    examples = (
        {"flat": {"area": 60.0, "rooms": 2}},
        {"flat": {"area": 90.0, "rooms": 4, "has_balcony": True}},
    )

    def load(self) -> None:
        """Fit the weights of the columns to the rents."""
        path = self.path("rents.csv")
        table = np.loadtxt(path, delimiter=",", skiprows=1, encoding="utf-8")
        self.weights, *_ = np.linalg.lstsq(_with_constant(table[:, :3]), table[:, 3])

    def predict(self, flat: hw.Batch[Flat]) -> hw.Batch[float]:
        """Answer a whole batch: the rent of each flat."""
        rows = np.array([(f.area, f.rooms, f.has_balcony) for f in flat], np.float64)
        rents: list[float] = (_with_constant(rows) @ self.weights).round(2).tolist()
        return rents


def _with_constant(rows: np.ndarray) -> np.ndarray:
    """Rows with a column of ones in front: the rent that every flat has in common."""
    return np.column_stack([np.ones(len(rows)), rows])
