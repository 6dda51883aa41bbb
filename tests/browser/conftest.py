"""A real server and a real Chromium for the tests of the page; a page that asks anybody else fails its test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clicking import opened
from serving import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes a folder with all subjects and their settings."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("page")
        for name in ("page_subjects.py", "headway.yaml"):
            shutil.copy(HERE / name, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def server(make_project: Callable[[], Path]) -> Iterator[Server]:
    """All subjects, with feedback kept."""
    folder = make_project()
    with serving(folder, ".", "--feedback", str(folder / "said.db")) as started:
        yield started


@pytest.fixture
def page(browser: "Browser", server: Server) -> Iterator["Page"]:
    """The page of the server."""
    with opened(browser, f"http://127.0.0.1:{server.port}/") as page:
        page.wait_for_selector("#model:not([hidden])")
        yield page
