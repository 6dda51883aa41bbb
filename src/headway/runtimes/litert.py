"""Run LiteRT (TensorFlow Lite) flat buffers on the CPU.

Opening one runs no code: operators are the interpreter's own, custom ones are refused by it. The
first axis is resized to the rows of a call; a model with a fixed one of 1 is asked row by row.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, library
from headway.runtimes._arrays import arrange, row_by_row

SUFFIXES: Sequence[str] = (".tflite",)
REQUIRES: Sequence[str] = ("ai-edge-litert>=1.2",)

_DTYPES = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
}


class LitertModel:
    """An interpreter, called with arrays by name, or in the order of its inputs."""

    is_thread_safe = False
    """An interpreter keeps the tensors of the call that it runs."""
    platform = "litert_tflite"

    def __init__(self, native: Any, path: Path) -> None:
        self.native = native
        inputs, outputs = native.get_input_details(), native.get_output_details()
        names = _names(native, inputs, outputs)
        shapes = {d["index"]: _shape(d) for d in (*inputs, *outputs)}
        self._is_of_one = all(s[:1] == (1,) for s in shapes.values())
        has_rows = self._is_of_one or all(shapes[d["index"]][:1] == (-1,) for d in inputs)
        specs = {
            index: _spec(d, names[index], shapes[index], has_rows, path)
            for d in (*inputs, *outputs)
            for index in [d["index"]]
        }
        self._in = [d["index"] for d in inputs]
        self._out = [d["index"] for d in outputs]
        self.inputs: Sequence[TensorSpec] = [specs[i] for i in self._in]
        self.outputs: Sequence[TensorSpec] = [specs[i] for i in self._out]
        self._sizes: list[tuple[int, ...]] = []

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Run once.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        placed = arrange(self.inputs, arrays, named)
        return row_by_row(self._run, placed) if self._is_of_one else self._run(placed)

    def _run(self, placed: Mapping[str, Any]) -> dict[str, Any]:
        sizes = [a.shape for a in placed.values()]
        if sizes != self._sizes:
            for index, size in zip(self._in, sizes, strict=True):
                self.native.resize_tensor_input(index, size, strict=False)
            self.native.allocate_tensors()
            self._sizes = sizes
        for index, array in zip(self._in, placed.values(), strict=True):
            self.native.set_tensor(index, np.ascontiguousarray(array))
        self.native.invoke()
        return {
            s.name: self.native.get_tensor(i) for s, i in zip(self.outputs, self._out, strict=True)
        }


def open_model(path: Path, options: Options) -> LitertModel:
    """Open a .tflite file.

    Raises:
        BundleError: the file is damaged, or another device than the CPU is asked for.
        PluginError: LiteRT is not installed.
    """
    interpreter = library("litert", "ai_edge_litert.interpreter").Interpreter
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    if options.device not in ("cpu", "auto"):
        raise BundleError(path=path, problem=f"LiteRT runs on cpu here, not on {options.device!r}")
    try:
        data = path.read_bytes()
        if data[4:8] != b"TFL3":
            raise ValueError("it is not marked as one (TFL3)")
        native = interpreter(model_content=data, num_threads=options.threads)
        native.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as e:
        raise BundleError(path=path, problem=f"not a LiteRT model: {e}") from e
    return LitertModel(native, path)


def _names(native: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> dict[int, str]:
    """The names of its only signature, where it has one; else those of the tensors."""
    plain = {d["index"]: d["name"] for d in (*inputs, *outputs)}
    signatures = native.get_signature_list()
    if len(signatures) != 1:
        return plain
    (key,) = signatures
    runner = native.get_signature_runner(key)
    details = {**runner.get_input_details(), **runner.get_output_details()}
    return plain | {d["index"]: name for name, d in details.items()}


def _shape(details: Mapping[str, Any]) -> tuple[int, ...]:
    signature = details.get("shape_signature")
    found = details["shape"] if signature is None or not len(signature) else signature
    return tuple(int(d) for d in found)


def _spec(
    details: Mapping[str, Any], name: str, shape: tuple[int, ...], has_rows: bool, path: Path
) -> TensorSpec:
    dtype = np.dtype(details["dtype"]).name
    if dtype not in _DTYPES:
        raise BundleError(path=path, problem=f"{name!r} is of {dtype}, which can't be served yet")
    return TensorSpec(name, dtype, shape[1:] if has_rows else shape, has_rows=has_rows)
