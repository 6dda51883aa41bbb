"""A reader who does what a page says, in a folder of their own: writes files, types lines, asks servers. Not a test.

The word behind the fence decides. None, `sh` or `bash`: lines for a shell, in which `headway serve` starts a real
server for what follows. `python`: a file, if the first line is `# name.py` or the page's `Story` says so, else a
program. `json`, `yaml`, `toml`: read; a file too, if the first line is `# name.yaml`. `text`: what a program shows, or
a drawing.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from serving import Server, serving

from headway import config
from headway.model import project

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```", re.M | re.S)
FILE_NAME = re.compile(r"# ([\w/]+\.(?:py|yaml))$", re.M)
ADDRESS = re.compile(r"(?<![\w.])(localhost|127\.0\.0\.1):8000\b")
ADMIN = re.compile(r"/run/user/1000/headway/admin-127\.0\.0\.1-8000\.sock")
ADMIN_ADDRESS = "http://127.0.0.1:9000"
TYPED = re.compile(r"^(curl|headway|pip|python) ", re.M)
LINE_TIMEOUT_S = 60
CURL = "fail-with-body\nsilent\nshow-error\nmax-time = 30\n"
"""An answer that is no 2xx is an error, as a reader would see."""


def nothing(folder: Path) -> None:
    """An empty folder."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a page takes for granted, and which of its snippets are not simply run.

    Snippets, and lines of a shell, are named by how they begin.
    """

    folder: Callable[[Path], None] = nothing
    """Puts there what is there before the page begins."""
    serves: str = ""
    """The line that starts the server which the page takes for granted: typed before the first who asks one."""
    not_run: Mapping[str, str] = field(default_factory=dict)
    """What can't be run here, and why."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Python that the page's words tell to write into a file."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Python that shows lines of a file of this repository: a line that ends in `...` is one that goes on."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """What a reader puts in the place of a text."""
    then: Sequence[str] = ()
    """Lines that a reader would type at the end, to see that it works."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """`{folder}` stands for the folder."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block."""

    place: str
    language: str
    text: str

    @property
    def is_read_only(self) -> bool:
        """It needs no story: it is read, or shown."""
        return self.language in {"json", "yaml", "toml", "text"}


def snippets_of(page: Path) -> Iterator[Snippet]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        place = f"{os.path.relpath(page, ROOT)}:{line}"
        yield Snippet(place, found[2] or "sh", textwrap.dedent(found[3]))


def lines_of(text: str) -> Iterator[str]:
    """What is typed at once: a line, with those that continue it; no comments."""
    typed = ""
    for line in text.splitlines():
        typed += line + "\n"
        try:
            is_whole = not line.endswith("\\")
            has_words = bool(shlex.split(typed, comments=True))
        except ValueError:  # a quotation goes on
            continue
        if is_whole:
            if has_words:
                yield typed.strip()
            typed = ""
    assert not typed, f"a quotation or a line does not end: {typed}"


