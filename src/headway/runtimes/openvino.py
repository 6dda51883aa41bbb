"""Run OpenVINO's intermediate representation: an .xml file with its .bin beside it, on the CPU.

Opening it runs no code: operators come from OpenVINO alone, extensions are not loaded. A model with a
fixed first dimension of 1 is asked row by row.
"""

import os
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, library
from headway.runtimes._arrays import arrange, row_by_row

SUFFIXES: Sequence[str] = (".xml",)
REQUIRES: Sequence[str] = ("openvino>=2025.0",)
MARKS: Mapping[str, bytes] = {".xml": b"<net "}

_DTYPES = {
    **{"f16": "float16", "f32": "float32", "f64": "float64", "boolean": "bool"},
    **{"i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64"},
    **{"u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64"},
}


class OpenvinoModel:
    """A compiled model, called with arrays by name, or in the file's order of inputs."""

    is_thread_safe = True
    """Each thread has a request of its own, and inference releases the GIL."""
    platform = "openvino_ir"

    def __init__(self, native: Any, path: Path) -> None:
        self.native = native
        shapes = [_shape(port) for port in (*native.inputs, *native.outputs)]
        self._is_of_one = all(s[:1] == (1,) for s in shapes)
        has_rows = self._is_of_one or all(s[:1] == (-1,) for s in shapes[: len(native.inputs)])
        self.inputs: Sequence[TensorSpec] = [
            _spec(port, f"input_{n}", has_rows, path) for n, port in enumerate(native.inputs)
        ]
        self.outputs: Sequence[TensorSpec] = [
            _spec(port, f"output_{n}" if n else "output", has_rows, path)
            for n, port in enumerate(native.outputs)
        ]
        self._requests = threading.local()

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Run once.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        placed = arrange(self.inputs, arrays, named)
        return row_by_row(self._run, placed) if self._is_of_one else self._run(placed)

    def _run(self, placed: Mapping[str, Any]) -> dict[str, Any]:
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self.native.create_infer_request()
        found = request.infer(dict(enumerate(placed.values())))
        return {s.name: np.array(found[n]) for n, s in enumerate(self.outputs)}


def open_model(path: Path, options: Options) -> OpenvinoModel:
    """Open an .xml file and the .bin beside it.

    Raises:
        BundleError: one is missing or damaged, or another device than the CPU is asked for.
        PluginError: OpenVINO is not installed.
    """
    openvino = library("openvino", "openvino")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    if options.device not in ("cpu", "auto"):
        raise BundleError(
            path=path, problem=f"OpenVINO runs on cpu here, not on {options.device!r}"
        )
    weights = path.with_suffix(".bin")
    try:
        if not stat.S_ISREG(os.lstat(weights).st_mode):
            raise BundleError(path=weights, problem="is no regular file; a link is not followed")
    except FileNotFoundError as e:
        raise BundleError(
            path=path, problem=f"its weights, {weights.name}, are not beside it"
        ) from e
    settings = {"INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1}
    # Its errors are RuntimeErrors and their children, of bindings that give them no name.
    try:
        engine = openvino.Core()
        read = engine.read_model(str(path), str(weights))
        return OpenvinoModel(engine.compile_model(read, "CPU", settings), path)
    except (RuntimeError, ValueError) as e:
        raise BundleError(path=path, problem=f"OpenVINO can't open it: {str(e)[:500]}") from e


def _shape(port: Any) -> tuple[int, ...]:
    if port.partial_shape.rank.is_dynamic:
        raise ValueError("a tensor has no fixed number of dimensions")
    return tuple(-1 if d.is_dynamic else d.get_length() for d in port.partial_shape)


def _spec(port: Any, name: str, has_rows: bool, path: Path) -> TensorSpec:
    kind = port.element_type.get_type_name()
    if kind not in _DTYPES:
        raise BundleError(path=path, problem=f"a tensor is of {kind}, which no request can hold")
    shape = _shape(port)
    named = min(port.names, key=len) if port.names else name
    return TensorSpec(named, _DTYPES[kind], shape[1:] if has_rows else shape, has_rows=has_rows)
