"""What the author tests."""

import pandas as pd
import pytest
from titanic import Survival

import headway as hw


def test_a_batch_is_one_table() -> None:
    survival = Survival()
    survival.load()
    table = pd.DataFrame(
        {
            "age": [29.0, 60.0],
            "fare": [211.0, 8.0],
            "sex": ["female", "male"],
            "cabin": [None, "B5"],
        }
    )
    first, second = survival.predict(table)
    assert first > 0.5 > second


def test_the_fields_of_a_row_are_the_inputs() -> None:
    with hw.load(Survival) as survival:
        assert survival(age=29, fare=211.3, sex="female") > 0.5
        assert survival(age=60, fare=8, sex="male", cabin="B5") < 0.5
        with pytest.raises(hw.errors.BadInput, match="age"):
            survival(age=121, fare=8, sex="male")
