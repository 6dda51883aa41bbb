"""The engine in this process: what `hw.load` gives, and what batch jobs and functions run."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from headway.engine.local import Loaded
from headway.forms import Subject, Way


def ways(subjects: Sequence[Subject]) -> Generator[Way, None, None]:
    """One way for each model."""
    for subject in subjects:
        yield Way(subject, "engine", _asking(subject.loaded), is_near=True)


def _asking(loaded: Loaded) -> Any:
    def ask(items: Sequence[Mapping[str, Any]]) -> list[Any]:
        return loaded.batch(items) if len(items) > 1 else [loaded(**items[0])]

    return ask
