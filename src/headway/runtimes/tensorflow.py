"""Run TensorFlow SavedModels: a folder with saved_model.pb, asked by its serving signature.

A SavedModel is a program that may read and write files, when it is opened too: it needs trust. Keras
files are not opened; `model.export(folder)` writes a SavedModel.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import TRUST, Options, device_for, library
from headway.runtimes._arrays import arrange

SUFFIXES: Sequence[str] = ()
FOLDERS: Sequence[str] = ("saved_model.pb",)
REQUIRES: Sequence[str] = (
    "tensorflow-cpu>=2.18; sys_platform == 'linux'",
    "tensorflow>=2.18; sys_platform != 'linux'",
)

_SIGNATURE = "serving_default"


class TensorflowModel:
    """A signature, called with arrays by name, or in the order of their names."""

    is_thread_safe = True
    """A concrete function keeps nothing of a call, and releases the GIL."""
    platform = "tensorflow_savedmodel"

    def __init__(self, native: Any, tf: Any, device: str, path: Path) -> None:
        self.native = native
        self.device = device
        self._ask = native.signatures[_SIGNATURE]
        self._tensor = tf.constant
        self._place = tf.device
        takes, gives = self._ask.structured_input_signature[1], self._ask.structured_outputs
        has_rows = all(_shape(s, path)[:1] == (-1,) for s in takes.values())
        self.inputs: Sequence[TensorSpec] = [
            _spec(n, s, has_rows, path) for n, s in sorted(takes.items())
        ]
        self.outputs: Sequence[TensorSpec] = [
            _spec(n, s, has_rows, path) for n, s in sorted(gives.items())
        ]

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Run once.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        placed = arrange(self.inputs, arrays, named)
        with self._place("/CPU:0" if self.device == "cpu" else f"/GPU:{self.device[5:]}"):
            found = self._ask(**{n: self._tensor(a) for n, a in placed.items()})
        return {s.name: np.asarray(found[s.name].numpy()) for s in self.outputs}


def open_model(path: Path, options: Options) -> TensorflowModel:
    """Open the folder of a SavedModel.

    Raises:
        BundleError: it is damaged, has no serving signature, or needs trust that was not given.
        PluginError: TensorFlow is not installed.
    """
    if not (path / "saved_model.pb").is_file():
        raise BundleError(path=path, problem="there is no saved_model.pb in it")
    if not options.is_trusted:
        problem = f"a SavedModel is a program that may write files when it is opened; {TRUST}"
        raise BundleError(path=path, problem=problem)
    tf = library("tensorflow", "tensorflow")
    _limit(tf, options.threads)
    seen = len(tf.config.list_physical_devices("GPU")) if options.device != "cpu" else 0
    device = device_for(options, path, seen, "TensorFlow")
    try:
        native = tf.saved_model.load(str(path))
    except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as e:
        raise BundleError(path=path, problem=f"not a SavedModel: {e}") from e
    if _SIGNATURE not in native.signatures:
        found = ", ".join(native.signatures) or "none"
        problem = (
            f"it has no signature {_SIGNATURE!r} (found: {found}); give one to tf.saved_model.save"
        )
        raise BundleError(path=path, problem=problem)
    return TensorflowModel(native, tf, device, path)


def _limit(tf: Any, threads: int) -> None:
    """TensorFlow takes no other number once it has run; a worker's environment said it before."""
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            return


def _shape(spec: Any, path: Path) -> tuple[int, ...]:
    if spec.shape.rank is None:
        raise BundleError(path=path, problem=f"{spec.name!r} has no fixed number of dimensions")
    return tuple(-1 if d is None else int(d) for d in spec.shape)


def _spec(name: str, spec: Any, has_rows: bool, path: Path) -> TensorSpec:
    dtype = "bytes" if spec.dtype.name == "string" else spec.dtype.name
    shape = _shape(spec, path)
    return TensorSpec(name, dtype, shape[1:] if has_rows else shape, has_rows=has_rows)
