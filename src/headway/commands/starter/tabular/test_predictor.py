"""What the predictor promises (run: python -m pytest)."""

import pytest
from predictor import Flat, Rent

import headway as hw


def test_a_flat_of_the_table_costs_about_what_it_says() -> None:
    with hw.load(Rent) as ask:
        rent = ask(flat={"area": 70.0, "rooms": 3, "has_balcony": True})
    assert rent == pytest.approx(1160, rel=0.05)


def test_a_larger_flat_costs_more() -> None:
    predictor = Rent()
    predictor.load()
    small, large = predictor.predict([Flat(50, 2), Flat(80, 2)])
    assert small < large


def test_a_flat_without_any_area_is_refused() -> None:
    with hw.load(Rent) as ask, pytest.raises(hw.errors.BadInput, match="area"):
        ask(flat={"area": 0.0, "rooms": 1})
