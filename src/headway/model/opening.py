"""Open a model where it runs: import the user's code or open the file, and load it.

The only module that runs a user's code outside of a request. What fails is told with its cause.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from headway import plugins
from headway.config import ModelSpec
from headway.errors import BundleError, ConfigError, HeadwayError, ModelFailed
from headway.model import example, source
from headway.model.call import Call, Description, TensorSpec
from headway.model.padding import check_lengths, prove_padding
from headway.model.predictor import (
    Place,
    Predictor,
    confine,
    open_weights,
    place,
    source_folder,
    traits_of,
)
from headway.model.signature import Signature, of_tensors, read_explain, read_signature
from headway.model.weights import Options
from headway.model.wire import Wire


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready to be asked."""

    wire: Wire
    predict: Callable[..., Any]
    is_thread_safe: bool
    examples: Sequence[Mapping[str, Any]] = ()
    """Items in their JSON form."""
    note: str = ""
    """What its operator should know: why rows are not merged."""
    device: str = "cpu"
    """Where it runs, as far as is known."""
    explain: "Opened | None" = None
    """The other question that its predictor answers."""

    @property
    def questions(self) -> Sequence["Opened"]:
        """All that it can be asked."""
        return (self,) if self.explain is None else (self, self.explain)

    @property
    def signature(self) -> Signature:
        """What it takes and answers."""
        return self.wire.signature

    @property
    def description(self) -> Description:
        """What a gateway knows of it."""
        return self.wire.description

    def example_call(self, rows: int) -> Call | None:
        """A call of some rows to warm up with: examples in turn, or zeros; None: neither."""
        return example.make_call(self.wire, self.examples, rows)

    def close(self) -> None:
        """Let go of what the predictor holds, where it says how."""
        owner = getattr(self.predict, "__self__", None)
        close = getattr(owner, "close", None)
        if isinstance(owner, Predictor) and callable(close):
            close()


def open_spec(spec: ModelSpec, threads: int = 1, may_spin: bool = False) -> Opened:
    """Open one model of the configuration.

    Args:
        spec: where it is and how it is run.
        threads: inside one model call.
        may_spin: idle threads may burn their core.

    Raises:
        BundleError: its files are missing, damaged or not trusted.
        ConfigError: the source names no predictor.
        SignatureError: its signature can't be served.
        ModelFailed: the author's `load` raised; the cause is chained.
    """
    file, _, name = spec.source.partition(":")
    is_code = file.endswith(".py")
    # What code does with a device is its own decision, which "auto" does not make for it.
    device = "cpu" if is_code and spec.settings.device == "auto" else spec.settings.device
    where = Place(
        Path(spec.root).resolve(), Options(threads, may_spin, device, spec.settings.is_trusted)
    )
    if is_code:
        opened = _opened(_find(where.root, file, name), where, spec.name, spec.version)
    else:
        opened = _open_file(file, where, spec)
    for question in opened.questions:
        question.wire.max_rows = spec.settings.max_request_rows
    return opened


def find_predictor(spec: ModelSpec) -> Any:
    """Import the class or function that a model's source names, without loading it; None for a model file.

    Raises:
        BundleError, ConfigError: as `open_spec`.
    """
    file, _, name = spec.source.partition(":")
    return _find(Path(spec.root).resolve(), file, name) if file.endswith(".py") else None


def open_predictor(what: Any, options: Options | None = None, name: str = "") -> Opened:
    """Open a Predictor class, or a function, that is at hand.

    Args:
        what: the class or function.
        options: how its models are to be opened.
        name: of the model; by default its own.

    Raises:
        SignatureError: its signature can't be served.
        ModelFailed: the author's `load` raised; the cause is chained.
    """
    where = Place(source_folder(what), options or Options())
    return _opened(what, where, name or what.__name__.lower(), "1")


def _opened(what: Any, where: Place, name: str, version: str) -> Opened:
    signature = read_signature(what)
    check_lengths(signature)
    explained = read_explain(what)
    if explained is not None:
        check_lengths(explained)
    predict = what
    if isinstance(what, type):
        predictor = _made(what)
        place(predictor, where)
        _load(predictor)
        predict = predictor.predict
    examples = [example.to_json(e, signature, where.root) for e in traits_of(what).examples]
    wire = Wire(signature, name=name, version=version, examples=examples)
    if wire.has_lengths:
        _prove_padding(wire, predict, examples)
    explain = None
    if explained is not None:
        explain = _explaining(explained, wire, predictor.explain)
        wire.description = replace(wire.description, explain=explain.description)
    is_safe, device = signature.thread_safe, where.options.device
    return Opened(wire, predict, is_safe, examples, device=device, explain=explain)


