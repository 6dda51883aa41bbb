"""The site is built strictly by `scripts/site`; its links lead somewhere, and it asks for nothing from elsewhere.

Its tools have an environment of their own, which CI makes and a developer has after `make site`.
"""

import os
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 240

pytestmark = pytest.mark.timeout(300)


def build(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(ROOT / "scripts" / "site"), *arguments],
        env={k: v for k, v in os.environ.items() if k != "HEADWAY_SOURCE_URL"},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it."""
    if not (ROOT / ".venv-docs").exists() and not os.environ.get("CI"):
        pytest.skip("the site's tools are not installed: make site")
    made = tmp_path_factory.mktemp("site")
    done = build("--site-dir", str(made))
    assert done.returncode == 0, done.stdout + done.stderr
    return made


class Links(HTMLParser):
    """What a page links to, what it fetches by itself, and the ids in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a":
            self.links.append(given.get("href", "#"))
        elif tag == "link":
            self.fetched.append(given["href"])
        elif "src" in given:
            self.fetched.append(given["src"])


def test_every_page_is_built_and_the_readme_is_the_front(site: Path) -> None:
    built = {str(page.parent.relative_to(site)) for page in site.rglob("index.html")}
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert {str(p.parent if p.stem == "index" else p.with_suffix("")) for p in sources} < built
    assert "From a trained model to a fast, safe service" in (site / "index.html").read_text()
    assert "open_model" in (site / "search" / "search_index.json").read_text()


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        outside = [url for url in Links(page).fetched if urlsplit(url).netloc]
        assert not outside, f"{page.relative_to(site)} fetches {outside}"


def test_every_link_of_the_site_leads_to_a_page_and_a_heading(site: Path) -> None:
    read = {page: Links(page) for page in site.rglob("index.html")}
    for page, found in read.items():
        for link in (urlsplit(link) for link in found.links):
            if link.scheme:
                continue
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.relative_to(site)}: {link.path} leads nowhere"
            if link.fragment:
                assert unquote(link.fragment) in read[target].ids, f"{link.fragment} is no heading"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("wrong", ["[x](nowhere.md)", "[x](index.md#nothing)", "[x](../gone.py)"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{wrong}\n", encoding="utf-8")
    settings = tmp_path / "mkdocs.yml"
    settings.write_text(f"INHERIT: {ROOT}/mkdocs.yml\nhooks: []\nnav: [index.md]\n")
    done = build("--config-file", str(settings))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Aborted with 1 warnings in strict mode" in done.stdout + done.stderr
