"""Who may run in a worker at the same time: many grabs together, or one suspect alone.

A suspect was in a worker that died. If it kills this one too, nobody else may be in it by then: it waits until the
other slots have ended their grabs, and they wait until it has ended.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets the slots of one worker in; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._alone = 0
        """Suspects that are inside or wait; nobody enters before them."""
        self._is_taken = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Be inside beside others, but for suspects."""
        with self._lock:
            while self._alone:
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._alone:
                    self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside with nobody else."""
        with self._changed:
            self._alone += 1
            while self._inside or self._is_taken:
                self._changed.wait()
            self._is_taken = True
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._alone -= 1
                self._changed.notify_all()
