"""The predictor: an annotated function, which both servers call."""

from typing import Any


def mood(text: str, scale: float = 1.0) -> dict[str, Any]:
    """Tell the mood of a text."""
    if text == "fail":
        raise RuntimeError("the secret of /srv")
    return {"text": text.upper(), "joy": text.count("joy") * scale, "words": text.split()}