class Reader:
    """Somebody who follows a page. Use as a context manager: at the end the server is stopped, in good order."""

    def __init__(self, folder: Path, story: Story) -> None:
        self.home = self.at = folder
        self.story = story
        self.server: Server | None = None
        self.servers = ExitStack()
        self.unused = {*story.not_run, *story.files, *story.parts, *story.instead}
        (folder / ".curlrc").write_text(CURL)
        story.folder(folder)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.servers.close()

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADWAY_", "PYTEST_"))}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        own = {k: v.format(folder=self.home) for k, v in self.story.environment.items()}
        return {**kept, "PATH": path, "CURL_HOME": str(self.home), "NO_COLOR": "1", **own}

    def follow(self, page: Path) -> None:
        """Do all that the page shows.

        Raises:
            AssertionError: something does not do what the page says; names the place.
        """
        for snippet in snippets_of(page):
            try:
                self.do(snippet)
            except Exception as e:
                e.add_note(f"at {snippet.place}")
                raise
        for line in self.story.then:
            self.type(line)
        assert not self.unused, f"{page.name} has nothing (any more) that begins with {self.unused}"

    def do(self, snippet: Snippet) -> None:
        """Do what one snippet says."""
        if snippet.language in {"sh", "bash"}:
            for line in lines_of(snippet.text):
                if not self.named(self.story.not_run, line):
                    self.type(line)
        elif self.named(self.story.not_run, snippet.text):
            return
        elif snippet.language == "python":
            self.program(snippet)
        else:
            read(snippet, self.home)
            if (begins := FILE_NAME.match(snippet.text)) and snippet.language == "yaml":
                (self.at / begins[1]).write_text(snippet.text, encoding="utf-8")

    def named(self, names: Mapping[str, str], text: str) -> str:
        """What the story says of the snippet or line that begins so; "" if nothing."""
        for beginning, said in names.items():
            if text.startswith(beginning):
                self.unused.discard(beginning)
                return said
        return ""

    def real(self, text: str) -> str:
        """A text of the page with what it is here."""
        for said, meant in self.story.instead.items():
            if said in text:
                self.unused.discard(said)
                text = text.replace(said, meant)
        if self.story.serves and not self.server and ADDRESS.search(text):
            self.type(self.story.serves)
        if self.server:
            text = ADMIN.sub(str(self.server.info["admin"]), text)
            text = text.replace(ADMIN_ADDRESS, self.server.info.get("admin_http", ADMIN_ADDRESS))
            text = ADDRESS.sub(f"127.0.0.1:{self.server.port}", text)
        assert not ADDRESS.search(text), (
            "it asks a server, and none was started: see `Story.serves`"
        )
        return text

    def type(self, line: str) -> None:
        """Type a line into the shell; it must end well."""
        line = self.real(line)
        if line.startswith("headway serve"):
            self.serve(shlex.split(line, comments=True)[2:])
            return
        if line.startswith("headway bench"):
            line = " ".join(
                [
                    *map(shlex.quote, shlex.split(line, comments=True)),
                    "--duration 1s --warm-up 0.1s",
                ]
            )
        where = self.home / ".at"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{line}\npwd > {shlex.quote(str(where))}"],
            cwd=self.at,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LINE_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        self.at = Path(where.read_text().strip())

    def serve(self, arguments: Sequence[str]) -> None:
        """Start a server in the place of the last one."""
        self.servers.close()
        own = {k: v.format(folder=self.home) for k, v in self.story.environment.items()}
        self.server = self.servers.enter_context(serving(self.at, *arguments, **own))

    def program(self, snippet: Snippet) -> None:
        """Write a file, look a part up in its file, or run a program."""
        compile(snippet.text, snippet.place, "exec")
        if source := self.named(self.story.parts, snippet.text):
            check_part(snippet.text, source)
            return
        begins = FILE_NAME.match(snippet.text)
        name = self.named(self.story.files, snippet.text) or (begins[1] if begins else "")
        file = self.at / (name or f"snippet_{snippet.place.rpartition(':')[2]}.py")
        file.write_text(snippet.text if name else self.real(snippet.text), encoding="utf-8")
        if not name:
            self.type(f"python {file.name}")


def check_part(text: str, source: str) -> None:
    """Find the lines of a snippet in their file, in their order."""
    rest = iter([line.strip() for line in (ROOT / source).read_text("utf-8").splitlines()])
    for line in filter(None, map(str.strip, text.splitlines())):
        shown = line.removesuffix("...").rstrip()
        there = any(one == line or (shown != line and one.startswith(shown)) for one in rest)
        assert there, f"{source} has not (any more, or not in this order): {line}"


def read(snippet: Snippet, folder: Path) -> None:
    """Read what is data, and see that what is text is nothing to type."""
    if snippet.language == "json":
        json.loads(snippet.text)
    elif snippet.language == "toml":
        tomllib.loads(snippet.text)
    elif snippet.language == "yaml":
        read_settings(snippet.text, folder / "settings")
    else:
        expected = "expected no word, sh, bash, python, json, yaml, toml or text behind the fence"
        assert snippet.language == "text", (
            f"{expected}; found {snippet.language}: see Story.not_run"
        )
        typed = TYPED.search(snippet.text)
        assert not typed, (
            f"to be typed, so it is not `text`: take the word behind the fence away: {typed}"
        )


def read_settings(text: str, folder: Path) -> None:
    """Read a headway.yaml as `headway serve` does, with files in name only where it names some."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / project.FILE).write_text(text, encoding="utf-8")
    for name, defined in re.findall(r"(?:predictor|model): \"?([\w./-]+\.\w+)(?::(\w+))?", text):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(f"{defined or 'Model'} = None\n")
    found = project.find_models(str(folder))
    config.read(config.ServerSettings, found.server)
