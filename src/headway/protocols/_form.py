"""multipart/form-data (RFC 7578) as parts. Not a protocol by itself: several take it.

The parser is `multipart`, in its strict mode, with our limits. Not here: what a part means to an input.
"""

from headway.errors import BadInput, TooLarge
from headway.model.media import Part, safe_name

MAX_PARTS = 1000
MAX_HEADERS = 8
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY = 70
"""RFC 2046, section 5.1.1: "no more than 70 characters"."""


def read_parts(content_type: str, body: bytes | memoryview) -> list[tuple[str, Part]]:
    """The parts of a form by their names, in order.

    Raises:
        BadInput: it is no form, or not whole.
        TooLarge: it has more parts, or more or larger headers, than the limit.
    """
    import multipart  # noqa: PLC0415  (only forms owe its import)

    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if (
        not boundary.isascii()
        or not boundary.isprintable()
        or not 0 < len(boundary) <= MAX_BOUNDARY
    ):
        raise _bad(f"a boundary of 1 to {MAX_BOUNDARY} characters", repr(boundary[:40]))
    whole = bytes(body)
    mark = b"--" + boundary.encode()
    # What stands before the first boundary and behind the last is nobody's: it is not read over.
    if not whole.startswith(mark) or not whole[-len(mark) - 6 :].rstrip().endswith(mark + b"--"):
        raise _bad(
            "a form from its first boundary to its last", "something else, or its end missing"
        )
    parser = multipart.PushMultipartParser(
        boundary,
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
        max_segment_count=MAX_PARTS,
        strict=True,
    )
    try:
        with parser:
            return _parts(parser.parse(whole))
    except multipart.MultipartError as e:
        said, is_too_large = str(e)[:80], isinstance(e, multipart.ParserLimitReached)
        # The parser and its error hold each other, and the body, in a circle that only the collector would find.
        e.__traceback__ = parser.error = None
    if is_too_large:
        limits = f"{MAX_PARTS} parts, {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in each"
        raise TooLarge(f"form: expected at most {limits}; {said}")
    raise _bad("multipart/form-data", said)


def _parts(events: object) -> list[tuple[str, Part]]:
    parts: list[tuple[str, Part]] = []
    head, pieces = None, []
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, bytes):
            pieces.append(event)
        elif event is not None:
            head, pieces = event, []
        else:
            assert head is not None
            name = safe_name(head.filename or "", f"file of part {head.name[:40]!r}")
            parts.append((head.name, Part(b"".join(pieces), name, head.content_type or "")))
    return parts


def _bad(expected: str, found: str) -> BadInput:
    return BadInput(where="form", expected=expected, found=found)
