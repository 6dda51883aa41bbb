"""What gRPC codecs share: how an answer and an error are told. Not a protocol by itself.

Specification: grpc.io, "gRPC over HTTP2" and "Status codes and their use in gRPC". A reply's body is one message
without its five bytes in front; its status travels as the headers `grpc-status` and `grpc-message`, which the front
(`server.grpc`) puts behind the message, where gRPC has them. Not here: HTTP/2, lengths, compression.
"""

import functools
from collections.abc import Mapping, Sequence

from headway import errors, plugins
from headway.errors import HeadwayError
from headway.protocols import Reply, headers_of, public_message, status_of
from headway.protocols._schema import Schema

GRPC = "application/grpc"
CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 1, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 7, 8, 12, 13
UNAVAILABLE, UNAUTHENTICATED = 14, 16

_STATUS: Mapping[type[HeadwayError], int] = {
    errors.Unauthorized: UNAUTHENTICATED,
    errors.UnknownModel: NOT_FOUND,
    errors.UnknownVersion: NOT_FOUND,
    errors.UnknownPath: UNIMPLEMENTED,
    errors.MethodNotAllowed: UNIMPLEMENTED,
    errors.TooLarge: RESOURCE_EXHAUSTED,
    errors.UnsupportedMedia: UNIMPLEMENTED,
    errors.ForeignOrigin: PERMISSION_DENIED,
    errors.Misdirected: PERMISSION_DENIED,
    errors.Cancelled: CANCELLED,
    errors.NotOffered: UNIMPLEMENTED,
    errors.CallerError: INVALID_ARGUMENT,
    errors.QueueFull: RESOURCE_EXHAUSTED,
    errors.BusyError: UNAVAILABLE,
    errors.GivenUp: UNAVAILABLE,
    errors.DeadlineError: DEADLINE_EXCEEDED,
    errors.WorkerError: UNAVAILABLE,
    errors.HeadwayError: INTERNAL,
}


def done(message: bytes) -> Reply:
    """An answer."""
    return Reply(200, message, GRPC)


def failed(error: HeadwayError, text: str = "") -> Reply:
    """An error as a status, with the message that a caller may read, or another text."""
    status = next(_STATUS[c] for c in type(error).__mro__ if c in _STATUS)
    told = (("grpc-status", str(status)), ("grpc-message", text or public_message(error)))
    return Reply(status_of(error), b"", GRPC, told + headers_of(error))


@functools.cache
def schemas() -> Sequence[Schema]:
    """What all gRPC codecs speak: their `SCHEMA`."""
    modules = (plugins.load("protocols", name) for name in plugins.in_turn("protocols"))
    return [module.SCHEMA for module in modules if hasattr(module, "SCHEMA")]
