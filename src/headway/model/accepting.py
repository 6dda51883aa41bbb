"""Which content type a caller prefers, by its Accept header (RFC 9110 section 12.5.1)."""

from collections.abc import Sequence

_JSON = ("application/json", "application/*", "*/*")


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The content type of an answer.

    Args:
        accept: the header; "" accepts anything.
        offered: content types besides JSON.

    Returns:
        One of those offered where the caller prefers it to JSON; else "", and so where it accepts neither:
        an answer in JSON says more than a refusal.
    """
    best, best_weight = "", 0.0
    for line in accept.split(",") if any(media in accept.lower() for media in offered) else ():
        media, *parameters = [part.strip().lower() for part in line.split(";")]
        weight = _weight(parameters)
        if (media in offered or media in _JSON) and weight > best_weight:
            best, best_weight = media, weight
    return best if best in offered else ""


def _weight(parameters: Sequence[str]) -> float:
    """Its q; 1 where it has none or a wrong one."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