def _explaining(signature: Signature, wire: Wire, explain: Callable[..., Any]) -> Opened:
    """The other question, about the same model; its examples are those that it takes."""
    names = {p.name for p in signature.parameters}
    needed = {p.name for p in signature.parameters if not p.is_optional}
    examples = [
        {name: value for name, value in example.items() if name in names}
        for example in wire.description.examples
        if needed <= example.keys()
    ]
    model = wire.description
    asked = Wire(signature, name=model.name, version=model.version, examples=examples)
    if asked.has_lengths:
        _prove_padding(asked, explain, examples)
    return Opened(asked, explain, signature.thread_safe, examples)


def _prove_padding(wire: Wire, predict: Callable[..., Any], examples: Sequence[Any]) -> None:
    try:
        prove_padding(wire, predict, examples)
    except HeadwayError:
        raise
    # The author's own code may raise anything; whoever opens the model learns of it.
    except (Exception, SystemExit) as e:
        raise _failed("predict, asked an example alone and padded,", e) from e


def _made(what: type[Predictor]) -> Predictor:
    try:
        return what()
    # The author's own code may raise anything; whoever opens the model learns of it.
    except (Exception, SystemExit) as e:
        raise _failed(f"{what.__name__}()", e) from e


def _load(predictor: Predictor) -> None:
    try:
        predictor.load()
    except HeadwayError:
        raise
    # The author's own code may raise anything; whoever opens the model learns of it.
    except (Exception, SystemExit) as e:
        raise _failed(f"load() of {type(predictor).__name__}", e) from e


def _failed(what: str, error: BaseException) -> ModelFailed:
    return ModelFailed(f"{what} {_raised(error)}")


def _raised(error: BaseException) -> str:
    """What the author's code raised, in words; of a library that lacks, also how to get it."""
    advice = plugins.advice(error) if isinstance(error, ModuleNotFoundError) else ""
    return f"raised {type(error).__name__}: {error}{advice}"


def _open_file(file: str, where: Place, spec: ModelSpec) -> Opened:
    """A bare model file or folder: its rows are merged only after proof (rule 14 of the data path)."""
    from headway.model import proof  # noqa: PLC0415  (imports numpy, which a text predictor never needs)

    path = confine(where.root, file)
    model = open_weights(path, where.options)
    if not (model.inputs and model.outputs):
        missing = getattr(model, "missing", "") or "it does not tell its inputs and outputs"
        advice = "write a predictor that opens it with self.open_model and names them"
        raise BundleError(
            path=path.name, problem=f"can't be served with no code: {missing}; {advice}"
        )
    reason = proof.prove_rows(model)
    inputs: list[TensorSpec] = list(model.inputs)
    outputs: list[TensorSpec] = list(model.outputs)
    if reason is not None:
        inputs = [proof.without_rows(t) for t in inputs]
        outputs = [proof.without_rows(t) for t in outputs]
    doc = f"The model {'folder' if path.is_dir() else 'file'} {path.name}."
    signature = replace(
        of_tensors(spec.name, inputs, outputs, doc), thread_safe=model.is_thread_safe
    )
    wire = Wire(signature, name=spec.name, version=spec.version, platform=model.platform)
    note = "" if reason is None else f"rows of different requests are not merged: {reason}"
    known = "cpu" if where.options.device == "auto" else where.options.device
    device = getattr(model, "device", known)
    return Opened(wire, model, model.is_thread_safe, (), note, device)


def _find(root: Path, file: str, name: str) -> Any:
    path = confine(root, file)
    if not path.is_file():
        raise BundleError(path=file, problem="there is no such file")
    name = name or source.only(path, file)
    module = _import(path, root)
    found = getattr(module, name, None)
    is_class = isinstance(found, type) and issubclass(found, Predictor)
    if not is_class and not inspect.isfunction(found):
        known = ", ".join(source.predictors(path)) or "none"
        what = "no predictor" if hasattr(module, name) else "not defined"
        raise ConfigError(where=f"{file}:{name}", problem=f"is {what}; predictors there: {known}")
    return found


class _Source(SourceFileLoader):
    """Compiles a file each time: the cache can't tell two edits within a second from each other."""

    def get_code(self, fullname: str) -> CodeType:
        """The code that the file holds now."""
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _import(path: Path, root: Path) -> ModuleType:
    """Run a user's file as a module that others, and pickles, can find by its name."""
    for folder in (str(path.parent), str(root)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))
    if spec is None or spec.loader is None:
        raise BundleError(path=path.name, problem="Python can't import it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    # The author's own code may raise anything; whoever opens the model learns of it.
    except (Exception, SystemExit) as e:
        del sys.modules[name]
        raise BundleError(path=path.name, problem=f"importing it {_raised(e)}") from e
    return module


def _module_name(path: Path) -> str:
    """The file's own name, unless something else has it already."""
    name = path.stem
    loaded = sys.modules.get(name)
    is_mine = loaded is None or getattr(loaded, "__file__", None) == str(path)
    if is_mine and name not in sys.stdlib_module_names and name.isidentifier():
        return name
    return f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
