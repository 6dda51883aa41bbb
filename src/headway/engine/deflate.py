"""Compress whole answers where the model runs, for callers who take it. Pure.

RFC 9110 section 12.5.3 says which coding a caller takes: gzip (RFC 1952) or deflate (RFC 1950). What a caller takes is
worked out in the gateway, by head, and travels as one word, so that callers who say it differently share an answer.
"""

import re
import zlib

from headway.protocols import JSON, Ask, Reply

CODING = ":coding"
"""The pseudo-header of an `Ask` that holds it."""
_WINDOWS = {"gzip": 31, "deflate": 15}
_LEVEL = 1
"""The quickest: a few per cent larger than the usual, in half of the time."""
_SAMPLE_BYTES = 8192
_WORTH = 0.9
"""What a sample does not shrink below, the whole would not either: pictures, and most tensors of floats."""
_QUALITY = re.compile(r"\s*q\s*=\s*(0(\.[0-9]{0,3})?|1(\.0{0,3})?)\s*", re.IGNORECASE)
_TYPES = (JSON, "application/octet-stream", "text/")


def coding_of(accept: str) -> str:
    """The coding that a caller prefers to none ("gzip" or "deflate"), or "".

    Args:
        accept: the value of Accept-Encoding.
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, parameter = part.partition(";")
        found = _QUALITY.fullmatch(parameter) if parameter else None
        if parameter and found is None:
            continue
        weights[name.strip()] = float(found[1]) if found else 1.0
    others = weights.get("*", 0.0)
    best = max(_WINDOWS, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else ""


def compressed(reply: Reply, ask: Ask, least_bytes: int) -> Reply:
    """An answer in the coding that its caller takes; as it is, where that would gain little.

    Args:
        reply: a whole answer.
        ask: what it answers.
        least_bytes: smaller ones stay as they are; 0: all do.
    """
    window = _WINDOWS.get(ask.headers.get(CODING, ""))
    body = memoryview(reply.body)
    if window is None or not least_bytes or len(body) < least_bytes:
        return reply
    if not reply.content_type.startswith(_TYPES) or not _is_worth_it(body):
        return reply
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, window)
    packed = stream.compress(body) + stream.flush()
    # RFC 9110 section 12.5.5: "An origin server SHOULD generate a Vary header field on a cacheable response".
    headers = (("content-encoding", ask.headers[CODING]), ("vary", "accept-encoding"))
    return Reply(reply.status, packed, reply.content_type, (*reply.headers, *headers))


def _is_worth_it(body: memoryview) -> bool:
    """Whether a piece of its middle shrinks."""
    start = max(0, (len(body) - _SAMPLE_BYTES) // 2)
    sample = body[start : start + _SAMPLE_BYTES]
    return len(zlib.compress(sample, _LEVEL)) < _WORTH * len(sample)
