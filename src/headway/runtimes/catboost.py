"""Run CatBoost's own binary models (.cbm) on the CPU. Opening one runs no code.

Numbers go in as `features`: float32[rows, numbers], categories as `categories`: texts[rows, categories],
both in the order of the training's columns. A classifier answers `label` and `probabilities`, others
`output`. Text and embedding columns are for a predictor.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, library
from headway.runtimes._arrays import arrange

SUFFIXES: Sequence[str] = (".cbm",)
REQUIRES: Sequence[str] = ("catboost>=1.2",)


class CatboostModel:
    """A model, called with its numbers, its categories, or both."""

    is_thread_safe = False
    """CatBoost's manual does not say that it is."""
    platform = "catboost_cbm"
    missing = "it has text or embedding columns, which no tensor holds"

    def __init__(self, native: Any, threads: int) -> None:
        self.native = native
        self._threads = threads
        categories = list(native.get_cat_feature_indices())
        self._categories = categories
        self._numbers = [n for n in range(len(native.feature_names_)) if n not in categories]
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        if native.get_text_feature_indices() or native.get_embedding_feature_indices():
            return
        wide = [("features", "float32", self._numbers), ("categories", "bytes", categories)]
        self.inputs = [TensorSpec(n, dtype, (len(c),)) for n, dtype, c in wide if c]
        self._is_classifier = len(native.classes_) > 0
        probe = self._ask(self._joined(_blank(self.inputs)))
        self.outputs = [
            TensorSpec(n, "bytes" if a.dtype == object else str(a.dtype), a.shape[1:])
            for n, a in probe.items()
        ]

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Answer rows.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        placed = arrange(self.inputs, arrays, named)
        if not len(next(iter(placed.values()))):
            return {n: a[:0] for n, a in self._ask(self._joined(_blank(self.inputs))).items()}
        return self._ask(self._joined(placed))

    def _joined(self, placed: Mapping[str, Any]) -> Any:
        """All columns in the training's order."""
        if not self._categories:
            return placed["features"]
        rows = np.empty(
            (len(placed["categories"]), len(self._numbers) + len(self._categories)), object
        )
        rows[:, self._categories] = placed["categories"]
        if self._numbers:
            rows[:, self._numbers] = placed["features"]
        return rows

    def _ask(self, rows: Any) -> dict[str, Any]:
        if not self._is_classifier:
            return {"output": self._predict(rows, "RawFormulaVal")}
        # The border between two classes need not be one half: both are asked.
        label = self._predict(rows, "Class").reshape(len(rows))
        if label.dtype.kind in "US":
            label = label.astype(object)
        return {"label": label, "probabilities": self._predict(rows, "Probability")}

    def _predict(self, rows: Any, kind: str) -> Any:
        return np.asarray(
            self.native.predict(rows, prediction_type=kind, thread_count=self._threads)
        )


def open_model(path: Path, options: Options) -> CatboostModel:
    """Open a .cbm file.

    Raises:
        BundleError: the file is damaged, or another device than the CPU is asked for.
        PluginError: CatBoost is not installed.
    """
    catboost = library("catboost", "catboost")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    if options.device not in ("cpu", "auto"):
        raise BundleError(
            path=path, problem=f"CatBoost predicts on cpu here, not on {options.device!r}"
        )
    native = catboost.CatBoost()
    try:
        native.load_model(str(path), format="cbm")
    except (OSError, ValueError, catboost.CatBoostError) as e:
        raise BundleError(path=path, problem=f"not a CatBoost model: {e}") from e
    return CatboostModel(native, options.threads)


def _blank(inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    return {
        s.name: np.full(
            (1, *s.shape),
            "" if s.dtype == "bytes" else 0.0,
            object if s.dtype == "bytes" else s.dtype,
        )
        for s in inputs
    }
