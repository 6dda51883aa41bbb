"""Log lines: how a record looks, and how it reaches file descriptor 2 whole.

Each record is one write, so lines of several processes never mix; it is cut, with a mark, at what a
pipe takes at once. A reader that has stopped never stops us: a line that finds the pipe full for
0.1 s is dropped, and the number of lost lines is said when there is room again. A record that can't
be written as it is never raises into the code that logged it. Not here: what is worth a line.
"""

import contextlib
import io
import itertools
import json
import logging
import math
import os
import re
import select
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["auto", "human", "json"]

ASKING: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar("asking", default=None)
"""Tells whose requests this thread works for (`asking`), to lines that do not say it themselves."""


def asking(request_ids: Sequence[str], trace_ids: Iterable[str]) -> dict[str, Any]:
    """The fields that name requests: their ids, and the traces that some of them belong to."""
    told = {"request": list(request_ids), "trace": list(dict.fromkeys(filter(None, trace_ids)))}
    return {
        f"{name}_id" if len(ids) == 1 else f"{name}_ids": ids[0] if len(ids) == 1 else ids
        for name, ids in told.items()
        if ids
    }


LINE_BYTES = 4096
"""PIPE_BUF on Linux: the longest write to a pipe that other writers can't cut in two."""
_NAME_CHARS = 60
_LONGEST_NAME = 1000
_PATIENCE_MS = 100
_CUT = "…[cut]"

