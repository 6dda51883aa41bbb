"""What the site does to the pages, as a hook of MkDocs: the README is its front page, and every link leads somewhere.

A link to a file that is no page of the site (an example, a script) leads to `source_url`, or is told as its path.
What leads nowhere is left as it is, for MkDocs to complain of.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
FRONT: Final = "index.md"
LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Make the README the front page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, FRONT, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn a page's links as they work in the repository into links as they work in the site."""
    at = page.file.src_uri
    home = ROOT if at == FRONT else (DOCS / at).parent
    source_url = str(config.extra["source_url"]).rstrip("/")

    def turned(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        path = (home / target).resolve()
        if path.is_relative_to(DOCS) or not path.exists():
            return f"[{words}]({os.path.relpath(path, (DOCS / at).parent)}{anchor})"
        name = path.relative_to(ROOT)
        return f"[{words}]({source_url}/{name}{anchor})" if source_url else f"{words} (`{name}`)"

    return LINK.sub(turned, markdown)
