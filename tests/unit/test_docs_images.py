"""The pictures of the docs: small, shown, and told in words to who does not see them."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
PICTURES = sorted((DOCS / "images").iterdir())


def test_pictures_are_small() -> None:
    assert PICTURES
    assert all(path.suffix == ".png" for path in PICTURES)
    assert [path.name for path in PICTURES if path.stat().st_size > 100_000] == []


def test_each_is_shown_on_a_page_and_told_in_words() -> None:
    shown = [
        ((page.parent / target).resolve(), words)
        for page in DOCS.rglob("*.md")
        for words, target in SHOWN.findall(page.read_text(encoding="utf-8"))
    ]
    ours = [(path, words) for path, words in shown if path in PICTURES]
    assert [path for path, words in ours if len(words) < 20] == []
    assert {path for path, _ in ours} == set(PICTURES)
