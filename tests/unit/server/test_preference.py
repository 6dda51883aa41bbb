"""What a client prefers: RFC 7240."""

import pytest

from headway.server.preference import patience_s


@pytest.mark.parametrize(
    ("prefer", "waits_s"),
    [
        ("", None),
        ("respond-async", 0.0),
        ("Respond-Async", 0.0),
        ("respond-async, wait=10", 10.0),
        ("wait=10,respond-async", 10.0),
        ('respond-async; foo="some", wait = "5"', 5.0),
        ("respond-async, wait=10, wait=20", 10.0),
        ("respond-async, wait=soon", 0.0),
        ("respond-async, wait=-1", 0.0),
        ("wait=10", None),
        ("return=minimal; respond-async", None),
        ("respond-asynchronously", None),
        (", ,=;", None),
    ],
)
def test_a_preference_is_read(prefer: str, waits_s: float | None) -> None:
    assert patience_s(prefer) == waits_s
