"""Work that goes on by itself: it is kept until it ends, and its failure is never lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)


def start(
    work: Coroutine[None, None, None],
    kept: set[asyncio.Task[None]],
    failed: Callable[[BaseException], None] | None = None,
) -> None:
    """Start a task.

    Args:
        work: what it does.
        kept: holds the task until it ends, for the loop does not.
        failed: told of the exception that ended it; by default it is logged.
    """

    def end(task: asyncio.Task[None]) -> None:
        kept.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            (failed or _log)(error)

    task = asyncio.ensure_future(work)
    kept.add(task)
    task.add_done_callback(end)


def _log(error: BaseException) -> None:
    log.error("task_failed", exc_info=error)
