"""What a runtime is: it opens a file of weights and runs them.

A runtime is a module of this folder that satisfies `Runtime`; the file's suffix chooses it. ML
libraries are imported inside `open_model`, after the engine has set the threads.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from headway.model.weights import Model as Model
from headway.model.weights import Options as Options


class Runtime(Protocol):
    """The contract of a runtime module."""

    SUFFIXES: Sequence[str]
    """File names that this runtime opens end so: (".onnx",)."""
    REQUIRES: Sequence[str]
    """Requirements (PEP 508) that the extra of this runtime's name installs."""

    def open_model(self, path: Path, options: Options) -> Model:
        """Open a file of weights. Raises BundleError."""
        ...


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
