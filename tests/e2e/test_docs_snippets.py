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
CLIENT = "its client has an environment of its own: `make test-clients` runs it"
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
    """What a caller sends."""
    need("PIL.Image").new("RGB", (8, 4)).save(folder / "tulip.jpg")
    (folder / "report.pdf").write_bytes(b"%PDF-1.7\n")


def table(folder: Path) -> None:
    """A table of passengers in two forms."""
    need("pyarrow")
    passengers = need("pandas").DataFrame({"age": [29.0, 2.0], "sex": ["female", "male"]})
    passengers.to_csv(folder / "passengers.csv", index=False)
    passengers.to_parquet(folder / "passengers.parquet")


def tensors_and_text(folder: Path) -> None:
    """Both files of the page, so that one server has them."""
    for snippet in snippets_of(ROOT / "docs" / "how-to" / "ask-over-v2.md"):
        for name in ("flowers.py", "echo.py"):
            if snippet.text.startswith(f"# {name}"):
                (folder / name).write_text(snippet.text)


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
    "docs/how-to/play-and-collect-feedback.md": Story(
        not_run={
            "headway ui": "it opens a browser: tests/browser does that",
            "headway serve sentiment.py --root-path": "it wants a proxy: tests/browser has one",
            "headway feedback": "nothing was said yet: tests/browser and tests/e2e/test_feedback.py do that",
        },
    ),
    "docs/how-to/show-a-model-elsewhere.md": Story(
        sentiment,
        not_run={
            "pip install": INSTALLS,
            "headway ui sentiment.py --gradio": CLIENT,
            "cd gradio-app": CLIENT,
            "cd streamlit-app": CLIENT,
            "npm install": "tests/browser/test_space_static.py exports and looks at such a page",
            "headway ui export model.onnx": "as above",
            "python -m http.server": "as above",
        },
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
    "docs/examples/handwriting.md": Story(
        parts={
            "batch = torch": "examples/handwriting/make_handwriting.py",
            "def load(self)": "examples/handwriting/handwriting.py",
        },
        not_run={
            "pip install": INSTALLS,
            "python examples": LARGE,
            "headway": LARGE,
            "curl": LARGE,
        },
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
    ),
    "docs/how-to/take-pictures-sound-and-files.md": Story(folder=files),
    "docs/how-to/stream.md": Story(
        folder=streams,
        serves="headway serve words.py speech.py",
        not_run={
            "const ws": "it is for a browser",
            "with hw.load(Speech)": "the microphone is the reader's",
        },
    ),
    "docs/how-to/run-long-work.md": Story(
        instead={
            " \\\n  -H 'headway-webhook: https://hooks.example.com/headway/done'": "",
        },
    ),
    "docs/how-to/clients-of-cog.md": Story(),  # the webhook's name leads nowhere, and is told in vain
    "docs/how-to/clients-of-torchserve.md": Story(),
    "docs/how-to/ask-from-python.md": Story(
        folder=sentiment,
        serves="headway serve sentiment.py",
        not_run={"import { Client": "it is TypeScript: tests/e2e/test_client_generated.py"},
    ),
    "docs/how-to/clients-of-mlflow.md": Story(not_run={"import pandas as pd": CLIENT}),
    "docs/how-to/clients-of-sagemaker.md": Story(not_run={"import json\n\nimport boto3": CLIENT}),
    "docs/how-to/clients-of-azure-ml.md": Story(),
    "docs/how-to/explain-answers.md": Story(),
    "docs/how-to/ask-as-kserve-or-tensorflow-serving.md": Story(
        folder=sentiment,
        not_run={
            "import asyncio": "tests/clients/test_kserve.py asks with it",
            "import grpc": "tests/clients/test_tensorflow.py asks with it",
        },
    ),
    "docs/how-to/serve-on-vertex-ai.md": Story(
        folder=sentiment,
        not_run={
            "from google.auth": "tests/clients/test_vertex.py asks with it",
            "import grpc": "tests/clients/test_vertex.py asks with it",
        },
    ),
    "docs/how-to/ask-with-graphql.md": Story(folder=sentiment),
    "docs/how-to/ask-for-embeddings.md": Story(),
    "docs/how-to/ask-over-grpc.md": Story(
        not_run={
            "pip install": INSTALLS,
            "import numpy": "it is Triton's client: tests/e2e/test_grpc_clients.py asks with it",
            "grpcurl": "it is Go's: tests/e2e/test_grpc.py asks by reflection",
            "headway serve": "it serves until it is stopped: tests/e2e/test_grpc.py does",
        },
    ),
    "docs/how-to/ask-over-v2.md": Story(
        folder=tensors_and_text,
        serves="headway serve flowers.py echo.py",
        not_run={
            "import numpy as np\nimport tritonclient": "tests/clients/test_triton_http.py runs it"
        },
    ),
    "docs/how-to/load-and-unload.md": Story(
        folder=sentiment,
        instead={
            "Bearer TOKEN": "Bearer $(grep -o 'hw_.*' token.txt)",
            "--admin-address 127.0.0.1:9000": "--admin-address 127.0.0.1:0",
        },
    ),
    "docs/how-to/watch-and-steer-in-the-browser.md": Story(
        folder=sentiment,
        instead={
            "Bearer TOKEN": "Bearer $(grep -o 'hw_.*' token.txt)",
            "--admin-address 127.0.0.1:9000": "--admin-address 127.0.0.1:0",
        },
        not_run={"ssh ": "it wants another machine"},
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
        not_run={
            "PROTO = {": "it is a part of a plugin: the protocols of the folder are whole ones"
        },
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
        ("\ncurl localhost:8000/health/live", "none was started"),
        ("\ncurl :8000/health/live", "curl: (3)"),
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
