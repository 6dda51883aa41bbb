"""What people say of answers, in a SQLite file; as a process, what a gateway hands it, line by line.

    python -m headway.observe.feedback FILE LIMIT_BYTES [REDACT.py:FUNCTION]

Each line of standard input is a JSON object, each answered by one on standard output. It is a process of its own, since
a disk may be slow and the `redact` hook is its operator's code: no gateway waits for the one or imports the other.
Several such processes may have the same file open; what was answered `kept` survives the end of all of them.
"""

import contextlib
import importlib.util
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from headway.errors import ConfigError

Redact = Callable[[dict[str, Any]], dict[str, Any] | None]

MOST_COMMENT = 4000
"""Characters."""
MOST_NAME = 200
"""Characters of a version and a request id."""
MOST_VERSIONS = 20
"""Of each model, those of which something was said last, are counted for the page."""
_BUSY_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    id INTEGER PRIMARY KEY,
    time_s REAL NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    request_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    comment TEXT NOT NULL,
    expected TEXT,
    input TEXT NOT NULL,
    output TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS feedback_counts ON feedback (model, version, verdict);
"""
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_COLUMNS = (
    *("time_s", "model", "version", "request_id"),
    *("verdict", "comment", "expected", "input", "output"),
)


class Opinion(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says of one answer. `expected`, `input` and `output` are JSON, as they were asked and answered.

    Which answer it is of is what he says who sends it: answers are not kept, so that nobody can look it up.
    """

    model: str
    version: Annotated[str, msgspec.Meta(max_length=MOST_NAME)]
    verdict: Literal["good", "bad"]
    input: msgspec.Raw
    output: msgspec.Raw
    request_id: Annotated[str, msgspec.Meta(max_length=MOST_NAME)] = ""
    comment: Annotated[str, msgspec.Meta(max_length=MOST_COMMENT)] = ""
    expected: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Full(Exception):
    """The file has reached its bound; nothing was kept."""


@dataclass(frozen=True, slots=True)
class Row:
    """One opinion as it was kept."""

    time_s: float
    """Seconds since the epoch."""
    model: str
    version: str
    request_id: str
    verdict: str
    comment: str
    expected: str | None
    """JSON; None where nothing was said."""
    input: str
    """JSON."""
    output: str
    """JSON."""


