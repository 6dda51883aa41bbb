"""What a user writes: a Predictor class, or a function.

How its signature is read (`signature`) and how it is served is no concern of this module.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from headway import plugins
from headway.errors import BundleError
from headway.model import formats
from headway.model.weights import Model, Options

Example = Mapping[str, Any]
_DEFAULTS = Options()
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a predictor's files are, and how its models are to be opened."""

    root: Path
    options: Options = _DEFAULTS


@dataclass(frozen=True, slots=True)
class Traits:
    """What an author says of a predictor besides its signature."""

    examples: Sequence[Example] = ()
    idempotent: bool = True
    deterministic: bool = True
    thread_safe: bool = False
    headers: Sequence[str] = ()


class Predictor:
    """A model with the code around it: write `predict`; `load` runs once in each worker."""

    examples: Sequence[Example] = ()
    """Inputs to show, to warm up with and to check; a Path is read from beside the code."""
    idempotent: bool = True
    """May be asked again when a worker died with the request."""
    deterministic: bool = True
    """The same inputs, with the same declared headers, always get the same answer: it may be kept."""
    thread_safe: bool = False
    """`predict` may run in several threads at the same time."""
    headers: Sequence[str] = ()
    """Lower-case names of the request headers that the Context shall have."""

    predict: Callable[..., Any]
    explain: Callable[..., Any]
    """May be left out. Tells why `predict` answers as it does; it has a signature of its own, and answers no stream."""

    _place: Place | None = None

    def load(self) -> None:
        """Open what `predict` needs. The default needs nothing."""

    @property
    def device(self) -> str:
        """Where the model shall run: "cpu", "cuda:0"."""
        return self._where().options.device

    def path(self, name: str) -> Path:
        """Find a file of the bundle.

        Args:
            name: path relative to the bundle's folder.

        Raises:
            BundleError: the path leads out of the folder, also through a link.
        """
        return confine(self._where().root, name)

    def open_model(self, name: str) -> Model:
        """Open a file, or a folder, of weights with the runtime that opens its format.

        Raises:
            BundleError: there is no such file, or nothing opens it.
        """
        return open_weights(self.path(name), self._where().options)

    def _where(self) -> Place:
        return self._place or Place(source_folder(type(self)))


def place(predictor: Predictor, where: Place) -> None:
    """Tell a predictor where its files are."""
    predictor._place = where


def confine(root: Path, name: str) -> Path:
    """Join a name to a folder that it may not leave.

    Raises:
        BundleError: the path leads out of the folder, also through a link.
    """
    home = root.resolve()
    path = (home / name).resolve()
    if not path.is_relative_to(home):
        raise BundleError(path=name, problem="the path leads out of the bundle's folder")
    return path


def open_weights(path: Path, options: Options) -> Model:
    """Open a file, or a folder, of weights with the runtime that opens its format.

    Raises:
        BundleError: there is no such file, or nothing opens it.
    """
    if not path.exists():
        raise BundleError(path=path.name, problem="there is no such file")
    name = formats.runtime_of(path)
    if name is None:
        raise BundleError(
            path=path.name, problem=f"no runtime opens it; {formats.known(path.is_dir())}"
        )
    model: Model = plugins.load("runtimes", name).open_model(path, options)
    return model


def source_folder(what: type | Callable[..., Any]) -> Path:
    """The folder of the file in which a class or function was written.

    Raises:
        BundleError: it was written in no file (at a prompt, in a notebook).
    """
    try:
        return Path(inspect.getfile(what)).resolve().parent
    except (TypeError, OSError) as e:
        problem = "it was not written in a file, so that it has no folder to find files in"
        raise BundleError(path=getattr(what, "__name__", str(what)), problem=problem) from e


@overload
def predictor(function: F) -> F: ...
@overload
def predictor(
    *,
    examples: Sequence[Example] = ...,
    idempotent: bool = ...,
    deterministic: bool = ...,
    thread_safe: bool = ...,
    headers: Sequence[str] = ...,
) -> Callable[[F], F]: ...
def predictor(function: Any = None, **traits: Any) -> Any:
    """Say of a function that it is a predictor, and what its annotations can't say.

    Args:
        function: the function, where the decorator stands bare.
        traits: as the class attributes of `Predictor`.
    """

    def mark(function: F) -> F:
        function.__headway__ = Traits(**traits)  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


def traits_of(what: Any) -> Traits:
    """Read what an author said of a predictor class, instance or function."""
    if isinstance(what, Predictor) or (isinstance(what, type) and issubclass(what, Predictor)):
        return Traits(
            what.examples, what.idempotent, what.deterministic, what.thread_safe, what.headers
        )
    return getattr(what, "__headway__", Traits())
