"""What an answer means: a value, rows that may have failed, or an error of the tree by its code. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from headway import errors
from headway.client.message import Answer
from headway.errors import BadAnswer, HeadwayError

JSON: Final = "application/json"
_SHOWN: Final = 200
"""Characters of a foreign body that an error shows."""


def _tree(branch: type[HeadwayError]) -> Iterator[type[HeadwayError]]:
    yield branch
    for below in branch.__subclasses__():
        yield from _tree(below)


_CLASSES: Final[Mapping[str, type[HeadwayError]]] = MappingProxyType(
    {kind.code: kind for kind in reversed(list(_tree(HeadwayError)))}
)
_BY_STATUS: Final[Mapping[int, type[HeadwayError]]] = MappingProxyType(
    {
        400: errors.BadInput,
        401: errors.Unauthorized,
        404: errors.UnknownPath,
        405: errors.MethodNotAllowed,
        413: errors.TooLarge,
        415: errors.UnsupportedMedia,
        421: errors.Misdirected,
        429: errors.QueueFull,
        503: errors.BusyError,
        504: errors.DeadlineError,
    }
)
"""What a status alone tells, where an answer has no code (V2's have none)."""


def read_value(answer: Answer, url: str) -> Any:
    """The JSON value of a good answer.

    Raises:
        HeadwayError: what the server told, or BadAnswer where what answered is not Headway.
    """
    if answer.status != 200:
        raise read_error(answer, url)
    if answer.media != JSON:
        raise _foreign(answer, url)
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise _foreign(answer, url) from e


def read_rows(answer: Answer, url: str) -> list[Any]:
    """The rows of a good answer to `errors=item`: each row's answer, or the error that stands for it."""
    rows = read_value(answer, url)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _foreign(answer, url)
    return [row["output"] if "output" in row else _told(row, answer.headers, 200) for row in rows]


def read_item(line: bytes, answer: Answer, url: str) -> Any:
    """One line of a stream.

    Raises:
        HeadwayError: the line is the error that ended the stream.
    """
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        found = f"a line of a stream that is no JSON ({line[:_SHOWN]!r})"
        raise BadAnswer(url=url, found=found) from e


def stream_error(item: Any, answer: Answer) -> HeadwayError | None:
    """The error that a stream's last line tells, if it is one; only the server's own form is."""
    is_error = isinstance(item, dict) and item.keys() == {"error", "code", "request_id"}
    if not is_error or item["request_id"] != answer.headers.get("x-request-id"):
        return None
    return _told(item, answer.headers, answer.status)


def read_error(answer: Answer, url: str) -> HeadwayError:
    """The error that an answer tells."""
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return _told(body, answer.headers, answer.status)
    if answer.status in (429, 503):  # whoever says it, it means the same
        found = {"error": _found(answer, url), "code": ""}
        return _told(found, answer.headers, answer.status)
    return _foreign(answer, url)


def _told(body: Mapping[str, Any], headers: Mapping[str, str], status: int) -> HeadwayError:
    code = str(body.get("code", ""))
    kind = _CLASSES.get(code) or _BY_STATUS.get(status) or _of_class(status)
    request_id = str(body.get("request_id") or headers.get("x-request-id", ""))
    fields: dict[str, Any] = {"status": status, "request_id": request_id}
    if issubclass(kind, errors.BusyError):
        fields["retry_after_s"] = _retry_after_s(headers)
        fields["is_foreign"] = not code and status != 429
    error = kind(str(body["error"]), **fields)
    error.code = code or kind.code
    error.add_note(f"HTTP status {status}, request id {request_id or 'unknown'}")
    return error


def _of_class(status: int) -> type[HeadwayError]:
    return errors.CallerError if 400 <= status < 500 else errors.HeadwayError


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After; 0 where there is none, or a date, which no clock here is trusted for."""
    text = headers.get("retry-after", "").strip()
    is_number = text.isascii() and text.isdigit() and len(text) < 8
    return float(text) if is_number else 0.0


def _foreign(answer: Answer, url: str) -> BadAnswer:
    return BadAnswer(url=url, found=_found(answer, url), status=answer.status)


def _found(answer: Answer, url: str) -> str:
    shown = " ".join(answer.body[:_SHOWN].decode("utf-8", "replace").split())
    text = "".join(c if c.isprintable() else "?" for c in shown)
    return f"{answer.status} with {answer.media or 'no content type'} ({text!r})"
