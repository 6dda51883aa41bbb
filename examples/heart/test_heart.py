"""What the author tests."""

from typing import Any

import pytest
from heart import Heart

import headway as hw
from headway.errors import BadInput

SICK: dict[str, Any] = dict(Heart.examples[0]) | {
    "chest_pain": "asymptomatic",
    "has_angina_by_exercise": True,
    "vessels": 3,
    "thal": "reversable defect",
}
WELL: dict[str, Any] = dict(Heart.examples[0]) | {
    "age": 35.0,
    "sex": "female",
    "chest_pain": "non-anginal",
    "rest_ecg": "normal",
    "st_depression": 0.0,
    "st_slope": "upsloping",
    "thal": "normal",
}


def test_who_has_all_the_signs_is_more_likely_ill() -> None:
    with hw.load(Heart) as ask:
        sick, well = ask.batch([SICK, WELL])
    assert sick["narrowed"] > 0.9
    assert well["narrowed"] < 0.1
    assert sick["narrowed"] + sick["open"] == pytest.approx(1)


def test_what_is_unknown_may_be_left_out() -> None:
    known = {name: value for name, value in SICK.items() if name not in ("vessels", "thal")}
    with hw.load(Heart) as ask:
        assert 0.5 < ask(**known)["narrowed"] < ask(**SICK)["narrowed"]


def test_who_stands_beside_a_patient_changes_nothing() -> None:
    with hw.load(Heart) as ask:
        alone = ask(**SICK)
        among = ask.batch([WELL, SICK, WELL])[1]
    assert alone == pytest.approx(among)


@pytest.mark.parametrize(
    ("name", "value"),
    [("age", 3), ("sex", "unknown"), ("cholesterol", "high"), ("vessels", 4), ("smokes", True)],
)
def test_what_no_patient_can_have_is_refused_by_its_name(name: str, value: Any) -> None:
    with hw.load(Heart) as ask, pytest.raises(BadInput, match=name):
        ask(**{**SICK, name: value})
