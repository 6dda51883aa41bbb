"""Inflate request bodies where the model runs, in bounded steps. Pure.

RFC 9110 section 8.4.1: gzip (RFC 1952) and deflate (RFC 1950). A body never grows past its limit in memory, and
a coding applied twice is refused. Section 12.5.3: "identity" is "a synonym for "no encoding""; some clients name it.
"""

import zlib

from headway.errors import BadInput, TooLarge, UnsupportedMedia

_STEP_BYTES = 2**20
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15, "identity": 0}


def check_coding(coding: str) -> int:
    """The window of zlib for a content coding; 0 for one that leaves the body as it is.

    Raises:
        UnsupportedMedia: a coding that is not spoken here, or several.
    """
    window = _WINDOWS.get(coding.strip(" \t").lower())
    if window is None:
        raise UnsupportedMedia(what="content coding", found=coding, expected="gzip or deflate")
    return window


def inflate(body: bytes | memoryview, coding: str, limit_bytes: int) -> bytes | memoryview:
    """Undo a request's content coding.

    Raises:
        UnsupportedMedia: a coding that is not spoken here, or several.
        TooLarge: more than `limit_bytes` come out.
        BadInput: the body is damaged, cut short, or has something behind its end.
    """
    window = check_coding(coding)
    if not window:
        return body
    stream = zlib.decompressobj(window)
    out, size, rest = [], 0, bytes(body)
    while not stream.eof:
        try:
            piece = stream.decompress(rest, _STEP_BYTES)
        except zlib.error as e:
            raise BadInput(f"body: expected {coding} data, found something else ({e})") from e
        rest = stream.unconsumed_tail
        size += len(piece)
        if size > limit_bytes:
            raise TooLarge(what="the inflated body", limit_bytes=limit_bytes)
        if not piece and not rest and not stream.eof:
            raise BadInput(f"body: expected whole {coding} data, found it cut short")
        out.append(piece)
    if stream.unused_data:
        raise BadInput(
            f"body: found {len(stream.unused_data)} bytes behind the end of the {coding} data"
        )
    return b"".join(out)
