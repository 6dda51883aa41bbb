"""Make what the examples' folders lack: their weights, from public packages.

`python examples/prepare.py [name...] [--again]`. What is there already is left alone, so it may be
run at any time, and by several at once. Not here: how each is made (`<name>/make_<name>.py`).
"""

import argparse
import fcntl
import importlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packages import PrepareError

HOME = Path(__file__).resolve().parent
FILES = {
    "sentiment": ("sentiment.skops",),
    "digits": ("digits.onnx",),
    "filetype": ("filetype.onnx", "labels.json"),
    "diabetes": ("diabetes.lgb",),
    "heart": ("heart.skops",),
    "ocr": ("find.onnx", "turn.onnx", "read.onnx", "alphabet.txt"),
    "voice": ("voice.onnx", "speech.wav"),
}
HEAVY = {
    "embeddings": ("encoder.onnx", "tokenizer.json"),
    "handwriting": ("handwriting.pt2",),
}
"""Made only where they are named: they need large libraries."""
EXIT_OK, EXIT_FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the named examples, or all that are light."""
    known = FILES | HEAVY
    parser = argparse.ArgumentParser(description="Make what the examples lack.")
    parser.add_argument(
        "name",
        nargs="*",
        help=f"any of: {', '.join(known)}; all but {', '.join(HEAVY)} if none is named",
    )
    parser.add_argument("--again", action="store_true", help="make it even if it is there")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.name) - set(known)):
        parser.error(f"there is no example {unknown[0]!r}; known: {', '.join(known)}")
    with _one_at_a_time():
        done = [_prepare(n, known[n], is_again=asked.again) for n in asked.name or FILES]
    return EXIT_OK if all(done) else EXIT_FAILED


def _prepare(name: str, files: Sequence[str], *, is_again: bool) -> bool:
    """Make one example; False if that failed, which is said."""
    folder = HOME / name
    if not is_again and all((folder / file).is_file() for file in files):
        _say(name, "ready")
        return True
    start = time.monotonic()
    sys.path.insert(0, str(folder))
    try:
        make = importlib.import_module(f"make_{name}").make
        with tempfile.TemporaryDirectory(prefix="headway-example-") as scratch:
            make(folder, Path(scratch), lambda words: _say(name, words))
    except ModuleNotFoundError as e:
        _say(name, f"{e.name} is missing: pip install -r {HOME.name}/requirements.txt")
        return False
    except (PrepareError, OSError) as e:
        _say(name, f"failed: {e}")
        return False
    finally:
        sys.path.remove(str(folder))
    _say(name, f"ready after {time.monotonic() - start:.0f} s: {', '.join(files)}")
    return True


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait until no other process prepares here; the lock ends with its process."""
    with (HOME / ".prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(name: str, words: str) -> None:
    print(f"{name}: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
