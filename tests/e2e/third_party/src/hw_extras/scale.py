"""A runtime of another package: a file holds the one number that it multiplies by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.model.call import TensorSpec
from headway.runtimes import Options

SUFFIXES: Sequence[str] = (".scale", ".number")
FOLDERS: Sequence[str] = ("scale.txt",)
MARKS: Mapping[str, bytes] = {".number": b".", "scale.txt": b"."}
REQUIRES: Sequence[str] = ()


class Scale:
    """Multiplies."""

    inputs = (TensorSpec("x", "float32", (1,)),)
    outputs = (TensorSpec("y", "float32", (1,)),)
    platform = "scale"
    is_thread_safe = True

    def __init__(self, value: float) -> None:
        self.native = value

    def __call__(self, x: Any) -> Mapping[str, Any]:
        return {"y": (x * self.native).astype("float32")}


def open_model(path: Path, options: Options) -> Scale:
    """Open a file that holds a number, or a folder with such a file."""
    file = path / "scale.txt" if path.is_dir() else path
    return Scale(float(file.read_text()))
