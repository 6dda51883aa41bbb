"""What a test needs that may not be installed: skipped by a developer, a failure in CI."""

import importlib
import os
from typing import Any

import pytest


def need(name: str) -> Any:
    """Import a module that a test can't do without.

    In CI everything is installed, so what is missing there is a mistake and no reason to skip.
    """
    if os.environ.get("CI"):
        return importlib.import_module(name)
    return pytest.importorskip(name)
