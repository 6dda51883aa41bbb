"""Annotations as strings (`from __future__ import annotations`) mean the same."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw
from headway.model.signature import read_signature


class Doubled(hw.Predictor):
    """Twice as much."""

    def predict(
        self,
        x: Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")],
        context: hw.Context,
    ) -> hw.Batch[int | hw.Reject]:
        return [int(v) * 2 for v in x]


def test_annotations_as_strings_are_read() -> None:
    signature = read_signature(Doubled)
    assert signature.is_batched
    assert signature.context == "context"
    assert signature.parameters[0].field.dtype == "int64"
