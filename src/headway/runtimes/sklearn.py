"""Run scikit-learn estimators: skops files, and joblib or pickle files of a trusted author.

Unpickling runs whatever the file's author wrote, so the decision is by content, never by suffix:
only a skops archive of known types is opened without trust. Rows go in as float64[batch, features],
or as texts where the first step reads raw documents.
"""

import logging
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from headway import plugins
from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import TRUST, Options, texts

SUFFIXES: Sequence[str] = (".skops", ".joblib", ".pkl", ".pickle")
REQUIRES: Sequence[str] = ("scikit-learn>=1.5", "skops>=0.13", "threadpoolctl>=3.5")

_log = logging.getLogger(__name__)

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
)
"""What skops, joblib and pickle raise on a file that is damaged, or that another release wrote."""


class SklearnModel:
    """An estimator or pipeline, called with one array of rows, or one list of texts."""

    is_thread_safe = False

    def __init__(self, native: Any, platform: str, threads: int) -> None:
        self.native = native
        self.platform = platform
        self.words: Sequence[str] = _words(native)
        """Texts that a text pipeline tells apart; for the proof that rows are independent."""
        self._limit = _limiter(threads)
        self._front, self._last = _split(native)
        self._ask = _question(self._last)
        self.inputs: Sequence[TensorSpec] = _inputs(native)
        self.outputs: Sequence[TensorSpec] = self._probe()

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Answer rows: `label` and `probabilities` of a classifier that has both, else one array.

        Raises:
            TypeError: not exactly one input, or it has another name.
        """
        rows = self._rows(arrays, named)
        with self._limit():
            return self._ask(self._last, self._front.transform(rows) if self._front else rows)

    def _rows(self, arrays: Sequence[Any], named: dict[str, Any]) -> Any:
        names = [i.name for i in self.inputs]
        if len(arrays) + len(named) != 1 or (names and set(named) - set(names)):
            raise TypeError(f"expected one input{' named ' + names[0] if names else ''}")
        value = arrays[0] if arrays else next(iter(named.values()))
        return texts(value) if self.inputs and self.inputs[0].dtype == "bytes" else value

    def _probe(self) -> Sequence[TensorSpec]:
        """Ask once: only the answer to one row tells the dtypes and shapes of the outputs."""
        if not self.inputs:
            return ()
        row = [""] if self.inputs[0].dtype == "bytes" else np.zeros((1, *self.inputs[0].shape))
        try:
            answer = self(row)
        except (ValueError, TypeError) as e:
            _log.warning("the outputs are unknown, a row of zeros was refused: %s", e)
            return ()
        named = answer if isinstance(answer, dict) else {"output": answer}
        return [TensorSpec(name, _dtype_name(a), a.shape[1:]) for name, a in named.items()]


def open_model(path: Path, options: Options) -> SklearnModel:
    """Open a file that holds an estimator.

    Raises:
        BundleError: the file is damaged, holds no estimator, or needs trust that was not given.
        PluginError: scikit-learn or skops is not installed.
    """
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    if options.device not in ("cpu", "auto"):
        raise BundleError(path=path, problem=f"scikit-learn runs on cpu, not on {options.device!r}")
    is_skops = _is_skops(path)
    if not is_skops and path.suffix == ".skops":
        raise BundleError(path=path, problem="not a skops file, whatever its name says")
    if not is_skops and not options.is_trusted:
        raise BundleError(
            path=path,
            problem="opening it can run any code, since it is no skops file; save it with "
            f"skops.io.dump, or {TRUST}",
        )
    skops, joblib = _libraries()
    try:
        native = _read_skops(skops, path, options) if is_skops else joblib.load(path)
    except _DAMAGE as e:
        raise BundleError(path=path, problem=f"can't be opened: {type(e).__name__}: {e}") from e
    if not any(hasattr(native, method) for method in ("predict", "transform")):
        raise BundleError(
            path=path, problem=f"holds a {type(native).__name__}, which has no predict or transform"
        )
    return SklearnModel(native, "sklearn_skops" if is_skops else "sklearn_joblib", options.threads)


def _is_skops(path: Path) -> bool:
    """A zip archive with a `schema.json`: nothing in it is unpickled, whatever its suffix."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "schema.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _libraries() -> tuple[Any, Any]:
    try:
        return import_module("skops.io"), import_module("joblib")
    except ModuleNotFoundError as e:
        raise plugins.missing_library("runtimes", "sklearn", e.name or "skops") from e


