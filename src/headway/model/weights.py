"""An opened file of weights and how it is opened: what predictors and runtimes agree on. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headway.model.call import TensorSpec


@dataclass(frozen=True, slots=True)
class Options:
    """How a file of weights is to be opened."""

    threads: int = 1
    """Threads inside one model call."""
    may_spin: bool = False
    """Idle threads may burn their core waiting for work."""
    device: str = "cpu"
    """"cpu", "cuda:0", or "auto": cuda:0 where the library sees one, else cpu."""
    is_trusted: bool = False
    """The operator has said, in the config, that the author may run code on this machine."""


class Model(Protocol):
    """An opened file of weights: called with arrays, answers an array, or a dict of several.

    May also have `device` (where it runs, if not on the CPU), `words` (texts that it tells apart), and, where
    `inputs` or `outputs` are empty, `missing` (what the file would have to hold to be served with no code).
    """

    native: Any
    """The library's own object."""
    inputs: Sequence[TensorSpec]
    """Empty where the format does not tell."""
    outputs: Sequence[TensorSpec]
    is_thread_safe: bool
    """Calls may run at the same time, and release the GIL."""
    platform: str

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the model.

        Raises:
            MemoryError: there was not enough for so many rows, whatever the library calls that; fewer are tried.
        """
        ...
