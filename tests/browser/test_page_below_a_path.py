"""The page behind a reverse proxy that shows it below a path: it, its files, and all that it asks."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clicking import ask, choose, opened, says, upload
from proxying import proxying
from serving import Answer, Server, call, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATH = "/team/a"


@pytest.fixture(scope="module")
def rooted(make_project: Callable[[], Path]) -> Iterator[Server]:
    """A server that knows below which path it is shown."""
    folder = make_project()
    with serving(folder, ".", "--root-path", PATH, "--feedback", str(folder / "b.db")) as started:
        yield started


@pytest.fixture(params=["stripped", "left in, and known", "stripped, and known"])
def place(request: pytest.FixtureRequest, server: Server, rooted: Server) -> Iterator[str]:
    """Where a proxy shows a server."""
    is_known = request.param.endswith("known")
    port = (rooted if is_known else server).port
    with proxying(port, PATH, is_stripping=request.param.startswith("stripped")) as shown:
        yield f"http://127.0.0.1:{shown}{PATH}/"


@pytest.fixture
def page(browser: "Browser", place: str) -> Iterator["Page"]:
    with opened(browser, place) as page:
        page.wait_for_selector("#model:not([hidden])")
        yield page


def test_all_that_the_page_does_goes_below_the_path(page: "Page", place: str) -> None:
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: failed.extend([answer.url] * (answer.status >= 400)))
    page.reload()
    page.wait_for_selector("#model:not([hidden])")
    # asking, and feedback
    page.get_by_label("text", exact=True).fill("so la la")
    assert ask(page).locator("meter").count() == 3
    page.get_by_role("button", name="Right").click()
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Kept. Thank you.").wait_for()
    # a stream
    choose(page, "words")
    page.get_by_label("text", exact=True).fill("one two three")
    assert ask(page).locator(".text").inner_text().split() == ["one", "two", "three"]
    # rows
    choose(page, "double")
    rows = upload("r.csv", "text/csv", b"number,name\n1,a\n2,b\n")
    page.get_by_label("A file of rows").set_input_files(rows)
    page.get_by_text("2 of 2 rows").wait_for()
    assert [url for url in asked if not url.startswith(place)] == []
    assert failed == []


def test_links_lead_below_the_path(page: "Page", place: str) -> None:
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("21")
    page.get_by_label("name", exact=True).fill("x")
    page.get_by_role("button", name="Copy a link").click()
    page.get_by_text("The link is copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{place}#double?input=")
    for name in ("OpenAPI", "Metrics"):
        url = page.get_by_role("link", name=name).evaluate("link => link.href")
        assert page.request.get(url).status == 200
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("#model:not([hidden])")
    assert page.get_by_label("number", exact=True).input_value() == "21"
    assert ask(page).locator("dd").first.inner_text() == "42"


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_program_that_is_shown_asks_below_the_path(page: "Page", language: str) -> None:
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("21")
    page.get_by_label("name", exact=True).fill("x")
    programs = page.get_by_role("group", name="The same as a program")
    programs.get_by_role("button", name=language).click()
    code = page.locator("#code").inner_text()
    assert f"{PATH}" in code
    command = ["bash", "-c", f"{code} -s"] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(ran.stdout) if language == "curl" else eval(ran.stdout)
    assert answer == {"number": 42, "name": "x"}


def test_an_answer_that_names_an_address_names_one_below_the_path(rooted: Server) -> None:
    body = json.dumps({"number": 1, "name": "x"}).encode()
    headers = {"content-type": "application/json", "prefer": "respond-async"}
    with proxying(rooted.port, PATH, is_stripping=False) as port:
        accepted = call_once(port, "POST", f"{PATH}/models/double/predict", body, headers)
        assert accepted.status == 202
        assert call_once(port, "GET", accepted.headers["location"]).status == 200
        moved = call_once(port, "GET", PATH)
        assert (moved.status, moved.headers["location"]) == (308, f"{PATH}/")
        document = call_once(port, "GET", f"{PATH}/openapi.json").json
        assert document["servers"] == [{"url": PATH}]


def call_once(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        return call(connection, method, path, body, headers)


def test_who_asks_beside_the_path_is_answered_too(rooted: Server) -> None:
    assert rooted.call("GET", "/health/ready").status == 200
    assert rooted.call("GET", f"{PATH}/health/ready").status == 200
    assert rooted.call("GET", f"{PATH}/nowhere").status == 404
    assert rooted.call("GET", f"{PATH}ish/health/ready").status == 404
    assert rooted.call("GET", f"{PATH}{PATH}/health/ready").status == 404


def test_the_page_without_the_slash_finds_it(browser: "Browser", rooted: Server) -> None:
    with opened(browser, f"http://127.0.0.1:{rooted.port}{PATH}") as page:
        page.wait_for_selector("#model:not([hidden])")
        says(page.locator("#name"), "shares")
        assert page.url.startswith(f"http://127.0.0.1:{rooted.port}{PATH}/#")
