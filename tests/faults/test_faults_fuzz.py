"""Fuzzing: a minute for each target under Atheris; where that is not to be had, thousands of Hypothesis' inputs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(900)

HERE = Path(__file__).parent
SECONDS = int(os.environ.get("FUZZ_S", "60"))
has_atheris = importlib.util.find_spec("atheris") is not None


def fuzz(target: str) -> str:
    """Run one target; what went wrong, or nothing."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent / "e2e")])
    done = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), target, f"-max_total_time={SECONDS}"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    is_well = done.returncode == 0 and "DONE" in done.stderr
    return "" if is_well else f"{target}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.skipif(not has_atheris, reason="Atheris is not installed (pip install atheris)")
@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_a_minute_of_fuzzing_finds_nothing(target: str) -> None:
    assert fuzz(target) == ""


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_what_is_known_is_no_problem(target: str) -> None:
    count = 0
    for seed in fuzzing.seeds(target):
        fuzzing.TARGETS[target](seed)
        count += 1
    assert count >= 4


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_bytes_made_of_what_is_known_are_no_problem(target: str) -> None:
    known = sorted({seed for seed in fuzzing.seeds(target) if len(seed) < 300})[:400]

    @settings(
        max_examples=200 if has_atheris else 2000,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(st.sampled_from(known) | st.binary(max_size=8), min_size=1, max_size=3), st.data()
    )
    def play(pieces: list[bytes], data: st.DataObject) -> None:
        text = b"".join(pieces)
        at = data.draw(st.integers(0, len(text)))
        fuzzing.TARGETS[target](text[:at] + data.draw(st.binary(max_size=4)) + text[at + 1 :])

    play()
