"""Run MLflow's model folders (MLmodel): a flavour whose file runs no code by our own runtime, others by pyfunc.

pyfunc unpickles, or imports what lies in the folder: it needs trust. Inputs are those of the signature in
MLmodel: its columns, each an array with one value a row, or its tensors.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway import plugins
from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import TRUST, Model, Options, library
from headway.runtimes._arrays import arrange, numpy_dtype

SUFFIXES: Sequence[str] = ()
FOLDERS: Sequence[str] = ("MLmodel",)
REQUIRES: Sequence[str] = ("mlflow-skinny>=3", "pandas>=2.2")

_NATIVE = {
    "onnx": ("data", (".onnx",)),
    "lightgbm": ("data", (".lgb", ".txt")),
    "xgboost": ("data", (".ubj", ".json", ".xgb")),
    "catboost": ("data", (".cb", ".cbm")),
    "sklearn": ("pickled_model", (".skops",)),
}
"""Of a flavour: the key that names its file, and the endings of those that our runtime of that name opens."""
_COLUMNS = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "bytes",
}
"""MLflow's types of columns; the others hold what no tensor does."""

_Arrays = dict[str, Any]


class MlflowModel:
    """A model, called with the arrays of its signature; without one, with what its own predict takes."""

    is_thread_safe = False

    def __init__(self, native: Any, ask: Callable[[Any], Any], platform: str) -> None:
        self.native = native
        self.platform = platform
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.missing = ""
        self._ask = ask

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Answer rows.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        if not self.inputs:
            if named or len(arrays) != 1:
                raise TypeError("expected one input: what the model's own predict takes")
            return self._ask(*arrays)
        placed = arrange(self.inputs, arrays, named)
        if len(next(iter(placed.values()))) or not self.inputs[0].has_rows:
            return self._ask(placed)
        return {n: a[:0] for n, a in self._ask(_blank(self.inputs)).items()}

    def tell(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Say what it takes; a row of zeros finds out what it answers, else the signature has said it."""
        self.inputs = inputs
        try:
            answers = self._ask(_blank(inputs))
        # The author's code may raise anything; who opens the model learns of it where nothing else tells.
        except Exception as e:  # noqa: BLE001
            self.outputs = outputs
            self.missing = f"it refuses a row of zeros ({e}), and MLmodel tells no outputs"
            return
        has_rows = inputs[0].has_rows
        self.outputs = [
            TensorSpec(n, _dtype_name(a), a.shape[1:] if has_rows else a.shape, has_rows=has_rows)
            for n, a in answers.items()
        ]


def open_model(path: Path, options: Options) -> Model:
    """Open a folder that MLflow's `save_model` or `log_model` wrote.

    Raises:
        BundleError: it is damaged, needs trust that was not given, or another device than the CPU is asked for.
        PluginError: MLflow, or the library of the flavour, is not installed.
    """
    if not (path / "MLmodel").is_file():
        raise BundleError(path=path, problem="there is no MLmodel in it")
    read = _read(path)
    inputs, outputs, missing = _signature(read)
    for flavour, (key, endings) in _NATIVE.items():
        file = path / str(read.flavors.get(flavour, {}).get(key, ""))
        is_own = _is_plain(flavour, read.flavors.get(flavour, {}))
        if is_own and file.suffix in endings and file.resolve().is_relative_to(path.resolve()):
            native: Model = plugins.load("runtimes", flavour).open_model(file, options)
            return _by_columns(native, inputs)
    if not options.is_trusted:
        problem = f"its flavours ({', '.join(read.flavors)}) run code when they are opened; {TRUST}"
        raise BundleError(path=path, problem=problem)
    if options.device not in ("cpu", "auto"):
        raise BundleError(path=path, problem=f"pyfunc is told no device, not even {options.device}")
    model = _pyfunc(path)
    model.missing = missing
    if inputs:
        model.tell(inputs, outputs)
    return model


def _read(path: Path) -> Any:
    """What MLmodel says; it is read as plain data."""
    mlflow = library("mlflow", "mlflow")
    _hush()
    try:
        read = mlflow.models.Model.load(str(path))
        if not read.flavors:
            raise ValueError("it names no flavours")
    except _damage(mlflow) as e:
        raise BundleError(path=path, problem=f"MLmodel can't be read: {str(e)[:500]}") from e
    return read


def _hush() -> None:
    """MLflow reports its use to its makers, from the first call on, unless told not to before."""
    library("mlflow", "mlflow.environment_variables").MLFLOW_DISABLE_TELEMETRY.set(True)
    library("mlflow", "mlflow.telemetry").set_telemetry_client()


def _damage(mlflow: Any) -> tuple[type[Exception], ...]:
    yaml_error = library("mlflow", "yaml").YAMLError
    plain = (OSError, ValueError, TypeError, LookupError, AttributeError)
    return (*plain, yaml_error, mlflow.exceptions.MlflowException)


def _is_plain(flavour: str, settings: Mapping[str, Any]) -> bool:
    """Whether the file alone answers as the flavour does: an estimator of xgboost's makes labels of it."""
    kind = str(settings.get("model_class", ""))
    return flavour not in ("lightgbm", "xgboost") or kind.endswith(".Booster")


def _signature(read: Any) -> tuple[list[TensorSpec], list[TensorSpec], str]:
    """The inputs and outputs in MLmodel, or why they can't be served."""
    if read.signature is None or read.signature.inputs is None:
        advice = "log the model with one (mlflow.models.infer_signature)"
        return [], [], f"its MLmodel has no signature; {advice}"
    try:
        inputs = _specs(read.signature.inputs, "input")
    except TypeError as e:
        return [], [], str(e)
    try:
        return inputs, _specs(read.signature.outputs, "output"), ""
    except TypeError:
        return inputs, [], ""


def _specs(schema: Any, alone: str) -> list[TensorSpec]:
    """What a schema holds. Raises TypeError: something that is no tensor."""
    made = []
    for spec in schema.inputs if schema else ():
        name = str(spec.name if spec.name is not None else alone)
        if schema.is_tensor_spec():
            sizes = tuple(int(d) for d in spec.shape)
            has_rows = sizes[:1] == (-1,)
            dtype = "bytes" if spec.type.kind in "USO" else str(spec.type)
            made.append(TensorSpec(name, dtype, sizes[has_rows:], has_rows=has_rows))
        else:
            kind = getattr(spec.type, "name", str(spec.type))
            if kind not in _COLUMNS:
                raise TypeError(f"its column {name!r} is a {kind}, which no tensor holds")
            made.append(TensorSpec(name, _COLUMNS[kind], ()))
    return made


def _by_columns(native: Model, columns: Sequence[TensorSpec]) -> Model:
    """A model of one matrix, asked by the names that its columns had when it was trained."""
    is_table = bool(columns) and all(c.shape == () and c.dtype != "bytes" for c in columns)
    if not is_table or [(len(i.shape), *i.shape) for i in native.inputs] != [(1, len(columns))]:
        return native
    dtype = numpy_dtype(native.inputs[0].dtype)
    name = native.outputs[0].name

    def ask(placed: _Arrays) -> _Arrays:
        found = native(np.column_stack([a.astype(dtype) for a in placed.values()]))
        return found if isinstance(found, dict) else {name: found}

    model = MlflowModel(native.native, ask, native.platform)
    model.inputs, model.outputs = columns, native.outputs
    model.is_thread_safe = native.is_thread_safe
    return model


def _pyfunc(path: Path) -> MlflowModel:
    with warnings.catch_warnings():
        # It warns of its own type hints when it is imported.
        warnings.simplefilter("ignore", UserWarning)
        mlflow = library("mlflow", "mlflow.pyfunc")
    pandas = library("mlflow", "pandas")
    try:
        native = mlflow.load_model(str(path), suppress_warnings=True)
    # The author's code may raise anything; who opens the model learns of it.
    except Exception as e:
        problem = f"can't be opened: {type(e).__name__}: {str(e)[:500]}"
        raise BundleError(path=path, problem=problem) from e
    schema = native.metadata.get_input_schema()
    is_table = schema is not None and not schema.is_tensor_spec()

    def ask(given: Any) -> Any:
        if schema is None:
            return native.predict(given)
        if is_table:
            return _named(native.predict(pandas.DataFrame(given)))
        is_alone = [spec.name for spec in schema.inputs] == [None]
        return _named(native.predict(given["input"] if is_alone else given))

    return MlflowModel(native, ask, "mlflow_pyfunc")


def _named(answer: Any) -> _Arrays:
    """Arrays by name of what a pyfunc answers: a table's columns, a dict, or one array."""
    if isinstance(answer, dict):
        return {str(n): _plain(a) for n, a in answer.items()}
    if hasattr(answer, "columns"):
        return {str(n): _plain(answer[n]) for n in answer.columns}
    return {"output": _plain(answer)}


def _plain(values: Any) -> Any:
    """An array that a tensor can hold: strings as objects, and nothing else as one."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype == object and not all(isinstance(v, str | bytes) for v in array.flat):
        raise TypeError("its answer holds what no tensor does; write a predictor that opens it")
    return array


def _dtype_name(array: Any) -> str:
    return "bytes" if array.dtype == object else str(array.dtype)


def _blank(inputs: Sequence[TensorSpec]) -> _Arrays:
    """A row of zeros, and of empty texts."""
    made = {}
    for spec in inputs:
        sizes = tuple(8 if d == -1 else d for d in spec.shape)
        shape = (1, *sizes) if spec.has_rows else sizes
        made[spec.name] = (
            np.full(shape, "", object) if spec.dtype == "bytes" else np.zeros(shape, spec.dtype)
        )
    return made
