"""A line, as MLflow's pyfunc loads it: 2 a - b + 1."""

from typing import Any


class Line:
    """The model."""

    def predict(self, rows: Any) -> Any:
        """A value a row."""
        return (2 * rows["a"] - rows["b"] + 1).to_numpy()


def _load_pyfunc(path: str) -> Line:
    return Line()
