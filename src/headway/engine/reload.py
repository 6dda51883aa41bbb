"""A reload: what to serve, and how, is read once more; it is taken on whole, or not at all, or one model of it is."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from headway.config import ModelSpec, ServerSettings
from headway.engine.aside import aside
from headway.errors import HeadwayError

log = logging.getLogger(__name__)

Read = Callable[[], tuple[Sequence[ModelSpec], ServerSettings]]
"""Reads headway.yaml and the environment; raises a HeadwayError, or an OSError."""
Adopt = Callable[[Sequence[ModelSpec], ServerSettings, str], None]
"""Takes on what was read, of the model that is named alone or, for "", all of it; raises a HeadwayError if it can't."""


class Reload:
    """Reads on demand, one at a time; whoever asks during a reading is served by the next one.

    Args:
        read: may take its time.
        adopt: takes on what was read.
    """

    def __init__(self, read: Read, adopt: Adopt) -> None:
        self._read = read
        self._adopt = adopt
        self._next: dict[str, asyncio.Future[str]] = {}
        """By what is to be taken on."""
        self._task: asyncio.Task[None] | None = None

    def ask(self, model: str = "") -> "asyncio.Future[str]":
        """Reload soon, a model or all; the future holds "" or, in words, why nothing has changed."""
        if model not in self._next:
            self._next[model] = asyncio.get_running_loop().create_future()
        told = self._next[model]
        if self._task is None:
            self._task = asyncio.create_task(self._go_on())
        return told

    def stop(self) -> None:
        """Reload no more, and wait for no reading that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while self._next:
            asked, self._next = self._next, {}
            found: tuple[Sequence[ModelSpec], ServerSettings] | str
            try:
                found = await aside(self._read)
            # Told below; the outermost loop, so that the next reload tries again.
            except Exception as e:  # noqa: BLE001
                found = _refused(e)
            for model, told in asked.items():
                told.set_result(found if isinstance(found, str) else self._take_on(*found, model))
        self._task = None

    def _take_on(self, models: Sequence[ModelSpec], settings: ServerSettings, model: str) -> str:
        try:
            self._adopt(models, settings, model)
        # As above.
        except Exception as e:  # noqa: BLE001
            return _refused(e)
        return ""


def _refused(error: Exception) -> str:
    """Why, for the log and for who has asked; a bug of ours is told to the log alone."""
    if not isinstance(error, HeadwayError | OSError):
        log.error("reload_failed", exc_info=error)
        return "an internal error; the server's log has it"
    reason = error.message if isinstance(error, HeadwayError) else str(error)
    log.error("reload_refused", extra={"reason": reason})
    return reason
