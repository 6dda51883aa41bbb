"""What the author tests."""

import base64
import io

import pytest
from ocr import Ocr
from PIL import Image

import headway as hw


def test_lines_are_found_and_read() -> None:
    ocr = Ocr()
    ocr.load()
    page = ocr.predict(Image.open(ocr.path("examples/receipt.png")))
    assert [(line.text, line.box) for line in page.lines] == [("d", (0, 1, 8, 2))]
    assert page.lines[0].score == pytest.approx(0.75)


def test_a_client_gets_the_page_as_json() -> None:
    with hw.load(Ocr) as ocr:
        [example] = ocr.description.examples
        page = ocr(**example, min_score=0.1)
        assert page["lines"][0]["text"] == "d"
        assert Image.open(io.BytesIO(base64.b64decode(page["preview"]))).size == (8, 4)
        assert ocr(**example, min_score=0.9)["lines"] == []


def test_an_empty_picture_is_the_callers_mistake() -> None:
    out = io.BytesIO()
    Image.new("L", (8, 4), 255).save(out, "PNG")
    with hw.load(Ocr) as ocr, pytest.raises(hw.errors.Rejected, match="no text"):
        ocr(picture=base64.b64encode(out.getvalue()).decode())
