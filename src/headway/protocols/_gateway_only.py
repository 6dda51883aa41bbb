"""What gRPC services have in common that the gateway answers alone: no worker is asked. Not a protocol by itself."""

from typing import Any

from headway.errors import HeadwayError, UnknownPath
from headway.model.call import Call, Result
from headway.protocols import Ask, Reply, Wire, row_error
from headway.protocols._grpc import GRPC

__all__ = ["chunk", "chunk_error", "decode", "encode", "stream_type"]


def decode(ask: Ask, wire: Wire) -> Call:
    """No worker is asked. Raises UnknownPath."""
    raise UnknownPath


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """No worker answers. Raises a row's error, or UnknownPath."""
    raise row_error(call, result) if result.errors else UnknownPath()


def stream_type(ask: Ask) -> str:
    """A stream is one of messages."""
    return GRPC


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """No worker answers. Raises UnknownPath."""
    raise UnknownPath


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """An error is a status, and no message."""
    return b""
