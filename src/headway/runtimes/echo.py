"""The shipped fake: a JSON file says what the model takes; it answers a pure function of each row.

It learns nothing and needs no library; tests of the engine and of protocols run on it. It is held
to the same contract as the real runtimes. A file: `{"inputs": [{"name": "x", "dtype": "float32",
"shape": [3]}]}`; the answer is each input as it came, and `checksum`, which no two different rows
are likely to share.
"""

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headway.errors import BundleError, ModelFailed
from headway.model.call import TensorSpec
from headway.runtimes import Options, texts

SUFFIXES: Sequence[str] = (".echo",)
REQUIRES: Sequence[str] = ()


class EchoInput(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One input; `shape` is without the rows' axis, -1 is free."""

    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = ()


class EchoFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an `.echo` file may say."""

    inputs: list[EchoInput]
    delay_s: float = 0.0
    """Each call takes this long, and lets other threads run."""
    row_delay_s: float = 0.0
    """And this for each row."""
    fail_on: Any = None
    """A call fails that holds this value anywhere in its first input."""
    exit_on: Any = None
    """The process dies, as native code may, on a call that holds this value in its first input."""
    is_thread_safe: bool = True


class EchoModel:
    """Answers `checksum` (int64[rows]) and every input as it came."""

    platform = "headway_echo"

    def __init__(self, native: EchoFile) -> None:
        self.native = native
        self.is_thread_safe = native.is_thread_safe
        self.inputs: Sequence[TensorSpec] = [
            TensorSpec(i.name, i.dtype, i.shape) for i in native.inputs
        ]
        self.outputs: Sequence[TensorSpec] = [TensorSpec("checksum", "int64", ()), *self.inputs]

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Answer one call.

        Raises:
            ModelFailed: the first input holds the file's `fail_on`.
            TypeError: an input is missing, unknown or of another dtype.
        """
        placed = {i.name: a for i, a in zip(self.inputs, arrays, strict=False)} | named
        if len(arrays) > len(self.inputs) or placed.keys() != {i.name for i in self.inputs}:
            raise TypeError(f"expected the inputs {', '.join(i.name for i in self.inputs)}")
        taken = {i.name: _taken(placed[i.name], i) for i in self.inputs}
        columns = list(taken.values())
        rows = len(columns[0])
        time.sleep(self.native.delay_s + self.native.row_delay_s * rows)
        self._obey_marks(columns[0])
        return {"checksum": _checksums(columns, rows), **taken}

    def _obey_marks(self, column: Any) -> None:
        values = column.ravel().tolist()
        if self.native.exit_on is not None and self.native.exit_on in values:
            os._exit(70)
        if self.native.fail_on is not None and self.native.fail_on in values:
            raise ModelFailed(f"this echo fails on {self.native.fail_on!r}")


def open_model(path: Path, options: Options) -> EchoModel:
    """Open an `.echo` file; the options change nothing.

    Raises:
        BundleError: there is no such file, or it is not what an echo is made from.
    """
    try:
        made = msgspec.json.decode(path.read_bytes(), type=EchoFile)
        for i in made.inputs:
            _numpy_dtype(i.dtype)
    except (OSError, msgspec.DecodeError, TypeError) as e:
        raise BundleError(path=path, problem=f"not an echo file: {e}") from e
    if not made.inputs:
        raise BundleError(path=path, problem="an echo needs one input at least")
    return EchoModel(made)


def _numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(object if name == "bytes" else name)


def _taken(value: Any, spec: TensorSpec) -> Any:
    array = np.asarray(value)
    if spec.dtype == "bytes":
        return _texts(array)
    if array.dtype != _numpy_dtype(spec.dtype):
        raise TypeError(f"input {spec.name!r}: expected {spec.dtype}, found {array.dtype}")
    return array


def _texts(array: Any) -> Any:
    made = np.empty(array.size, dtype=object)
    made[:] = texts(array.ravel().tolist())
    return made.reshape(array.shape)


def _checksums(columns: Sequence[Any], rows: int) -> Any:
    return np.array([_checksum([c[row] for c in columns]) for row in range(rows)], dtype=np.int64)


def _checksum(values: Sequence[Any]) -> int:
    total = 0
    for value in values:
        array = np.asarray(value)
        is_text = array.dtype.kind in "OU"
        raw = "\0".join(array.ravel().tolist()).encode() if is_text else array.tobytes()
        total = zlib.crc32(raw, total)
    return total
