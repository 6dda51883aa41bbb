"""What all Hugging Face Spaces share: the head of README.md, files kept by LFS, how one is pushed. No plugin.

Source: <https://huggingface.co/docs/hub/spaces-config-reference> (2026-08): "Spaces are configured through the YAML
block at the top of the README.md file at the root of the repository."
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from headway.errors import TargetError
from headway.targets import Page

PORT: Final = 7860
BUNDLE: Final = "bundle"
"""The folder of a Space that the project lies in, so that its files meet none of the Space's own."""
COLOURS: Final = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS: Final = ("gradio", "docker", "static")
MOST_DESCRIPTION: Final = 60
"""Characters of `short_description`."""
_PYTHON: Final = re.compile(r"3\.\d+(\.\d+)?")
_HEADERS: Final = (
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
)
_TEXTS: Final = frozenset(
    {".py", ".txt", ".yaml", ".yml", ".json", ".jsonl", ".csv", ".md", ".toml", ".js", ".mjs"}
)


@dataclass(frozen=True, slots=True)
class Card:
    """The head of a Space's README.md."""

    title: str
    sdk: str
    short_description: str = ""
    emoji: str = "🚀"
    color_from: str = "indigo"
    color_to: str = "blue"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`sdk_version`, `python_version`, `app_file`, `app_port`, `custom_headers`: as the SDK has them."""

    def head(self) -> dict[str, Any]:
        """Its keys and values, in the order in which they are written."""
        return {
            "title": self.title,
            "emoji": self.emoji,
            "colorFrom": self.color_from,
            "colorTo": self.color_to,
            "sdk": self.sdk,
            **self.settings,
            "pinned": False,
            "short_description": textwrap.shorten(
                self.short_description, MOST_DESCRIPTION, placeholder=" ..."
            ),
        }


def problems(head: Mapping[str, Any]) -> list[str]:
    """What a Space's head may not say; none for one that is right."""
    found = [f"{key} is missing" for key in ("title", "emoji", "sdk") if not head.get(key)]
    found += [
        f"{key} is {head[key]!r}, none of {', '.join(COLOURS)}"
        for key in ("colorFrom", "colorTo")
        if head.get(key) not in COLOURS
    ]
    sdk = head.get("sdk")
    if sdk not in SDKS:
        found.append(f"sdk is {sdk!r}, none of {', '.join(SDKS)}")
    needed = {"gradio": ("sdk_version", "python_version", "app_file"), "docker": ("app_port",)}
    found += [f"{key} is missing" for key in needed.get(str(sdk), ()) if key not in head]
    if not _PYTHON.fullmatch(str(head.get("python_version", "3.11"))):
        found.append(f"python_version is {head['python_version']!r}, not as 3.11")
    if not all(isinstance(head.get(k, ""), str) for k in ("sdk_version", "python_version")):
        found.append("a version is a number: 3.10 would be 3.1")
    if len(str(head.get("short_description", ""))) > MOST_DESCRIPTION:
        found.append(f"short_description has more than {MOST_DESCRIPTION} characters")
    unknown = set(head.get("custom_headers", ())) - set(_HEADERS)
    return found + [f"the header {name} can't be set" for name in sorted(unknown)]


def readme(card: Card, body: str) -> bytes:
    """README.md: the head, and what people read."""
    head = card.head()
    if wrong := problems(head):
        raise TargetError(f"the head of the Space's README.md would be refused: {'; '.join(wrong)}")
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n{body}".encode()


def described(page: Page) -> str:
    """A line about what is shown."""
    lines = page.models[0].description.doc.strip().splitlines() if len(page.models) == 1 else []
    return lines[0] if lines else f"{len(page.models)} models"


def attributes(names: Iterable[str]) -> bytes:
    """.gitattributes: what is no text is kept by LFS, as the Hub wants files of more than 10 MB to be."""
    endings = sorted({PurePosixPath(name).suffix for name in names} - _TEXTS - {""})
    return "".join(
        f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in endings
    ).encode()


def bundled(page: Page) -> dict[str, Any]:
    """The project's files, in the folder that they have in a Space."""
    return {f"{BUNDLE}/{name}": path for name, path in page.files.items()}


def lines(page: Page) -> bytes:
    """requirements.txt of what serves the models."""
    return "".join(f"{line}\n" for line in page.requirements).encode()


def pushed(folder: str, sdk: str) -> Sequence[str]:
    """How it becomes a Space."""
    return (
        f"hf repo create YOU/NAME --repo-type space --space-sdk {sdk}      # once; pip install huggingface_hub",
        f"hf upload YOU/NAME {folder} . --repo-type space",
    )