def _read_skops(skops: Any, path: Path, options: Options) -> Any:
    unknown = skops.get_untrusted_types(file=path)
    if unknown and not options.is_trusted:
        raise BundleError(
            path=path,
            problem=f"holds types not known to be safe: {', '.join(unknown)}; {TRUST}",
        )
    return skops.load(path, trusted=unknown)


def _limiter(threads: int) -> Any:
    """A context for each call: OpenMP limits by thread, and a host's own pools must not change."""
    try:
        controller = import_module("threadpoolctl").ThreadpoolController()
    except ModuleNotFoundError:
        return nullcontext

    def limit() -> AbstractContextManager[Any]:
        made: AbstractContextManager[Any] = controller.limit(limits=threads)
        return made

    return limit


def _split(native: Any) -> tuple[Any, Any]:
    """Part a pipeline before its last step: label and probabilities share the work in front."""
    if (
        type(native).__name__ == "Pipeline"
        and len(native.steps) > 1
        and native.steps[-1][1] != "passthrough"
    ):
        return native[:-1], native.steps[-1][1]
    return None, native


def _question(last: Any) -> Any:
    if not hasattr(last, "predict"):
        return _ask_transform
    is_plain_classifier = hasattr(last, "predict_proba") and isinstance(
        getattr(last, "classes_", None), np.ndarray
    )
    return _ask_classifier if is_plain_classifier else _ask_predict


def _ask_classifier(last: Any, rows: Any) -> dict[str, Any]:
    # Both are asked: for some estimators (SVC) the label is not the most probable class.
    return {"label": _plain(last.predict(rows)), "probabilities": _plain(last.predict_proba(rows))}


def _ask_predict(last: Any, rows: Any) -> Any:
    return _plain(last.predict(rows))


def _ask_transform(last: Any, rows: Any) -> Any:
    return _plain(last.transform(rows))


def _plain(answer: Any) -> Any:
    """An array that a tensor can hold: no sparse matrix, and strings as objects."""
    array = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    return array.astype(object) if array.dtype.kind in "US" else array


def _dtype_name(array: Any) -> str:
    return "bytes" if array.dtype == object else str(array.dtype)


def _inputs(native: Any) -> Sequence[TensorSpec]:
    first = _first_step(native)
    if _reads_texts(first):
        return (TensorSpec("text", "bytes", ()),)
    width = getattr(native, "n_features_in_", None)
    if width is None or _has_named_columns(first):
        return ()
    if hasattr(native, "feature_names_in_"):
        # Fitted on a table, asked with arrays in the same order: no need to say so at each call.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return (TensorSpec("features", "float64", (int(width),)),)


def _first_step(native: Any) -> Any:
    while hasattr(native, "steps") and native.steps:
        native = native.steps[0][1]
    return native


def _reads_texts(step: Any) -> bool:
    documents = import_module("sklearn.feature_extraction.text")
    return (
        isinstance(step, (documents.CountVectorizer, documents.HashingVectorizer))
        and step.input == "content"
    )


def _has_named_columns(step: Any) -> bool:
    """A step that picks columns, or takes strings, wants a table, whose types the file hides."""
    return type(step).__name__ in {
        "ColumnTransformer",
        "FeatureUnion",
        "OneHotEncoder",
        "OrdinalEncoder",
        "DictVectorizer",
    }


def _words(native: Any) -> Sequence[str]:
    known = sorted(getattr(_first_step(native), "vocabulary_", ()))
    return known[:: max(1, len(known) // 64)]
