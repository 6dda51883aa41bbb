"""Work that may hang, on a disk for instance, goes on beside the loop; no end of a process waits for it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Run something in a thread of its own; who is cancelled meanwhile leaves it behind.

    An executor's threads won't do: the loop's end and the interpreter's end wait for them.
    """
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            value = work()
        # Whoever waits raises it again.
        except BaseException as e:  # noqa: BLE001
            future.set_exception(e)
        else:
            future.set_result(value)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await asyncio.wrap_future(future)
