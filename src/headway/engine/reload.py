"""A reload: what to serve, and how, is read once more; it is taken on whole, or not at all."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from headway.config import ModelSpec, ServerSettings
from headway.engine.aside import aside
from headway.errors import HeadwayError

log = logging.getLogger(__name__)

Read = Callable[[], tuple[Sequence[ModelSpec], ServerSettings]]
"""Reads headway.yaml and the environment; raises a HeadwayError, or an OSError."""


class Reload:
    """Reads on demand, one at a time; whoever asks during a reading is served by the next one.

    Args:
        read: may take its time.
        adopt: takes on what was read; raises a HeadwayError where it can't.
    """

    def __init__(
        self, read: Read, adopt: Callable[[Sequence[ModelSpec], ServerSettings], None]
    ) -> None:
        self._read = read
        self._adopt = adopt
        self._next: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> "asyncio.Future[str]":
        """Reload soon; the future holds "" or, in words, why nothing has changed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._go_on())
        return self._next

    def stop(self) -> None:
        """Reload no more, and wait for no reading that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while self._next is not None:
            told, self._next = self._next, None
            told.set_result(await self._once())
        self._task = None

    async def _once(self) -> str:
        try:
            models, settings = await aside(self._read)
            self._adopt(models, settings)
        except HeadwayError as e:
            return _refused(e.message)
        except OSError as e:
            return _refused(str(e))
        # The outermost loop: the operator reads it, and the next reload tries again.
        except Exception:
            log.exception("reload_failed")
            return "an internal error; the server's log has it"
        return ""


def _refused(reason: str) -> str:
    log.error("reload_refused", extra={"reason": reason})
    return reason
