"""What a caller is told of what a predictor raised, and what is not the predictor's to raise."""

import threading
import traceback
from collections.abc import Iterator
from typing import Any

from headway.errors import HeadwayError, InternalError, ModelFailed, OutOfMemory
from headway.model.marks import Reject
from headway.model.output import rejected

_LONGEST_CHAIN = 20
"""Causes of causes are followed so far, in case they lead in a circle."""


def raised(outcome: Any) -> Any:
    """A coroutine's outcome, raised if it is an exception; one that would end a worker fails its request."""
    if isinstance(outcome, Exception):
        raise outcome
    if isinstance(outcome, BaseException):
        raise ModelFailed from outcome
    return outcome


def is_interrupt(error: BaseException) -> bool:
    """Ctrl-C, which reaches the main thread alone: the word of who runs this, and not the predictor's."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and isinstance(error, KeyboardInterrupt)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, says that there was not enough memory.

    That is a MemoryError, which is also what runtimes raise (`model.weights`), or a class that PyTorch and CuPy name
    OutOfMemoryError, of whom nothing is imported here.
    """
    return any(
        isinstance(e, MemoryError) or type(e).__name__ == "OutOfMemoryError" for e in _chain(error)
    )


def let_go(error: BaseException) -> None:
    """Free what the frames hold in which an exception was raised: a second try may need their memory."""
    for e in _chain(error):
        traceback.clear_frames(e.__traceback__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that led to it."""
    seen: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def told(error: BaseException) -> HeadwayError:
    """What a caller is told of an exception of the predictor's."""
    if isinstance(error, Reject):
        return rejected(error)
    is_short = is_short_of_memory(error)
    if isinstance(error, HeadwayError) and not (is_short and isinstance(error, ModelFailed)):
        return error
    failure = OutOfMemory() if is_short else ModelFailed()
    failure.__cause__ = error
    return failure


def internal(error: Exception) -> HeadwayError:
    """What a caller is told of a bug of ours, or of a codec's; for want of memory a request may be no bug's."""
    failure = OutOfMemory() if is_short_of_memory(error) else InternalError()
    failure.__cause__ = error
    return failure
