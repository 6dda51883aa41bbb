"""A Streamlit app that `headway ui export` wrote: in a browser it asks a real server, and shows what that answers."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apps
import pytest
from chromium import looking_at
from clicking import upload
from serving import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = Path(__file__).parents[1] / "browser"
PLAYS = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("streamlit")
    for name in ("page_subjects.py", "headway.yaml"):
        shutil.copy(PAGE / name, folder)
    with serving(folder, ".") as started:
        yield started


@pytest.fixture(scope="module")
def address(server: Server) -> Iterator[str]:
    out = apps.export(server.folder, "streamlit")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = [
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
        "--server.headless",
        "true",
    ]
    command = [apps.python_of("streamlit"), "-m", "streamlit", "run", "app.py", *settings]
    url = f"http://127.0.0.1:{port}"
    with apps.running(command, out, url, HEADWAY_URL=f"http://127.0.0.1:{server.port}"):
        yield url


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    with looking_at(browser, address) as opened:
        yield opened


def choose(page: "Page", model: str) -> None:
    page.get_by_test_id("stSidebar").get_by_text(model, exact=True).click()
    page.get_by_role("heading", name=model, exact=True).wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def ask(page: "Page") -> None:
    # Who leaves a field takes its hint away, and what is below it moves.
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Ask", exact=True).click()


def test_shares_are_bars_and_what_is_refused_is_said(page: "Page") -> None:
    page.get_by_role("heading", name="shares").wait_for()
    page.get_by_label("text", exact=True).fill("so la la")
    ask(page)
    page.get_by_test_id("stVegaLiteChart").wait_for()
    page.locator("canvas, svg.marks").first.wait_for()
    apps.SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=apps.SHOTS / "streamlit.png")
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("-1")
    ask(page)
    page.get_by_text("number is below 0").wait_for()
    page.get_by_label("number", exact=True).fill("21")
    page.get_by_label("name", exact=True).fill("Zoë & <Co>")
    ask(page)
    page.get_by_test_id("stJson").get_by_text("42").wait_for()


def test_every_kind_of_input_reaches_the_model(page: "Page") -> None:
    choose(page, "everything")
    page.get_by_test_id("stDataFrame").locator("canvas").first.wait_for()
    page.get_by_label("passenger", exact=True).fill('{"name": "Bob", "age": null}')
    page.get_by_label("count", exact=True).fill("7")
    ask(page)
    page.get_by_text("Bob None second 2000-01-01 ['a'] 7 True {'a': 1.0} 0 0").wait_for()
    odd = '{"name": "Bob", "age": null, "![](x) **b**": 1}'
    page.get_by_label("passenger", exact=True).fill(odd)
    ask(page)
    page.get_by_text("![](x) **b**").last.wait_for()
    page.get_by_label("tags", exact=True).fill("[1")
    ask(page)
    page.get_by_text("Expecting ',' delimiter").wait_for()


def test_a_picture_is_uploaded_and_comes_back(page: "Page") -> None:
    import io

    import PIL.Image

    out = io.BytesIO()
    PIL.Image.new("RGB", (6, 4), (200, 0, 0)).save(out, "PNG")
    choose(page, "mirror")
    page.locator("input[type=file]").set_input_files(upload("red.png", "image/png", out.getvalue()))
    page.get_by_text("red.png").wait_for()
    ask(page)
    image = page.get_by_test_id("stImage").locator("img")
    image.wait_for()
    assert image.evaluate(PLAYS) == [6, 4]


def test_a_stream_is_written_as_it_comes(page: "Page") -> None:
    choose(page, "words")
    page.get_by_label("text", exact=True).fill("one two three")
    ask(page)
    page.get_by_text("one two three").last.wait_for()
