"""What the author tests. The folder is asked, not the class: its `headway.yaml` says that the file is trusted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway as hw
from headway.errors import BadInput

HERE = Path(__file__).parent
SIX = json.loads((HERE / "question.json").read_bytes())["ink"]
BLANK = [[0] * 8] * 8


@pytest.fixture(scope="module")
def ask() -> Iterator[hw.Loaded]:
    """What answers as the service does."""
    with hw.load(HERE) as loaded:
        yield loaded


def test_a_six_is_read_as_one(ask: hw.Loaded) -> None:
    reading = ask(ink=SIX)
    assert reading["digit"] == 6
    assert 0.9 < reading["chance"] <= 1


def test_a_digit_is_read_the_same_alone_and_among_others(ask: hw.Loaded) -> None:
    alone = ask(ink=SIX)
    among = ask.batch([{"ink": BLANK}, {"ink": SIX}, {"ink": BLANK}, {"ink": SIX}])
    assert [among[1]["digit"], among[3]["digit"]] == [6, 6]
    assert among[1]["chance"] == pytest.approx(alone["chance"], abs=1e-5)


def test_a_picture_of_another_size_is_refused(ask: hw.Loaded) -> None:
    with pytest.raises(BadInput, match="ink"):
        ask(ink=SIX[:7])
