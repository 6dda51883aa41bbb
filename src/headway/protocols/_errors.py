"""What becomes of an error in every dialect: its status, its headers, and what a caller may read. Not a protocol."""

from collections.abc import Mapping
from types import MappingProxyType

from headway import errors
from headway.errors import HeadwayError
from headway.model.call import Call, Result

_STATUS: Mapping[type[HeadwayError], int] = {
    errors.Unauthorized: 401,
    errors.UnknownModel: 404,
    errors.UnknownVersion: 404,
    errors.UnknownPath: 404,
    errors.UnknownJob: 404,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.Unsupported: 501,
    errors.AdminOnly: 403,
    errors.AlreadyLoaded: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.ForeignOrigin: 403,
    errors.Misdirected: 421,
    errors.NoHandshake: 426,
    errors.Cancelled: 499,
    errors.NotOffered: 501,
    errors.CallerError: 400,
    errors.QueueFull: 429,
    errors.BusyError: 503,
    errors.GivenUp: 503,
    errors.DeadlineError: 504,
    errors.WorkerError: 503,
    errors.HeadwayError: 500,
}
_TOLD = (
    errors.CallerError,
    errors.BusyError,
    errors.DeadlineError,
    errors.OutOfMemory,
    errors.BadOutput,
    errors.ModelCrashed,
    errors.GivenUp,
    errors.WorkerLost,
    errors.JobLost,
    errors.ServerStopped,
)
"""Errors whose messages are our words; others may hold a path or the text of an exception."""


def status_of(
    error: HeadwayError, own: Mapping[type[HeadwayError], int] = MappingProxyType({})
) -> int:
    """The HTTP status of an error: that of its nearest class in a dialect's own table, or in the one table."""
    known = next(c for c in type(error).__mro__ if c in own or c in _STATUS)
    return own[known] if known in own else _STATUS[known]


def headers_of(error: HeadwayError) -> tuple[tuple[str, str], ...]:
    """The headers that an error's status asks for (RFC 9110 sections 10.2.3, 10.2.1, 11.6.1 and 15.5.22)."""
    if isinstance(error, errors.BusyError):
        return (("retry-after", str(max(1, round(error.retry_after_s)))),)
    if isinstance(error, errors.MethodNotAllowed):
        return (("allow", str(error.fields.get("allow", ""))),)
    if isinstance(error, errors.NoHandshake):
        return (("upgrade", "websocket"), ("sec-websocket-version", "13"))
    if isinstance(error, errors.Unauthorized):
        return (("www-authenticate", "Bearer"),)
    return ()


def public_message(error: HeadwayError) -> str:
    """What a caller may read of an error: its message, or a set phrase where that could leak."""
    if isinstance(error, _TOLD):
        text = error.message
    elif isinstance(error, errors.ModelError):
        text = errors.ModelFailed().message
    else:
        text = errors.InternalError().message
    return f"row {error.fields['row']}: {text}" if "row" in error.fields else text


def row_error(call: Call, result: Result) -> HeadwayError:
    """The error that stands for a request of which some rows failed: the first row's, naming it."""
    row = min(result.errors)
    error = result.errors[row]
    if call.is_single:
        return error
    told = type(error)(error.message, **{**error.fields, "row": row})
    told.__cause__ = error
    return told
