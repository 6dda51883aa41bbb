"""The files of both pages: nothing inline, nothing from elsewhere, small, and labelled."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from headway.server.assets import Asset, load_admin_page, load_page

PAGE, ADMIN = load_page(), load_admin_page()
PAGES = {"/": PAGE, "/admin": ADMIN}
"""By the path of the page itself."""
EVERY = pytest.mark.parametrize("at", PAGES)


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: Asset) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


TAGS = {at: Tags(page[at]).found for at, page in PAGES.items()}


def scripts(page: Mapping[str, Asset]) -> Mapping[str, str]:
    return {path: asset.body.decode() for path, asset in page.items() if path.endswith(".js")}


@pytest.mark.parametrize(
    ("at", "folder", "first", "limit_bytes"),
    [("/", "page", "app.js", 150_000), ("/admin", "admin", "admin.js", 40_000)],
)
def test_page_and_what_it_needs_is_here_and_small(
    at: str, folder: str, first: str, limit_bytes: int
) -> None:
    page = PAGES[at]
    assert sum(len(asset.body) for asset in page.values()) < limit_bytes
    wanted = {a.get("href") or a.get("src") for tag, a in TAGS[at] if tag in {"link", "script"}}
    imported = {
        f"{folder}/{name}"
        for text in scripts(page).values()
        for name in re.findall(r'from "\./(.+?)"', text)
    }
    assert wanted & set(imported | {f"{folder}/{first}"}) == {f"{folder}/{first}"}
    assert {f"/{name}" for name in wanted | imported} | {at} == set(page)


@EVERY
def test_policy_allows_nothing_inline_and_nothing_from_elsewhere(at: str) -> None:
    for asset in PAGES[at].values():
        assert "default-src 'none'" in asset.policy
        assert "unsafe" not in asset.policy
        assert "http" not in asset.policy


@EVERY
def test_page_has_no_inline_script_or_style(at: str) -> None:
    for tag, attributes in TAGS[at]:
        assert tag != "style"
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "script" or "src" in attributes


@pytest.mark.parametrize("path", sorted({**PAGE, **ADMIN}))
def test_nothing_is_loaded_from_elsewhere(path: str) -> None:
    text = {**PAGE, **ADMIN}[path].body.decode().replace("http://www.w3.org/2000/svg", "")
    assert re.search(r"""https?:|["'(`]//""", text) is None


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("]
)
def test_script_sets_text_only_as_text(word: str) -> None:
    every = {**scripts(PAGE), **scripts(ADMIN)}
    assert not [path for path, text in every.items() if word in text]


@EVERY
def test_every_control_has_a_label_and_every_id_that_the_script_uses_exists(at: str) -> None:
    tags = TAGS[at]
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    labelled = {a.get("for") for tag, a in tags if tag == "label"}
    controls = {a.get("id") for tag, a in tags if tag in {"input", "select", "textarea"}}
    assert controls <= labelled
    pointed = {a.get("aria-labelledby") for _, a in tags} - {None}
    used = {
        name
        for text in scripts(PAGES[at]).values()
        for name in re.findall(r'\bat\("([^"]+)"\)', text)
    }
    assert pointed | used <= set(ids)


@EVERY
def test_tags_change_with_the_bytes(at: str) -> None:
    tags = [asset.etag for asset in PAGES[at].values()]
    assert len(set(tags)) == len(tags)
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', tag) for tag in tags)
