"""The histogram against exact percentiles."""

import math

from hypothesis import given
from hypothesis import strategies as st

from headway.traffic.histogram import Histogram, lower, merged, middle

DURATIONS = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    found = Histogram()
    for value in values:
        found.add(value)
    return found


@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_within_one_percent_of_the_exact_one(
    values: list[int], share: float
) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    assert abs(histogram_of(values).quantile(share) - exact) <= exact * 0.01


@given(DURATIONS, DURATIONS)
def test_merging_is_counting_together(first: list[int], second: list[int]) -> None:
    assert merged([histogram_of(first), histogram_of(second)]) == histogram_of(first + second)


@given(st.integers(0, 10**15))
def test_a_bucket_holds_what_was_put_in(value: int) -> None:
    (bucket,) = histogram_of([value]).counts
    assert lower(bucket) <= value < lower(bucket + 1)
    assert lower(bucket) <= middle(bucket) < lower(bucket + 1)


@given(DURATIONS)
def test_the_maximum_and_the_mean_are_exact(values: list[int]) -> None:
    found = histogram_of(values)
    assert found.quantile(1.0) == max(values)
    assert math.isclose(found.mean_ns, sum(values) / len(values))


def test_nothing_counted_is_zero() -> None:
    assert Histogram().quantile(0.99) == 0
    assert Histogram().mean_ns == 0