class Store:
    """The file.

    Args:
        path: is made, readable by its user only, where it does not exist.
        limit_bytes: nothing is kept that would make it larger; 0: no bound.

    Raises:
        ConfigError: the file can't be opened, or is something else.
    """

    def __init__(self, path: str | Path, limit_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        try:
            if path != ":memory:":
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            tables = {name for (name,) in self._db.execute(_TABLES)}
            if tables and "feedback" not in tables:
                problem = f"{path} is a database of something else"
                raise ConfigError(where="`feedback`", problem=problem)
            # An answer of `kept` outlives a crash of the machine: each write is synced.
            self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
        except (OSError, sqlite3.Error) as e:
            raise ConfigError(where="`feedback`", problem=f"{path}: {e}") from e

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def keep(self, opinion: Opinion, time_s: float) -> int:
        """Keep an opinion; returns its number.

        Raises:
            Full: there is no room.
        """
        expected = None if opinion.expected is msgspec.UNSET else _text(opinion.expected)
        row = (
            *(time_s, opinion.model, opinion.version, opinion.request_id),
            *(opinion.verdict, opinion.comment, expected),
            *(_text(opinion.input), _text(opinion.output)),
        )
        size = sum(len(one.encode()) for one in row if isinstance(one, str))
        if self._limit_bytes and self._size_bytes() + size > self._limit_bytes:
            raise Full
        marks = ", ".join("?" * len(_COLUMNS))
        added = self._db.execute(
            f"INSERT INTO feedback ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608  (names of ours)
            row,
        )
        return int(added.lastrowid or 0)

    def _size_bytes(self) -> int:
        ((pages,), (free,), (size,)) = (
            self._db.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def counts(self, most_versions: int | None = None) -> dict[str, dict[str, dict[str, int]]]:
        """How many opinions there are, by model, version and verdict.

        Args:
            most_versions: of each model, those of which something was said last; None: all.
        """
        found: dict[str, dict[str, dict[str, int]]] = {}
        query = "SELECT model, version, verdict, count(*) FROM feedback GROUP BY 1, 2, 3 ORDER BY max(id) DESC"
        for model, version, verdict, count in self._db.execute(query):
            versions = found.setdefault(model, {})
            if version in versions or len(versions) != most_versions:
                versions.setdefault(version, {})[verdict] = count
        return found

    def rows(self, model: str = "") -> Iterator[Row]:
        """Everything that was kept, of one model or of all, the oldest first."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM feedback WHERE ? IN ('', model) ORDER BY id"  # noqa: S608
        for row in self._db.execute(query, (model,)):
            yield Row(*row)

    def clear(self, model: str = "") -> int:
        """Forget what was kept, of one model or of all; returns how much it was. The file shrinks."""
        gone = self._db.execute("DELETE FROM feedback WHERE ? IN ('', model)", (model,)).rowcount
        self._db.execute("VACUUM")
        return int(gone)


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


# As a process


class Question(msgspec.Struct):
    """One line to the process: an opinion to keep, or nothing but the wish to know the counts."""

    keep: Opinion | None = None


class Said(msgspec.Struct, omit_defaults=True):
    """One line of the process: what it has kept or counted, or why it has not."""

    id: int = 0
    models: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
    problem: str = ""
    reason: str = ""
    """For the log."""
    is_full: bool = False


def open_redact(place: str) -> Redact | None:
    """The hook that `FILE.py:FUNCTION` names; None for "".

    Raises:
        ConfigError: there is none.
    """
    if not place:
        return None
    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location("headway_redact", path) if path else None
    if spec is None or spec.loader is None:
        problem = f"expected FILE.py:FUNCTION, found {place!r}"
        raise ConfigError(where="`feedback_redact`", problem=problem)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        hook: Redact = getattr(module, name)
    except Exception as e:
        raise ConfigError(where="`feedback_redact`", problem=f"{place}: {e!r}") from e
    return hook


def redacted(opinion: Opinion, redact: Redact) -> Opinion | None:
    """What may be kept of an opinion; None for nothing. The hook gets and gives plain values."""
    plain = msgspec.json.decode(msgspec.json.encode(opinion))
    left = redact(plain)
    if left is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(left), type=Opinion)


def answered(line: bytes, store: Store, redact: Redact | None) -> Said:
    """The answer to a line. What a hook raises keeps the opinion from being kept."""
    question = msgspec.json.decode(line, type=Question)
    if question.keep is None:
        return _counted(store)
    try:
        opinion = redacted(question.keep, redact) if redact else question.keep
    except Exception as e:  # noqa: BLE001  (the operator's hook; told in the log)
        return Said(problem="the server's redact hook failed; nothing was kept", reason=repr(e))
    if opinion is None:
        return Said()
    try:
        return Said(id=store.keep(opinion, time.time()))
    except Full:
        return Said(problem="the server keeps no more feedback: its file is full", is_full=True)
    except sqlite3.Error as e:
        return Said(problem="the server could not keep it", reason=str(e))


def _counted(store: Store) -> Said:
    try:
        return Said(models=store.counts(MOST_VERSIONS))
    except sqlite3.Error as e:
        return Said(problem="the server could not count it", reason=str(e))


def main(argv: list[str]) -> int:
    """Be the process; ends with its standard input."""
    path, limit_bytes, place = argv
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a hook prints is no reply
    try:
        store, redact = Store(path, int(limit_bytes)), open_redact(place)
    except ConfigError as e:
        said = Said(problem="the server can't keep feedback", reason=e.message)
        replies.write(msgspec.json.encode(said) + b"\n")
        return 1
    replies.write(msgspec.json.encode(Said()) + b"\n")
    replies.flush()
    with contextlib.closing(store):
        for line in sys.stdin.buffer:
            replies.write(msgspec.json.encode(answered(line, store, redact)) + b"\n")
            replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
