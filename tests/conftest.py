"""What holds for every test: none fails because a machine is slow. And the browser, one for all that look at pages."""

import gc
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

# A shell's job in the background ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Ten thousand tests stay: the collector need not look at them again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium."""
    from chromium import chromium

    with chromium() as started:
        yield started
