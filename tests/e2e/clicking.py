"""What every test of a page does: open it, choose a model, press the button. Not a test."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Locator, Page


@contextmanager
def opened(browser: "Browser", url: str) -> Iterator["Page"]:
    """A page; it must complain of nothing, ask nobody but its own server, and run no script that it was given."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    wrong: list[str] = []
    own = urlsplit(url).netloc
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: wrong.extend(_foreign(request.url, own)))
    page.on("console", lambda said: wrong.extend(_complaint(said.text)))
    page.goto(url)
    yield page
    context.close()
    assert wrong == []


def _foreign(url: str, own: str) -> list[str]:
    ours = (f"http://{own}/", "data:", f"blob:http://{own}/")
    return [] if url.startswith(ours) else [f"asked {url}"]


def _complaint(text: str) -> list[str]:
    """What a browser says of a status that a test wanted is none."""
    return [] if "Failed to load resource" in text else [f"console: {text}"]


def upload(name: str, kind: str, content: bytes) -> "FilePayload":
    """A file as a browser's picker hands it over."""
    return {"name": name, "mimeType": kind, "buffer": content}


def says(locator: "Locator", words: str) -> None:
    """Wait until an element's text begins with these words."""
    from playwright.sync_api import expect

    expect(locator).to_have_text(re.compile(f"^{re.escape(words)}"))


def choose(page: "Page", model: str) -> None:
    page.get_by_role("navigation").get_by_role("button", name=model, exact=True).click()
    says(page.locator("#name"), model)


def press(page: "Page") -> None:
    page.get_by_role("button", name="Ask", exact=True).click()


def ask(page: "Page") -> "Locator":
    """Press the button; the answer, once it is there."""
    press(page)
    says(page.locator("#latency"), "answered")
    return page.locator("#answer")
