"""The last errors that the processes of a server have logged, numbered, for who looks at them. No I/O.

A line is what `log.render_json` has made: bounded, and without what is secret by its name. It is read when somebody
asks, so that a flood of errors costs who keeps them little.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.observe.log import LINE_BYTES, render_json

MOST_LINES = 200


class ErrorLog:
    """The last lines.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int = MOST_LINES) -> None:
        self._lines: deque[bytes] = deque(maxlen=most)
        self.count = 0
        """How many there have been; the number of the last one."""

    def take(self, line: bytes) -> None:
        """Keep a line, in the place of the oldest where there are too many; one that is too long is none of ours."""
        if len(line) <= LINE_BYTES:
            self.count += 1
            self._lines.append(line)

    def after(self, number: int) -> Sequence[Mapping[str, Any]]:
        """The records that are kept of those that came after this number, the oldest first, with their `number`.

        Nothing keeps a predictor from writing where these lines come from: what is no record is left out.
        """
        first = self.count - len(self._lines) + 1
        lines = list(self._lines)[max(0, number + 1 - first) :]
        begin = self.count - len(lines) + 1
        records = [(n, _record(line)) for n, line in enumerate(lines, begin)]
        return [{"number": n, **record} for n, record in records if record is not None]


class Keeper(logging.Handler):
    """Keeps the errors of this process's own.

    Args:
        errors: where.
        process: the name of this process in each line.
    """

    def __init__(self, errors: ErrorLog, process: str) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors
        self._process = process

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        try:
            line = render_json(record, self._process)
        except Exception:  # noqa: BLE001  (a value of the record failed; the log's own line says so)
            return
        self._errors.take(line.encode())


def _record(line: bytes) -> Mapping[str, Any] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
