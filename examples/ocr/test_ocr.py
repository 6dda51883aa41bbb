"""What the author tests."""

from pathlib import Path

import pytest
from ocr import Ocr, Page, fitting
from PIL import Image

import headway as hw

RECEIPT_PNG = Path(__file__).with_name("receipt.png")


@pytest.fixture(scope="module")
def model() -> Ocr:
    """A model that has loaded."""
    made = Ocr()
    made.load()
    return made


def words(page: Page) -> str:
    """All that was read, as one text."""
    return " ".join(line.text for line in page.lines)


def drawn() -> str:
    """What the receipt says."""
    goods = "2 rye loaves 9.80 1 plum cake 4.50 Total 14.30"
    return f"CORNER BAKERY {goods} Thank you, come again!"


def test_every_word_of_the_receipt_is_read(model: Ocr) -> None:
    assert words(model.predict(Image.open(RECEIPT_PNG))) == drawn()


def test_a_receipt_that_stands_on_its_head_is_read_from_the_bottom(model: Ocr) -> None:
    turned = Image.open(RECEIPT_PNG).rotate(180)
    read = words(model.predict(turned))
    assert sorted(read.split()) == sorted(drawn().split())


def test_boxes_lie_in_the_picture_around_dark_pixels(model: Ocr) -> None:
    picture = Image.open(RECEIPT_PNG).convert("L")
    for line in model.predict(picture).lines:
        left, top, right, bottom = line.box
        assert 0 <= left < right <= picture.width
        assert 0 <= top < bottom <= picture.height
        darkest, _ = picture.crop(line.box).getextrema()
        assert isinstance(darkest, float | int)
        assert darkest < 128


def test_an_empty_picture_has_no_lines(model: Ocr) -> None:
    assert model.predict(Image.new("RGB", (200, 100), "white")).lines == []


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (5000, 40), (640, 420)])
def test_any_picture_is_looked_at_in_a_size_that_the_network_can_divide(
    size: tuple[int, int],
) -> None:
    width, height = fitting(*size)
    assert width % 32 == height % 32 == 0
    assert 32 <= max(width, height) <= 2016


def test_only_lines_that_are_sure_enough_are_told() -> None:
    with hw.load(Ocr) as ask:
        all_lines = ask(picture=RECEIPT_PNG)["lines"]
        sure = ask(picture=RECEIPT_PNG, min_score=0.999)["lines"]
    assert 0 < len(sure) < len(all_lines)
    assert all(line["score"] >= 0.999 for line in sure)
