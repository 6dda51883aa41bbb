"""What runs beside the loop: its value or its exception comes back, and no end waits for it."""

import asyncio
import threading
import time

import pytest

from headway.engine.aside import aside


def test_a_value_and_an_exception_come_back_and_the_loop_goes_on_meanwhile() -> None:
    async def act() -> None:
        may_end = threading.Event()
        asked = asyncio.gather(aside(lambda: may_end.wait(10)))
        await asyncio.sleep(0)
        may_end.set()
        assert (await asked)[0] is True
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 / 0)

    asyncio.run(act())


def test_a_loop_ends_though_the_work_hangs() -> None:
    """And what comes of the work then goes nowhere."""
    is_begun, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        is_begun.set()
        may_end.wait(20)

    async def act() -> None:
        hanging = asyncio.gather(aside(hang))
        await asyncio.sleep(0)
        is_begun.wait(10)
        hanging.cancel()

    started = time.monotonic()
    try:
        asyncio.run(act())
        assert time.monotonic() - started < 5
        (thread,) = [t for t in threading.enumerate() if t.name == "aside"]
        assert thread.daemon, "the interpreter's end does not wait for it either"
    finally:
        may_end.set()
    thread.join(10)
    assert not thread.is_alive()
