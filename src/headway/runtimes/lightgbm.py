"""Run LightGBM boosters in LightGBM's own text format. No pickles: `sklearn` opens those.

Rows go in as float64[rows, features], in the order of the training's columns; a category goes in as
its code. The answer is that of `Booster.predict`: a value a row, or one for each class. The format has
no names of classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, library
from headway.runtimes._arrays import arrange

SUFFIXES: Sequence[str] = (".lgb", ".lgbm", ".txt")
REQUIRES: Sequence[str] = ("lightgbm>=4.5",)
MARKS: Mapping[str, bytes] = {".txt": b"\nmax_feature_idx="}


class LightgbmModel:
    """A booster, called with `features`: float64[rows, features]; answers `output`: float64[rows, ...]."""

    is_thread_safe = True
    """Since 3.0 predictions hold a lock that readers share, and ctypes releases the GIL."""
    platform = "lightgbm_txt"

    def __init__(self, native: Any, threads: int) -> None:
        self.native = native
        self._threads = threads
        classes = native.num_model_per_iteration()
        self.inputs: Sequence[TensorSpec] = (
            TensorSpec("features", "float64", (native.num_feature(),)),
        )
        self.outputs: Sequence[TensorSpec] = (
            TensorSpec("output", "float64", (classes,) if classes > 1 else ()),
        )

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Answer rows.

        Raises:
            TypeError: not exactly one input, or it has another name or dtype.
        """
        rows = arrange(self.inputs, arrays, named)["features"]
        if not len(rows):
            return rows[:, : self.outputs[0].shape[0]] if self.outputs[0].shape else rows[:, 0]
        return self.native.predict(rows, num_threads=self._threads)


def open_model(path: Path, options: Options) -> LightgbmModel:
    """Open a text file that `Booster.save_model` wrote.

    Raises:
        BundleError: the file is damaged, or another device than the CPU is asked for.
        PluginError: LightGBM is not installed.
    """
    lightgbm = library("lightgbm", "lightgbm")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    if options.device not in ("cpu", "auto"):
        raise BundleError(path=path, problem=f"LightGBM predicts on cpu, not on {options.device!r}")
    try:
        text = path.read_text(encoding="utf-8")
        _check(text)
        native = lightgbm.Booster(model_str=text)
    except (OSError, ValueError, lightgbm.basic.LightGBMError) as e:
        raise BundleError(path=path, problem=f"not a LightGBM model: {e}") from e
    return LightgbmModel(native, options.threads)


def _check(text: str) -> None:
    """The library reads a file that was cut behind its trees without a word."""
    last = text.rstrip().rpartition("\n")[2]
    if not text.startswith("tree\n"):
        raise ValueError("it doesn't begin with a line `tree`")
    if last != "end of parameters" and not last.startswith("pandas_categorical:"):
        raise ValueError("its end is missing")
