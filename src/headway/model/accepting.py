"""Which content type a caller prefers, by its Accept header (RFC 9110 section 12.5.1)."""

from collections.abc import Mapping, Sequence

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


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The content type that a caller wants most of those offered, the first of equals; "" where it accepts none.

    Args:
        accept: the header; "" accepts anything.
        offered: content types in lower case.
    """
    if not accept.strip():
        return offered[0]
    ranges: dict[str, float] = {}
    for line in accept.split(","):
        media, *parameters = [part.strip().lower() for part in line.split(";")]
        ranges[media] = max(_weight(parameters), ranges.get(media, 0.0))
    weights = [_weight_of(media, ranges) for media in offered]
    return offered[weights.index(max(weights))] if max(weights) > 0 else ""


def _weight_of(media: str, ranges: Mapping[str, float]) -> float:
    """That of the most specific range that a content type is in: "the most specific reference has precedence"."""
    wide = f"{media.partition('/')[0]}/*"
    return next((ranges[r] for r in (media, wide, "*/*") if r in ranges), 0.0)


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
