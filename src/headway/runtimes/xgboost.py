"""Run XGBoost boosters: UBJSON and JSON files. No pickles: `sklearn` opens those.

Rows go in as float32[rows, features], in the order of the training's columns; NaN is a missing value,
a category goes in as its code. The answer is that of `Booster.predict`, of the trees up to the best
iteration where early stopping noted one. The format has no names of classes.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, device_for, library
from headway.runtimes._arrays import arrange
from headway.runtimes._ubjson import check_ubjson

SUFFIXES: Sequence[str] = (".ubj", ".xgb", ".json")
REQUIRES: Sequence[str] = (
    "xgboost-cpu>=2.1; sys_platform == 'linux'",
    "xgboost>=2.1; sys_platform != 'linux'",
)
MARKS: Mapping[str, bytes] = {".json": b'"learner"'}


class XgboostModel:
    """A booster, called with `features`: float32[rows, features]; answers `output`: float32[rows, ...]."""

    is_thread_safe = True
    """XGBoost's manual says so of inplace_predict; ctypes releases the GIL."""
    platform = "xgboost_ubj"

    def __init__(self, native: Any, dmatrix: Any, device: str) -> None:
        self.native = native
        self.device = device
        self._dmatrix = dmatrix
        self._trees = (0, _best(native))
        self.inputs: Sequence[TensorSpec] = (
            TensorSpec("features", "float32", (native.num_features(),)),
        )
        probe = self._predict(np.zeros((1, native.num_features()), np.float32))
        self.outputs: Sequence[TensorSpec] = (TensorSpec("output", "float32", probe.shape[1:]),)

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Answer rows.

        Raises:
            TypeError: not exactly one input, or it has another name or dtype.
        """
        rows = arrange(self.inputs, arrays, named)["features"]
        if not len(rows):
            return np.zeros((0, *self.outputs[0].shape), np.float32)
        return self._predict(rows)

    def _predict(self, rows: Any) -> Any:
        if self._dmatrix is not None:
            names = self.native.feature_names
            made = self._dmatrix(rows, feature_names=names, feature_types=self.native.feature_types)
            return self.native.predict(made, iteration_range=self._trees)
        return self.native.inplace_predict(
            rows, iteration_range=self._trees, missing=math.nan, validate_features=False
        )


def open_model(path: Path, options: Options) -> XgboostModel:
    """Open a file that `Booster.save_model`, or an estimator's, wrote.

    Raises:
        BundleError: the file is damaged, or the device is not here.
        PluginError: XGBoost is not installed.
    """
    xgboost = library("xgboost", "xgboost")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    seen = 1 if xgboost.build_info().get("USE_CUDA") and options.device != "cpu" else 0
    device = device_for(options, path, seen, "XGBoost")
    native = xgboost.Booster()
    try:
        # From memory the format is told by content, from a file by its ending.
        native.load_model(bytearray(_checked(path.read_bytes())))
        native.set_param({"nthread": options.threads, "device": device})
        # It has no fast way for linear boosters.
        is_linear = '"name":"gblinear"' in native.save_config().replace(" ", "")
        return XgboostModel(native, xgboost.DMatrix if is_linear else None, device)
    except (OSError, ValueError, msgspec.DecodeError, xgboost.core.XGBoostError) as e:
        problem = f"not an XGBoost model: {str(e).splitlines()[0] if str(e) else e!r}"
        raise BundleError(path=path, problem=problem) from e


def _checked(data: bytes) -> bytes:
    if data[:2] in (b'{"', b"{\n", b"{ ", b"{\r"):
        msgspec.json.decode(data, type=msgspec.Raw)
    else:
        check_ubjson(data)
    return data


def _best(native: Any) -> int:
    """The trees up to the best iteration; 0 are all."""
    best = native.attr("best_iteration")
    return int(best) + 1 if best else 0
