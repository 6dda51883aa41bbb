"""What a runtime is: it opens a file of weights and runs them.

A runtime is a module of this folder that satisfies `Runtime`; the format of the file, or of the
folder, chooses it (`model.formats`). ML libraries are imported inside `open_model`, after the engine
has set the threads.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from headway import plugins
from headway.errors import BundleError
from headway.model.weights import Model as Model
from headway.model.weights import Options as Options


class Runtime(Protocol):
    """The contract of a runtime module.

    It may have two more literals. `FOLDERS: Sequence[str]`: a folder that holds such a file is a model as a
    whole: ("MLmodel",). `MARKS: Mapping[str, bytes]`: of an ending, or of such a file, that other formats have
    too: the head of the file must hold these bytes: {".json": b'"learner"'}.
    """

    SUFFIXES: Sequence[str]
    """File names that this runtime opens end so: (".onnx",)."""
    REQUIRES: Sequence[str]
    """Requirements (PEP 508) that the extra of this runtime's name installs."""

    def open_model(self, path: Path, options: Options) -> Model:
        """Open a file, or a folder, of weights. Raises BundleError."""
        ...


TRUST = (
    "set `trusted: true` for this model in headway.yaml, or serve it with --trusted, if you trust its "
    "author to run code here"
)
"""What to do about a file that can run code when it is opened."""


def library(runtime: str, name: str) -> Any:
    """Import a library for a runtime.

    Raises:
        PluginError: it is not installed; says what installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as e:
        raise plugins.missing_library("runtimes", runtime, e.name or name) from e


def device_for(options: Options, path: Path, seen: int, name: str) -> str:
    """The device that a library shall use: "cpu" or "cuda:N".

    Args:
        options: what is asked for.
        path: the model, for the error.
        seen: how many CUDA devices the library can use.
        name: of the library, for the error.

    Raises:
        BundleError: there is no such device, or the library can't use it.
    """
    kind, _, number = options.device.partition(":")
    if options.device == "auto":
        return "cuda:0" if seen else "cpu"
    if options.device == "cpu":
        return "cpu"
    if kind == "cuda" and (number or "0").isdecimal() and int(number or "0") < seen:
        return f"cuda:{int(number or '0')}"
    found = f"{name} sees {f'{seen} CUDA devices' if seen else 'no CUDA device'} here"
    raise BundleError(path=path, problem=f"device {options.device!r}: {found}; use auto or cpu")


def texts(values: Iterable[Any]) -> list[str]:
    """Strings for a library that wants str, from str or UTF-8 bytes.

    Raises:
        TypeError: a value is neither.
    """
    return [v.decode() if isinstance(v, bytes) else _text(v) for v in values]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"expected a string, found {type(value).__name__}")
