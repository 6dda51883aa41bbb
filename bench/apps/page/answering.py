"""What the page is timed with: an answer at once, a large answer at once, and one that takes its time."""

import time


def label(text: str) -> dict[str, float]:
    """Tell how long a text is, as bars."""
    long = min(len(text) / 50, 1.0)
    return {"long": long, "short": 1 - long}


def rows(text: str) -> list[dict[str, float | str]]:
    """Two hundred rows, as a table."""
    return [{"text": text, "number": i / 7, "square": float(i * i)} for i in range(200)]


def slow(text: str) -> str:
    """Answer after a twentieth of a second."""
    time.sleep(0.05)
    return text
