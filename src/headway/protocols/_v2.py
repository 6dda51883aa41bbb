"""What V2's protocols over REST share: how they tell an error. Not a protocol by itself.

Specification: kserve/open-inference-protocol (2025-05), specification/protocol/inference_rest.md, below "OIP".
"""

from collections.abc import Mapping

import msgspec

from headway.errors import HeadwayError, QueueFull
from headway.protocols import JSON, Ask, Reply, headers_of, public_message, status_of

STATUSES: Mapping[type[HeadwayError], int] = {QueueFull: 503}


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error; a full queue is 503, as in Triton."""
    # OIP: '"error" : The descriptive message for the error.'
    status = status_of(error, STATUSES)
    body = msgspec.json.encode({"error": public_message(error)})
    return Reply(status, body, JSON, headers_of(error))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream of events."""
    return b"data: " + render(ask, error).body + b"\n\n"


def stream_type(ask: Ask) -> str:
    """A stream's items are server-sent events."""
    return "text/event-stream; charset=utf-8"
