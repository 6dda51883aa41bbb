"""Items of a stream, each read by its own field, from text and from bytes."""

import io
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import headway as hw
from headway.errors import BadInput
from headway.model.signature import read_signature

Samples = Annotated[NDArray[np.int16], hw.Tensor("int16", None)]


def of_numbers(items: Iterator[int]) -> Iterator[int]:
    raise NotImplementedError


def of_samples(items: Iterator[Samples]) -> Iterator[int]:
    raise NotImplementedError


def of_bytes(items: Iterator[bytes]) -> Iterator[int]:
    raise NotImplementedError


def of_pictures(items: Iterator[Image.Image]) -> Iterator[int]:
    raise NotImplementedError


def field_of(function: Any) -> Any:
    fed = read_signature(function).fed
    assert fed is not None
    return fed.field


def test_text_is_json() -> None:
    assert field_of(of_numbers).read(b"5", True) == 5
    assert field_of(of_samples).read(b"[1, -2]", True).tolist() == [1, -2]
    assert field_of(of_bytes).read(b'"AAE="', True) == b"\x00\x01"


def test_bytes_are_the_items_own() -> None:
    samples = field_of(of_samples).read(np.array([1, -2], "<i2").tobytes(), False)
    assert (samples.dtype, samples.tolist()) == (np.dtype(np.int16), [1, -2])
    assert field_of(of_bytes).read(b"\x00", False) == b"\x00"
    picture = io.BytesIO()
    Image.new("L", (3, 2)).save(picture, "PNG")
    assert field_of(of_pictures).read(picture.getvalue(), False).size == (3, 2)


@pytest.mark.parametrize(
    ("function", "data", "is_text"),
    [
        (of_numbers, b"", True),
        (of_numbers, b"\xff", True),
        (of_numbers, b"1 2", True),
        (of_numbers, b'"5"', True),
        (of_numbers, b"[" * 100_000, True),
        (of_numbers, b"\x05", False),
        (of_samples, b"[40000]", True),
        (of_samples, b"[[1]]", True),
        (of_samples, b"\x00\x00\x00", False),
        (of_bytes, b'"no base64"', True),
        (of_pictures, b"no picture", False),
    ],
)
def test_what_is_no_such_item_is_refused(function: Any, data: bytes, is_text: bool) -> None:
    with pytest.raises(BadInput):
        field_of(function).read(data, is_text)


def test_a_request_that_holds_all_items_has_a_list_of_them() -> None:
    assert field_of(of_numbers).schema() == {"type": "array", "items": {"type": "integer"}}