_OWN_OF_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SECRET_NAME = re.compile(
    r"authorization|cookie|passw(or)?d|secret|api[-_]?key|credential|(^|[-_])token$", re.I
)
_SECRET_TEXT = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.I)
_MASK = "***"
# C0, DEL, C1, line and paragraph separators, and marks that turn the direction of text: with none
# of them a value can't end its line, colour a terminal or show other than it is.
_UNSAFE = {
    i: f"\\x{i:02x}" if i < 256 else f"\\u{i:04x}"
    for i in (*range(32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of a record a line has room for."""

    message_chars: int = 1200
    value_chars: int = 500
    trace_chars: int = 2400
    fields: int = 32
    items: int = 16
    depth: int = 3

    def halved(self) -> "_Room":
        return _Room(
            self.message_chars // 2,
            self.value_chars // 2,
            self.trace_chars // 2,
            self.fields // 2,
            self.items // 2,
            self.depth - 1,
        )


def set_up(
    format: Format = "auto", level: str = "info", stream_fd: int = 2, process: str = ""
) -> None:
    """Send every record of this process to one descriptor; call it again to change how.

    Warnings of the `warnings` module become records of the logger `py.warnings`.

    Args:
        format: how lines look; `auto` is `human` on a terminal and `json` otherwise.
        level: the least severe that is written: debug, info, warning or error.
        stream_fd: where lines go.
        process: the name of this process in each line, such as `gateway-0`.
    """
    is_terminal = os.isatty(stream_fd)
    is_json = format == "json" or (format == "auto" and not is_terminal)
    render: Callable[[logging.LogRecord, str], str] = render_json
    if not is_json:
        render = _coloured if is_terminal else render_human
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(LineWriter(stream_fd, process, render))
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def report_errors(fd: int, process: str) -> None:
    """Also write each error, as JSON, to a pipe whose reader keeps the last of them; the descriptor becomes ours.

    Args:
        fd: the pipe's writing end.
        process: the name of this process in each line.
    """
    writer = LineWriter(fd, process, render_json)
    writer.setLevel(logging.ERROR)
    os.close(fd)
    logging.getLogger().addHandler(writer)


def set_level(level: str) -> None:
    """Change the least severe level that is written: debug, info, warning or error."""
    logging.getLogger().setLevel(level.upper())


def capture_prints(logger: logging.Logger) -> None:
    """Make each line that is written to `sys.stdout` an info record of this logger."""
    sys.stdout = _Lines(logger, getattr(sys.stdout, "buffer", None))


def redirect_stdout(logger: logging.Logger | None = None) -> None:
    """Keep standard output clean: `print` goes to a logger, and descriptor 1 becomes a copy of 2.

    The second is for native libraries, which write past Python.

    Args:
        logger: takes what is printed; the logger named `print` by default.
    """
    sys.stdout.flush()
    os.dup2(2, 1)
    capture_prints(logger or logging.getLogger("print"))


class LineWriter(logging.Handler):
    """Writes each record at once, by one write: a killed process loses no line that it logged."""

    def __init__(
        self, fd: int, process: str, render: Callable[[logging.LogRecord, str], str]
    ) -> None:
        super().__init__()
        self._process = process
        self._render = render
        self._fd = _open_again(fd)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what can't be written is counted, and said later."""
        try:
            line = self._render(record, self._process)
        except Exception as e:  # noqa: BLE001  a value of the record failed; the line says so
            line = self._render(_unreadable(record, e), self._process)
        with contextlib.suppress(OSError):  # the reader is gone: there is nobody to tell
            self._report_lost()
            self._lost += not self._write(line)

    def close(self) -> None:
        """Close our copy of the descriptor."""
        super().close()
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):  # logging closes its handlers once more at exit
            os.close(fd)

    def _report_lost(self) -> None:
        if not self._lost:
            return
        text = f"{self._lost} log lines were lost: nobody read them"
        record = logging.makeLogRecord(
            {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text}
        )
        if self._write(self._render(record, self._process)):
            self._lost = 0

    def _write(self, line: str) -> bool:
        """Whether the line was written; only the first line that finds no room waits for it."""
        if not self._poll.poll(0 if self._lost else _PATIENCE_MS):
            return False
        try:
            os.write(self._fd, _bounded(line))
        except BlockingIOError:  # another process took the room
            return False
        return True


def render_json(record: logging.LogRecord, process: str) -> str:
    """Write a record as one JSON object; everything beyond ASCII is escaped."""
    room = _Room()
    while len(line := json.dumps(_fields(record, process, room)) + "\n") > LINE_BYTES:
        room = room.halved()  # the fields are cut, not the line: half an object is no JSON
    return line


def render_human(record: logging.LogRecord, process: str, colour: str = "", end: str = "") -> str:
    """Write a record for people: a line of columns, and an indented trace where there is one."""
    fields = _fields(record, process, _Room())
    when = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    for name in ("time", "pid", "process"):
        fields.pop(name)
    level, message, logger = (fields.pop(name) for name in ("level", "message", "logger"))
    trace = fields.pop("exception", "")
    if "request_id" in fields:
        fields["request_id"] = str(fields["request_id"])[:8]
    source = "" if logger.startswith("headway") else f"{logger}: "
    line = f"{when} {colour}{level:<7}{end} {_safe(process):<12} {_safe(source + message)}"
    extras = "".join(f"  {_safe(name)}={_shown(value)}" for name, value in fields.items())
    return line + extras + "".join(f"\n    | {_safe(part)}" for part in trace.splitlines()) + "\n"


def _coloured(record: logging.LogRecord, process: str) -> str:
    colour = _COLOURS.get(record.levelname.lower(), "")
    return render_human(record, process, colour, _PLAIN if colour else "")


def _fields(record: logging.LogRecord, process: str, room: _Room) -> dict[str, Any]:
    """What a line says, in its order; nothing in it is longer than there is room for."""
    own: dict[str, Any] = {
        "time": _rfc3339(record.created),
        "level": record.levelname.lower(),
        "logger": _cut(record.name, _NAME_CHARS),
        "message": _unmasked(_cut(record.getMessage(), room.message_chars)),
        "process": _cut(process, _NAME_CHARS),
        "pid": record.process or os.getpid(),
    }
    extras = {k: v for k, v in record.__dict__.items() if k not in _OWN_OF_RECORD}
    who = ASKING.get()
    if who is not None and not extras.keys() & {"request_id", "request_ids"}:
        extras |= who()
    first = {k: extras.pop(k) for k in ("request_id", "trace_id", "model") if k in extras}
    for name, value in [*first.items(), *extras.items()][: room.fields]:
        key = _cut(name if name not in own else f"{name}_", _NAME_CHARS)
        own[key] = _plain(name, value, room)
    if record.exc_info and record.exc_info[0]:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        own["exception"] = _unmasked(_cut_front(trace, room.trace_chars))
    return own


def _plain(name: str, value: object, room: _Room) -> Any:
    """A value that JSON can hold, in bounds, and without what its name says is secret."""
    if _SECRET_NAME.search(name[:_LONGEST_NAME]):
        return _MASK
    if isinstance(value, Mapping | list | tuple | set | frozenset) and room.depth > 0:
        return _plain_items(name, value, replace(room, depth=room.depth - 1))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # A huge integer has no text in Python: its size is said instead.
        return int(value) if value.bit_length() < 64 else f"int of {value.bit_length()} bits"
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return _unmasked(_cut(str(value), room.value_chars))


def _plain_items(name: str, value: Iterable[Any], room: _Room) -> Any:
    if isinstance(value, Mapping):
        pairs = itertools.islice(value.items(), room.items)
        return {_cut(str(k), _NAME_CHARS): _plain(str(k), v, room) for k, v in pairs}
    return [_plain(name, v, room) for v in itertools.islice(value, room.items)]


def _unmasked(text: str) -> str:
    """The text without a key that somebody put into a message."""
    return _SECRET_TEXT.sub(rf"\1 {_MASK}", text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + _CUT


def _cut_front(text: str, limit: int) -> str:
    """The end of a text: of a trace it is what tells most."""
    return text if len(text) <= limit else _CUT + text[len(text) - limit :]


def _safe(text: str) -> str:
    return text.translate(_UNSAFE)


def _shown(value: object) -> str:
    text = _safe(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return f'"{text}"' if isinstance(value, str) and (" " in text or not text) else text


def _rfc3339(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _bounded(line: str) -> bytes:
    raw = line.encode("utf-8", "backslashreplace")
    if len(raw) <= LINE_BYTES:
        return raw
    mark = f"{_CUT}\n".encode()
    # A character that the cut went through is left out whole.
    return raw[: LINE_BYTES - len(mark)].decode("utf-8", "ignore").encode() + mark


def _unreadable(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """A record in place of one that can't be written: what failed, and where it was logged."""
    where = f"{record.pathname}:{record.lineno}"
    text = f"a log record made at {where} can't be written: {type(error).__name__}"
    known = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
    return logging.makeLogRecord({**known, "msg": text, "created": record.created})


def _open_again(fd: int) -> int:
    """A descriptor of our own for the same file: for a pipe, one that never blocks.

    Opening a pipe anew is what makes that possible: `O_NONBLOCK` on the one that we were given
    would hold for every process that shares it.
    """
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        with contextlib.suppress(OSError):  # no /proc, or another user's pipe
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
    return os.dup(fd)


class _Lines(io.TextIOBase):
    """A text stream whose lines are records; each thread has a line of its own under way."""

    encoding = "utf-8"

    def __init__(self, logger: logging.Logger, buffer: object) -> None:
        self._logger = logger
        self._local = threading.local()
        self.buffer = buffer

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        if len(rest) >= LINE_BYTES:  # a line that never ends is cut, not kept
            lines, rest = [*lines, rest], ""
        self._local.rest = rest
        for line in lines:
            if line.strip():
                self._logger.info("%s", line.rstrip("\r"))
        return len(text)
