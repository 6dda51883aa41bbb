"""Schedules, and differences of runs: seen where they are, seldom where they are not."""

import itertools
import math
import random

import pytest

from headway.errors import ConfigError
from headway.traffic import report, schedule, units
from headway.traffic.compare import compare
from headway.traffic.plan import Run, Slice
from headway.traffic.target import read_headers, read_target


def made(seed: int, factor: float = 1.0, seconds: int = 20) -> Run:
    """A run of log-normal latencies, 200 answers a second, that drifts a little from second to second."""
    source = random.Random(seed)
    run = Run(duration_s=seconds, elapsed_s=seconds)
    for _ in range(seconds):
        part = Slice(answered=source.randint(180, 220))
        drift = source.gauss(0, 0.05)
        for _ in range(part.answered):
            part.latency.add(int(1e6 * factor * math.exp(source.gauss(drift, 0.3))))
        run.slices.append(part)
    return run


def test_runs_alike_are_seldom_told_apart() -> None:
    seen = dict.fromkeys(("answers/s", "p50 ms", "p99 ms"), 0)
    for seed in range(12):
        for difference in compare(made(seed), made(1000 + seed), seed):
            if difference.name in seen:
                seen[difference.name] += difference.is_seen
    assert all(count <= 3 for count in seen.values()), (
        seen
    )  # of a 95 % interval 0.6 of 12 are expected


def test_a_difference_is_seen_with_its_size_in_the_interval() -> None:
    found = {d.name: d for d in compare(made(1), made(2, factor=1.3))}
    assert found["p50 ms"].is_seen
    assert found["p99 ms"].is_seen
    assert found["p50 ms"].low < 0.3 < found["p50 ms"].high
    assert not found["answers/s"].is_seen


def test_a_comparison_is_the_same_each_time() -> None:
    assert compare(made(1), made(2)) == compare(made(1), made(2))


def test_too_short_a_run_is_told_rather_than_judged() -> None:
    found = compare(made(1, seconds=2), made(2))
    assert not any(d.is_seen for d in found)
    assert "too few" in report.told(found[0])


def test_answers_after_the_end_count_in_latency_and_not_in_throughput() -> None:
    calm, late = made(1), made(1)
    late.slices.append(Slice(answered=400))
    for _ in range(400):
        late.slices[-1].latency.add(10**10)
    late.elapsed_s += 10
    found = {d.name: d for d in compare(calm, late)}
    assert found["answers/s"].change == 0
    assert found["p99 ms"].after > 1000


def test_constant_times_are_even_and_random_ones_have_the_rate_and_a_seed() -> None:
    assert list(itertools.islice(schedule.constant(4), 3)) == [0, 0.25, 0.5]
    times = list(itertools.islice(schedule.poisson(100, 7), 10_000))
    assert times == sorted(times)
    assert times[-1] == pytest.approx(100, rel=0.05)
    assert times == list(itertools.islice(schedule.poisson(100, 7), 10_000))


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1.5", 1.5), ("50 µs", 5e-5)]
)
def test_durations_are_read(text: str, expected: float) -> None:
    assert units.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "x", "-1s", "5 parsecs", "1e9", "nan"])
def test_what_is_no_duration_or_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        units.seconds(text)
    with pytest.raises(ValueError, match="expected a share"):
        units.share(text)


def test_a_url_names_a_model_or_a_path() -> None:
    assert read_target("127.0.0.1:8000").is_whole_server
    found = read_target("https://h/models/a%20b/versions/2/predict")
    assert (found.model, found.version, found.port) == ("a b", "2", 443)
    assert read_target("http://h:1/score?x=1").path == "/score?x=1"


@pytest.mark.parametrize(
    "url", ["ftp://h", "http://", "http://h:99999", "http://u:p@h", "http://h/a b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        read_target(url)


def test_a_header_can_not_become_two() -> None:
    with pytest.raises(ConfigError):
        read_headers(["x: y\r\nz: 1"], "")
