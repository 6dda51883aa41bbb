"""The pages for people: what they link to and the files and functions that they name are there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "headway"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]

LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
STEP = re.compile(r"`([\w/]+\.py)`,\s+`(\w+)\.(\w+)`")
MADE_UP = ("protocols/forms", "runtimes/linear", "docs/decisions/NNNN")
"""Files that a worked example tells the reader to write."""


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The ids that a forge gives to headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def named_files(page: Path) -> Iterator[str]:
    """Paths in the prose that begin with a folder of ours."""
    ours = {p.name for home in (ROOT, PACKAGE) for p in home.iterdir() if p.is_dir()}
    for span in SPAN.findall(prose(page)):
        first, slash, rest = span.partition("/")
        is_path = re.fullmatch(r"[\w./-]+", span) and slash and first in ours
        if is_path and rest and not any(made_up in span for made_up in MADE_UP):
            yield span


def pages() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def test_there_are_pages() -> None:
    assert ROOT / "README.md" in PAGES
    assert len(PAGES) > 5


@pages()
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


@pages()
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in named_files(page):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), f"there is no {name}"


@pages()
def test_every_function_that_is_named_with_its_file_is_in_it(page: Path) -> None:
    for file, owner, function in STEP.findall(prose(page)):
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        members = {
            (node.name, item.name)
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            for item in node.body
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert (owner, function) in members, f"{file} has no {owner}.{function}"


def test_the_life_of_a_request_is_told_in_eight_steps() -> None:
    text = prose(ROOT / "docs" / "explain" / "one-request.md")
    steps = re.findall(r"^(\d+)\. `([\w/]+\.py)`, `(\w+\.\w+)`", text, re.M)
    assert [int(number) for number, _, _ in steps] == list(range(1, 9))
