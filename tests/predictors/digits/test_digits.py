"""What the author tests."""

import numpy as np
from digits import Digits

import headway as hw


def drawn(digit: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    pixels = np.zeros((1, 28, 28), np.float32)
    pixels[0, digit] = 255
    return pixels


def test_a_batch_of_arrays_is_one_array() -> None:
    digits = Digits()
    digits.load()
    scores = digits.predict(np.stack([drawn(3), drawn(7)]))
    assert scores.argmax(axis=1).tolist() == [3, 7]


def test_a_client_sends_lists() -> None:
    with hw.load(Digits) as digits:
        scores = digits(pixels=drawn(5).tolist())
        assert len(scores) == 10
        assert scores.index(max(scores)) == 5
        many = digits.batch([{"pixels": drawn(n)} for n in range(10)])
        assert [row.index(max(row)) for row in many] == list(range(10))
