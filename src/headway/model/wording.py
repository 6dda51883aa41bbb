"""What msgspec says of a body that it can't read, in our words: `$.text: expected str, got int`.

Words alone, looked for once a body has been refused. Not here: whose fault it is (`errors`).
"""

import re

_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def told(error: Exception, body: bytes | memoryview = b"") -> str:
    """Say an error of msgspec's.

    Args:
        error: what it raised.
        body: what it read, where that is at hand.
    """
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "the JSON is not valid UTF-8"
    said, _, place = str(error).partition(" - at `")
    is_unsure = "truncated" in said or "escape" in said
    if "surrogate" in said or (is_unsure and _has_lone_surrogate(body)):
        return r"a string holds a lone surrogate (\ud800 to \udfff), which UTF-8 can't hold"
    if said[1:2].islower():
        said = said[:1].lower() + said[1:]
    said = said.replace("`", "")
    return f"{place.rstrip('`')}: {said}" if place else said


def _has_lone_surrogate(body: bytes | memoryview) -> bool:
    """Near a body's end msgspec takes one for the beginning of a pair that was cut off."""
    return _SURROGATE.search(_PAIR.sub(b"", body)) is not None
