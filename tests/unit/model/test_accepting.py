"""Which of several content types a caller wants (RFC 9110 section 12.5.1)."""

import pytest

from headway.model.accepting import chosen

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        (" ", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("application/*;q=0.2, application/x-npy;q=0.1, text/csv;q=0.15", JSON),
        ("application/json;q=0, application/*", NPY),
        ("text/csv;q=0.3, application/x-npy;q=0.9", NPY),
        ("text/csv;header=absent;q=0.3, application/x-npy;q=0.2", CSV),
        ("image/png, */*;q=0.1", JSON),
        ("*/*;q=0", ""),
        ("image/png", ""),
        ("application/json;q=0, text/*;q=0, application/x-npy;q=0", ""),
        ("text/csv;q=much", CSV),
        (",,;", ""),
    ],
)
def test_the_most_specific_range_and_then_the_largest_weight_decide(
    accept: str, expected: str
) -> None:
    assert chosen(accept, (JSON, CSV, NPY)) == expected
