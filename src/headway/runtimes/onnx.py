"""Run ONNX files with onnxruntime.

Not here: the proof that the first axis is one of rows (`model.proof`); a symbolic first dimension
only makes it a candidate. Nothing is cast in silence but what is exact (int32 to int64, float32 to
float64).
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import Options, library
from headway.runtimes._arrays import exactly, numpy_dtype
from headway.runtimes._external_data import check_external_data

SUFFIXES: Sequence[str] = (".onnx",)
REQUIRES: Sequence[str] = ("onnxruntime>=1.20",)

_log = logging.getLogger(__name__)

_WARNING = 2
"""onnxruntime's severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal."""

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "bytes",
}
_ZIPMAPS = {
    "seq(map(string,tensor(float)))": "float32",
    "seq(map(int64,tensor(float)))": "float32",
}
"""What scikit-learn's converter makes of probabilities unless told otherwise: one dict a row."""

_SHORT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")
"""What errors say that come of too little memory: the arena's, the C++ library's, CUDA's. No class tells them."""

_OBJECT = np.dtype(object)


class OnnxModel:
    """An onnxruntime session, called with arrays by name, or in the file's order of inputs."""

    is_thread_safe = True
    platform = "onnx_onnxv1"

    def __init__(self, native: Any, path: Path, beside: Collection[str] = ()) -> None:
        self.native = native
        self.beside = sorted(beside)
        """Other files that it is read from, as the file names them."""
        self.inputs: Sequence[TensorSpec] = [_input_spec(i, path) for i in native.get_inputs()]
        served = [o for o in native.get_outputs() if _is_served(o, path)]
        if not served:
            raise BundleError(
                path=path, problem="none of its outputs is a tensor that can be served"
            )
        self.outputs: Sequence[TensorSpec] = [_output_spec(o) for o in served]
        self.device = "cuda:0" if "CUDAExecutionProvider" in native.get_providers() else "cpu"
        self._run = native.run
        self._order = tuple(i.name for i in self.inputs)
        self._wanted = tuple((i.name, numpy_dtype(i.dtype)) for i in self.inputs)
        self._has_texts = any(dtype is _OBJECT for _, dtype in self._wanted)
        self._names = [o.name for o in served]
        self.no_tensors = [o.name for o in served if o.type in _ZIPMAPS]
        """Outputs that are lists of dicts in the file, and arrays here."""
        self._is_plain = len(served) == 1 and served[0].type not in _ZIPMAPS
        self._zipmaps = tuple(n for n, o in enumerate(served) if o.type in _ZIPMAPS)

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run once; strings may be str or UTF-8 bytes.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
            MemoryError: there is not enough for what is between the inputs and the answers.
        """
        if arrays:
            named = self._by_position(arrays, named)
        if self._has_texts or not self._fits(named):
            named = self._cast(named)
        try:
            answers = self._run(self._names, named)
        except Exception as e:
            if any(words in str(e) for words in _SHORT_OF_MEMORY):
                raise MemoryError(str(e)) from e
            raise
        if self._is_plain:
            return answers[0]
        if self._zipmaps:
            return self._dress(answers)
        return dict(zip(self._names, answers, strict=True))

    def _fits(self, named: Mapping[str, Any]) -> bool:
        """Tell, in a few hundred nanoseconds, that nothing needs a second look."""
        if len(named) != len(self._wanted):
            return False
        try:
            for name, dtype in self._wanted:
                if named[name].dtype is not dtype:
                    return False
        except (KeyError, AttributeError):
            return False
        return True

    def _by_position(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        if len(arrays) > len(self._order):
            raise TypeError(f"{len(arrays)} arrays for these inputs: {self._expected()}")
        placed = dict(zip(self._order, arrays, strict=False))
        if not named:
            return placed
        if twice := placed.keys() & named.keys():
            raise TypeError(f"input {min(twice)!r} is given by position and by name")
        return {**placed, **named}

    def _cast(self, named: Mapping[str, Any]) -> dict[str, Any]:
        if named.keys() != set(self._order):
            raise TypeError(
                f"expected the inputs {self._expected()}; found {', '.join(named) or 'none'}"
            )
        return {name: exactly(named[name], dtype, name) for name, dtype in self._wanted}

    def _expected(self) -> str:
        return ", ".join(f"{i.name} ({i.dtype})" for i in self.inputs)

    def _dress(self, answers: list[Any]) -> Any:
        for n in self._zipmaps:
            answers[n] = _stack_maps(answers[n])
        return answers[0] if len(answers) == 1 else dict(zip(self._names, answers, strict=True))


def open_model(path: Path, options: Options) -> OnnxModel:
    """Open an ONNX file.

    Raises:
        BundleError: the file is damaged, points outside its folder, or wants a device not here.
        PluginError: onnxruntime is not installed.
    """
    ort = library("onnx", "onnxruntime")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    beside = check_external_data(path)
    providers = _providers(ort, options.device, path)
    try:
        session = ort.InferenceSession(
            str(path), _session_options(ort, options), providers=providers
        )
    except _errors() as e:
        raise BundleError(path=path, problem=f"onnxruntime can't open it: {e}") from e
    wanted = _provider_name(providers[0])
    if options.device != "auto" and wanted not in session.get_providers():
        raise BundleError(
            path=path, problem=f"onnxruntime could not start {wanted}; its log says why"
        )
    return OnnxModel(session, path, beside)


def _session_options(ort: Any, options: Options) -> Any:
    ort.set_default_logger_severity(_WARNING)
    made = ort.SessionOptions()
    made.log_severity_level = _WARNING
    made.intra_op_num_threads = options.threads
    made.inter_op_num_threads = 1
    may_spin = "1" if options.may_spin else "0"
    made.add_session_config_entry("session.intra_op.allow_spinning", may_spin)
    made.add_session_config_entry("session.inter_op.allow_spinning", may_spin)
    return made


def _errors() -> tuple[type[Exception], ...]:
    """Onnxruntime's errors have no class in common but Exception."""
    state = vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state"))
    return tuple(v for v in state.values() if isinstance(v, type) and issubclass(v, Exception))


