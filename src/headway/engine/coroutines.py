"""The one event loop of a worker on which an async predictor's coroutines run, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any


class Coroutines:
    """A running loop; slots of any thread wait on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="coroutines", daemon=True
        )
        self._thread.start()

    def await_all(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Run coroutines beside each other; returns each one's value, or its exception in its place."""

        async def gather() -> list[Any]:
            return await asyncio.gather(*map(_outcome, coroutines))

        return asyncio.run_coroutine_threadsafe(gather(), self._loop).result()

    def close(self) -> None:
        """Stop the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _outcome(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returned or raised; a SystemExit that left its task would end the loop."""
    try:
        return await coroutine
    except asyncio.CancelledError:
        return RuntimeError("the predictor's coroutine was cancelled")
    # Whoever waits raises it again, in the slot's thread.
    except BaseException as e:  # noqa: BLE001
        return e
