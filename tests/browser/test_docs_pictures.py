"""The pictures of the docs are taken here; `scripts/pictures` puts them into docs/images."""

import hashlib
import io
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import PIL.ImageDraw
import pytest
from clicking import ask, choose, opened, says, upload
from serving import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

SHOTS = Path(__file__).parents[2] / "build" / "screenshots" / "docs"
TOKEN = "hw_an-operators-token"
YAML = """
server:
  {admin_address: "127.0.0.1:0", admin_token_file: tokens.txt, admin_page: true, feedback: said.db}
workers: 1
models:
  sentiment: {predictor: "shown.py:sentiment", workers: 2}
  rent: {predictor: "shown.py:rent"}
  story: {predictor: "shown.py:story"}
  shapes: {predictor: "shown.py:shapes"}
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shown")
    shutil.copy(Path(__file__).with_name("shown.py"), folder)
    folder.joinpath("headway.yaml").write_text(YAML)
    folder.joinpath("tokens.txt").write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    with serving(folder, ".") as started:
        yield started


@pytest.fixture
def page(browser: "Browser", shown: Server) -> Iterator["Page"]:
    with opened(browser, f"http://127.0.0.1:{shown.port}/") as page:
        page.set_viewport_size({"width": 760, "height": 900})
        page.wait_for_selector("#model:not([hidden])")
        yield page


def take(page: "Page", name: str, first: str, last: str) -> None:
    """A picture from one element to another."""
    boxes = [page.locator(selector).bounding_box() for selector in (first, last)]
    assert boxes[0]
    assert boxes[1]
    top, bottom = boxes[0]["y"] - 8, boxes[1]["y"] + boxes[1]["height"] + 12
    scrolled = page.evaluate("window.scrollY")
    width = page.evaluate("document.documentElement.clientWidth")
    part: FloatRect = {"x": 0, "y": top + scrolled, "width": width, "height": bottom - top}
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True, clip=part)


def test_an_answer_and_what_is_said_of_it(page: "Page") -> None:
    choose(page, "sentiment")
    page.get_by_label("text", exact=True).fill("A joy from start to end, and never late.")
    ask(page)
    page.get_by_role("button", name="Wrong").click()
    page.get_by_label("The right answer is").fill("positive")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Kept. Thank you.").wait_for()
    take(page, "page", "header", "#feedback")


def test_a_stream(page: "Page") -> None:
    choose(page, "story")
    assert "answered at once." in ask(page).inner_text()
    take(page, "stream", "#name", "#answer")


def test_many_rows(page: "Page") -> None:
    choose(page, "rent")
    rows = "\n".join(["rooms,area", *(f"{1 + i % 5},{30 + i % 90}" for i in range(240)), "0,80"])
    page.get_by_label("A file of rows").set_input_files(
        upload("flats.csv", "text/csv", rows.encode())
    )
    page.get_by_text("241 of 241 rows, 1 refused").wait_for()
    page.get_by_role("button", name="Save the answers as CSV").wait_for()
    take(page, "rows", "#rows", "#rows")


def test_boxes_on_a_picture(page: "Page") -> None:
    choose(page, "shapes")
    photo = PIL.Image.new("RGB", (480, 240), "#dbe4ee")
    draw = PIL.ImageDraw.Draw(photo)
    draw.ellipse((58, 58, 192, 182), fill="#2f6f8f")
    draw.rectangle((274, 70, 412, 170), fill="#8a9a5b")
    out = io.BytesIO()
    photo.save(out, "PNG")
    page.get_by_label("photo").set_input_files(upload("shapes.png", "image/png", out.getvalue()))
    page.wait_for_selector(".view img")
    ask(page).get_by_role("img", name="2 boxes: circle, square").wait_for()
    take(page, "boxes", "#answer", "#answer")


def test_the_operators_page(browser: "Browser", shown: Server) -> None:
    with opened(browser, shown.info["admin_page"]) as page:
        page.set_viewport_size({"width": 1000, "height": 900})
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Use this token").click()
        card = page.get_by_role("region", name="sentiment", exact=True)
        told = card.locator("dl div").filter(has=page.get_by_text("requests", exact=True))
        sizes = itertools.cycle((1, 1, 2, 1, 3, 8, 4, 1, 6, 2, 12, 5))
        total = shown.metric("requests_total", model="sentiment")
        for burst in (8, 30, 55, 24, 70, 45, 62):
            for _ in range(burst):
                shown.ask("sentiment", [{"text": "fine"}] * next(sizes))
            total += burst
            says(told.locator("dd"), f"{total:.0f}")
        shown.ask("sentiment", {"text": "fail"})
        page.get_by_text("predict_failed").wait_for()
        take(page, "admin", "header", "#models > :first-child")


def test_the_first_project(browser: "Browser", tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headway", "init", str(tmp_path / "my-model")]
    subprocess.run(command, check=True, capture_output=True)
    with (
        serving(tmp_path / "my-model", ".") as server,
        opened(browser, f"http://127.0.0.1:{server.port}/") as page,
    ):
        page.set_viewport_size({"width": 760, "height": 900})
        page.wait_for_selector("#model:not([hidden])")
        page.get_by_label("text", exact=True).fill("my card was charged twice")
        ask(page)
        take(page, "quickstart", "header", "#answer")
