"""What a client prefers, by its `Prefer` header (RFC 7240). Pure."""

import re

_SECONDS = re.compile(r"[0-9]{1,6}")


def patience_s(prefer: str) -> float | None:
    """How long a client wants to wait before it is told where to ask again; None: for the answer, as usual.

    Section 2: "If any preference is specified more than once, only the first instance is to be considered"; what
    is not understood is ignored.
    """
    given: dict[str, str] = {}
    for part in prefer.split(","):
        name, _, value = part.partition(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    if "respond-async" not in given:
        return None
    wait = given.get("wait", "")
    return float(wait) if _SECONDS.fullmatch(wait) else 0.0