def _providers(ort: Any, device: str, path: Path) -> list[Any]:
    kind, _, number = device.partition(":")
    has_cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return ["CPUExecutionProvider"]
    if device == "auto":
        kind, number = "cuda", "0"
    if kind != "cuda" or not (number or "0").isdecimal():
        raise BundleError(
            path=path, problem=f"device {device!r} is not known here; use auto, cpu, cuda or cuda:N"
        )
    if not has_cuda:
        raise BundleError(
            path=path,
            problem=f"device {device!r} is asked for, but this onnxruntime has no CUDA; "
            "install onnxruntime-gpu in its place, or use device: cpu",
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or "0")}), "CPUExecutionProvider"]


def _provider_name(provider: Any) -> str:
    return str(provider if isinstance(provider, str) else provider[0])


def _is_served(output: Any, path: Path) -> bool:
    if output.type in _DTYPES or output.type in _ZIPMAPS:
        return True
    _log.warning("%s: output %r is a %s and is left out", path.name, output.name, output.type)
    return False


def _input_spec(node: Any, path: Path) -> TensorSpec:
    if node.type not in _DTYPES:
        raise BundleError(
            path=path, problem=f"input {node.name!r} is a {node.type}, which no request can hold"
        )
    return _spec(node.name, _DTYPES[node.type], node.shape)


def _output_spec(node: Any) -> TensorSpec:
    if node.type in _ZIPMAPS:
        return TensorSpec(node.name, _ZIPMAPS[node.type], (-1,))
    return _spec(node.name, _DTYPES[node.type], node.shape)


def _spec(name: str, dtype: str, shape: Sequence[int | str | None]) -> TensorSpec:
    """A first dimension that the file leaves free may be one of rows; a fixed one is not."""
    sizes = tuple(d if isinstance(d, int) and d >= 0 else -1 for d in shape)
    has_rows = bool(sizes) and sizes[0] == -1
    return TensorSpec(name, dtype, sizes[1:] if has_rows else sizes, has_rows=has_rows)


def _stack_maps(rows: Sequence[Mapping[Any, float]]) -> Any:
    """One dict a row to float32[rows, classes], in the order of the keys, which are sorted."""
    return np.array([list(row.values()) for row in rows], dtype=np.float32)
