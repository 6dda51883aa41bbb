"""What a caller is told of what a predictor raised, and what is not the predictor's to raise."""

import threading
from typing import Any

from headway.errors import HeadwayError, InternalError, ModelFailed
from headway.model.marks import Reject
from headway.model.output import rejected


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


def told(error: BaseException) -> HeadwayError:
    """What a caller is told of an exception of the predictor's."""
    if isinstance(error, HeadwayError):
        return error
    if isinstance(error, Reject):
        return rejected(error)
    failure = ModelFailed()
    failure.__cause__ = error
    return failure


def internal(error: Exception) -> InternalError:
    """What a caller is told of a bug of ours, or of a codec's."""
    failure = InternalError()
    failure.__cause__ = error
    return failure
