"""The page's files: nothing inline, nothing from elsewhere, small, and labelled."""

import re
from html.parser import HTMLParser

import pytest

from headway.server.assets import load_page

PAGE = load_page()


class Tags(HTMLParser):
    """Every tag of the page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(PAGE["/"].body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


TAGS = Tags().found


def test_page_and_what_it_needs_is_here_and_small() -> None:
    assert set(PAGE) == {"/", "/page/app.js", "/page/style.css", "/page/icon.svg"}
    assert sum(len(asset.body) for asset in PAGE.values()) < 60_000
    wanted = {a.get("href") or a.get("src") for tag, a in TAGS if tag in {"link", "script"}}
    assert wanted == {path.removeprefix("/") for path in PAGE} - {""}


def test_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    for asset in PAGE.values():
        assert "default-src 'none'" in asset.policy
        assert "unsafe" not in asset.policy
        assert "http" not in asset.policy


def test_page_has_no_inline_script_or_style() -> None:
    for tag, attributes in TAGS:
        assert tag != "style"
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "script" or "src" in attributes


@pytest.mark.parametrize("path", sorted(PAGE))
def test_nothing_is_loaded_from_elsewhere(path: str) -> None:
    text = PAGE[path].body.decode().replace("http://www.w3.org/2000/svg", "")
    assert re.search(r"""https?:|["'(`]//""", text) is None


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("]
)
def test_script_sets_text_only_as_text(word: str) -> None:
    assert word not in PAGE["/page/app.js"].body.decode()


def test_every_control_has_a_label_and_every_id_that_the_script_uses_exists() -> None:
    ids = [a["id"] for _, a in TAGS if "id" in a]
    assert len(ids) == len(set(ids))
    labelled = {a.get("for") for tag, a in TAGS if tag == "label"}
    controls = {a.get("id") for tag, a in TAGS if tag in {"input", "select", "textarea"}}
    assert controls <= labelled
    pointed = {a.get("aria-labelledby") for _, a in TAGS} - {None}
    used = set(re.findall(r'\bat\("([^"]+)"\)', PAGE["/page/app.js"].body.decode()))
    assert pointed | used <= set(ids)


def test_tags_change_with_the_bytes() -> None:
    tags = [asset.etag for asset in PAGE.values()]
    assert len(set(tags)) == len(tags)
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', tag) for tag in tags)
