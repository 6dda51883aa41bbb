"""Every snippet of the README and of docs/ is run as a reader would, page by page, in a scratch folder.

A page with something to run has a row in `PAGES`: what it takes for granted, and what of it can't be run here, with the
reason. How a snippet is run: `snippets.py`.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from needed import need
from snippets import ROOT, Reader, Snippet, Story, check_part, lines_of, read, snippets_of

PREPARE_TIMEOUT_S = 540
DOCS = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
INSTALLS = "it installs: tests/e2e/test_cli_wheel.py does that"
LARGE = "it needs a large library: `make test-heavy` serves such files"
BY_CI = "it sets up and tests all: CI runs it"
ACTIVE = "the test's own environment is active"

pytestmark = pytest.mark.timeout(600)


def examples(*names: str) -> Callable[[Path], None]:
    """The examples of these names, with their weights, as they lie in a clone."""

    def put(folder: Path) -> None:
        prepare = [sys.executable, str(ROOT / "examples" / "prepare.py"), *names]
        subprocess.run(prepare, capture_output=True, timeout=PREPARE_TIMEOUT_S, check=True)
        for name in names:
            shutil.copytree(ROOT / "examples" / name, folder / "examples" / name)
        shutil.copy(ROOT / "README.md", folder)

    return put


def weights_too(folder: Path) -> None:
    """The example, and its weights once more for the file that the README shows."""
    examples("sentiment")(folder)
    shutil.copy(folder / "examples" / "sentiment" / "sentiment.skops", folder)


def started(folder: Path) -> None:
    """A project, as `headway init` makes it."""
    subprocess.run(
        [sys.executable, "-m", "headway", "init", ".", "--name", "mood"],
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=True,
    )


def with_certificate(folder: Path) -> None:
    """A project, with a certificate for its server."""
    started(folder)
    made = need("trustme").CA().issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")


def sentiment(folder: Path) -> None:
    """The smallest model of that name; a folder for a web page."""
    (folder / "sentiment.py").write_text(
        "def sentiment(text: str) -> float:\n    return 1.0 if 'joy' in text else 0.0\n"
    )
    (folder / "web").mkdir()


def files(folder: Path) -> None:
    """What a caller sends, and a headway.yaml for two of the page's models."""
    need("PIL.Image").new("RGB", (8, 4)).save(folder / "tulip.jpg")
    (folder / "report.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "headway.yaml").write_text(
        "models:\n  negative: {predictor: media.py:Negative}\n  size: {predictor: media.py:Size}\n"
    )


def table(folder: Path) -> None:
    """A table of passengers in two forms."""
    need("pyarrow")
    passengers = need("pandas").DataFrame({"age": [29.0, 2.0], "sex": ["female", "male"]})
    passengers.to_csv(folder / "passengers.csv", index=False)
    passengers.to_parquet(folder / "passengers.parquet")


def model_file(folder: Path) -> None:
    shutil.copy(ROOT / "tests" / "golden" / "runtimes" / "onnx" / "model.onnx", folder)


def streams(folder: Path) -> None:
    """Both files of the page, so that one server has them."""
    for snippet in snippets_of(ROOT / "docs" / "how-to" / "stream.md"):
        for name, sign in (("words.py", "def words("), ("speech.py", "class Speech(")):
            if sign in snippet.text:
                (folder / name).write_text(snippet.text)


def package(folder: Path) -> None:
    """A copy of the package, that a reader adds a file to; something to serve."""
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "headway", folder / "src" / "headway", ignore=caches)
    sentiment(folder)
    page = (ROOT / "docs" / "how-to" / "add-a-runtime.md").read_text("utf-8")
    (model,) = re.findall(r"`(\{\"weights\".*?\})`", page)
    (folder / "score.linear").write_text(model)


OF_THE_PACKAGE = {"PYTHONPATH": "{folder}/src"}

