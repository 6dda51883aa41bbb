"""The site's menu: every page under docs/ has its line in mkdocs.yml, once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FRONT = "index.md"
"""Made from the README."""


class Loader(yaml.SafeLoader):
    """Reads `!ENV [NAME, default]` as a list."""


def read_list(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


Loader.add_constructor("!ENV", read_list)


def menu() -> list[Any]:
    read = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    nav: list[Any] = read["nav"]
    return nav


def pages(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for below in entry.values() if isinstance(entry, dict) else ():
        for one in below:
            yield from pages(one)


def test_every_page_is_in_the_menu_once() -> None:
    listed = Counter(page for entry in menu() for page in pages(entry))
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} | {FRONT}
    assert not there - set(listed), "give it a line under `nav` in mkdocs.yml"
    assert not set(listed) - there, "mkdocs.yml lists a page that is not there"
    assert max(listed.values()) == 1


def test_the_menu_has_its_four_parts() -> None:
    parts = [name for entry in menu() if isinstance(entry, dict) for name in entry]
    assert parts == ["Tutorials", "How-to", "Reference", "Explanation", "Decisions"]
