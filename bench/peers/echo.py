"""A bare uvloop and httptools echo: the most that one Python process can answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers import APPS, Launch, Request, Tuning, json_body

REQUIRES = ("uvloop==0.23.0", "httptools==0.9.0")
VARIANTS: Mapping[str, Sequence[str]] = {"tiny": ("json",)}
IS_ONE_START = True
TUNING: Mapping[str, Tuning] = {"tiny": {}}
CANDIDATES: Mapping[str, Sequence[Tuning]] = {}
HAS_ANSWERS = False
FAULTS: Mapping[str, Tuning | str] = {"workers": "it has no model", "batch": "it has no model"}


def command(launch: Launch) -> Sequence[str]:
    """The app."""
    return [str(launch.python), str(APPS / "echo.py"), str(launch.port)]


def environment(launch: Launch) -> Mapping[str, str]:
    """Nothing."""
    return {}


def ask(model: str, variant: str, item: Mapping[str, Any]) -> Request:
    """The same body as the others get."""
    return Request("/", json_body(item))


def read(model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
    """Nothing to compare."""
    return []