PAGES: Mapping[str, Story] = {
    "README.md": Story(
        folder=weights_too,
        not_run={
            "make ": BY_CI,
            ". .venv/bin/activate": ACTIVE,
        },
        then=("cd ../..", "headway predict sentiment.py text=fine"),
    ),
    "docs/quickstart.md": Story(
        not_run={
            "python -m venv": INSTALLS,
            "pip install": INSTALLS,
            ". .venv/bin/activate": ACTIVE,
        },
        files={
            "import headway as hw\n\n\nclass Shout": "shout.py",
            "import headway as hw\nfrom predictor import Topic": "test_money.py",
        },
        then=("headway check shout.py",),
    ),
    "docs/examples/index.md": Story(
        folder=examples("sentiment", "digits", "filetype", "ocr"),
        serves="headway serve examples/sentiment examples/digits examples/filetype examples/ocr",
        parts={
            "def predict(self, text": "examples/sentiment/sentiment.py",
            "Pixels = ": "examples/digits/digits.py",
            "def predict(self, content": "examples/filetype/filetype.py",
            "def load(self)": "examples/ocr/ocr.py",
            "def predict(\n    self, chunks": "examples/voice/voice.py",
        },
        environment={"PYTHONPATH": "{folder}/examples/sentiment"},
    ),
    "docs/how-to/check-before-you-ship.md": Story(folder=started),
    "docs/how-to/measure-your-service.md": Story(
        folder=examples("sentiment"),
        serves="headway serve examples/sentiment",
        instead={"--max-p99 50ms": "--max-p99 20s"},
    ),
    "docs/how-to/serve-a-model-file.md": Story(
        folder=model_file,
        not_run={"headway serve model.pt2": LARGE, "headway serve saved-model/": LARGE},
    ),
    "docs/how-to/take-tables.md": Story(
        folder=table,
        files={"from dataclasses import dataclass": "survival.py"},
        serves="headway serve survival.py",
    ),
    "docs/how-to/take-pictures-sound-and-files.md": Story(folder=files, serves="headway serve ."),
    "docs/how-to/stream.md": Story(
        folder=streams,
        files={"import headway as hw\nfrom collections": "words.py"},
        serves="headway serve words.py speech.py",
        not_run={
            "const ws": "it is for a browser",
            "with hw.load(Speech)": "the microphone is the reader's",
        },
    ),
    "docs/how-to/ask-from-python.md": Story(
        folder=sentiment,
        serves="headway serve sentiment.py",
        not_run={"import { Client": "it is TypeScript: tests/e2e/test_client_generated.py"},
    ),
    "docs/how-to/cache-answers.md": Story(),
    "docs/explain/batching.md": Story(),
    "docs/how-to/operate.md": Story(
        folder=with_certificate,
        instead={"Bearer KEY": "Bearer $(grep -o 'hw_.*' key.txt)"},
    ),
    "docs/how-to/watch-a-server.md": Story(
        folder=sentiment,
        serves="headway serve sentiment.py",
        not_run={
            "headway top http": "it wants a terminal: tests/e2e/test_top.py",
            "pip install": INSTALLS,
            "headway serve sentiment.py --traces": "it wants a collector: tests/e2e/test_spans.py",
        },
    ),
    "docs/how-to/add-a-protocol.md": Story(
        folder=package,
        files={'"""One item as an HTML form': "src/headway/protocols/forms.py"},
        environment=OF_THE_PACKAGE,
    ),
    "docs/how-to/add-a-runtime.md": Story(
        folder=package,
        files={'"""Run linear models': "src/headway/runtimes/linear.py"},
        environment=OF_THE_PACKAGE,
    ),
}


@pytest.mark.parametrize("name", [n for n in DOCS if any(snippets_of(ROOT / n))])
def test_a_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    snippets = list(snippets_of(ROOT / name))
    story = PAGES.get(name)
    if story is None:
        to_run = [snippet.place for snippet in snippets if not snippet.is_read_only]
        told = "write the page's row in PAGES: what lies in its folder, what it serves"
        assert not to_run, f"{', '.join(to_run)}: nobody runs this; {told}"
    with Reader(tmp_path, story or Story()) as reader:
        reader.follow(ROOT / name)


def test_every_row_is_a_page_that_is_there() -> None:
    assert not set(PAGES) - set(DOCS)


# The runner itself


def page_of(tmp_path: Path, *blocks: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text("\n\n".join(["# Page", *(f"```{block}\n```" for block in blocks)]))
    return page


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("\nfalse", "false"),
        ("\ncurl :8000/health/live", "none was started"),
        ("python\n1 / 0", "ZeroDivisionError"),
        ("python\ndef f(:", "invalid syntax"),
        ("json\n{'a': 1}", "Expecting property name"),
        ("yaml\nmodel: a.onnx\nworker: 2", "worker"),
        ("toml\n[a", "Expected ']'"),
        ("text\ncurl localhost", "is not `text`"),
        ("perl\n1", "found perl"),
    ],
)
def test_a_snippet_that_is_wrong_fails_and_tells_its_place(
    tmp_path: Path, block: str, told: str
) -> None:
    page = page_of(tmp_path, "text\nfine", block)
    with Reader(tmp_path, Story()) as reader, pytest.raises(Exception, match=re.escape(told)) as e:
        reader.follow(page)
    (note,) = e.value.__notes__
    assert note.endswith("page.md:7")


def test_a_row_about_what_is_no_longer_there_fails(tmp_path: Path) -> None:
    page = page_of(tmp_path, "\ntrue")
    with (
        Reader(tmp_path, Story(not_run={"make": "slow"})) as reader,
        pytest.raises(AssertionError, match=r"begins with \{'make'\}"),
    ):
        reader.follow(page)


def test_what_is_typed_at_once_is_one_line() -> None:
    text = "# first\n\na \\\n  b   # and so on\necho 'one\ntwo'\n"
    assert list(lines_of(text)) == ["a \\\n  b   # and so on", "echo 'one\ntwo'"]


def test_a_part_must_stand_in_its_file() -> None:
    check_part("def need(name: str) ...", "tests/e2e/needed.py")
    with pytest.raises(AssertionError, match="has not"):
        check_part("def needs(name: str) ...", "tests/e2e/needed.py")


def test_settings_are_read_as_the_server_reads_them(tmp_path: Path) -> None:
    read(Snippet("x", "yaml", "predictor: a.py:A\nserver: {port: 9000}\n"), tmp_path)
    with pytest.raises(Exception, match="prot"):
        read(Snippet("x", "yaml", "predictor: a.py:A\nserver: {prot: 9000}\n"), tmp_path)
