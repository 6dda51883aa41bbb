"""What the author tests."""

import json
from pathlib import Path

import pytest

import headway as hw
from headway.errors import BadInput

HERE = Path(__file__).parent
ILL, WELL = json.loads((HERE / "question.json").read_bytes())


def test_who_has_the_worse_findings_is_told_the_larger_number() -> None:
    with hw.load(HERE / "diabetes.lgb") as ask:
        ill, well = ask.batch([ILL, WELL])
    assert 346 > ill > well > 25


def test_a_patient_alone_is_told_what_he_is_told_among_others() -> None:
    with hw.load(HERE / "diabetes.lgb") as ask:
        assert ask(**WELL) == pytest.approx(ask.batch([ILL, WELL, ILL])[1])


def test_a_column_that_lacks_is_refused() -> None:
    with hw.load(HERE / "diabetes.lgb") as ask, pytest.raises(BadInput, match="features"):
        ask(features=ILL["features"][:9])
