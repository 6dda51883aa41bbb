"""Golden samples: questions with the answers that somebody accepted, in `golden.jsonl` beside the code.

The first line says of which model, and what it took and answered; each other line is one sample. Nothing in it tells
a time or a place, keys are sorted: the same answers make the same bytes, and a diff shows what has changed. A file
among the inputs is named by its path and SHA-256. Not here: who is asked (`check`).
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from headway.errors import BundleError
from headway.model.drift import resolved
from headway.model.predictor import confine
from headway.model.wording import told

FILE: Final = "golden.jsonl"
FORMAT: Final = 1


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside the code that is an input."""

    path: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question and its answer, both in their JSON form."""

    inputs: dict[str, Any]
    answer: Any
    """Of a stream, a list of its items."""
    files: dict[str, File] = {}
    """Inputs that are files, by name."""
    is_example: bool = msgspec.field(default=False, name="example")
    """From the predictor's own examples: it goes when they do."""

    @property
    def question(self) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """What makes two samples the same."""
        paths = tuple(sorted((name, file.path) for name, file in self.files.items()))
        return msgspec.json.encode(self.inputs, order="sorted"), paths


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    headway_golden: int
    predictor: str
    version: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """What was accepted of one model."""

    predictor: str
    """`file.py:Name`, or the model file."""
    version: str
    schema: Mapping[str, Any]
    """As `drift.schema_of` makes it."""
    samples: Sequence[Sample] = field(default_factory=tuple)


def parse(data: bytes, shown: str = FILE) -> Golden:
    """Read what `render` wrote, or somebody edited.

    Raises:
        BundleError: with the line that can't be read.
    """
    lines = data.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise BundleError(path=shown, problem="is empty; its first line tells the schema")
    head = _head(lines[0], shown)
    samples: list[Sample] = []
    seen: dict[Any, int] = {}
    for number, line in enumerate(lines[1:], 2):
        sample: Sample = _line(line, Sample, f"{shown}, line {number}")
        first = seen.setdefault(sample.question, number)
        if first != number:
            raise BundleError(
                path=f"{shown}, line {number}", problem=f"has the inputs of line {first}; keep one"
            )
        samples.append(sample)
    return Golden(head.predictor, head.version, head.schema, tuple(samples))


def _head(line: bytes, shown: str) -> _Head:
    place = f"{shown}, line 1"
    raw = _line(line, dict[str, Any], place)
    found = raw.get("headway_golden")
    if found != FORMAT or isinstance(found, bool):
        problem = "is not the first line of golden samples (`headway check --accept` writes it)"
        if isinstance(found, int):
            problem = f"has format {found}; this headway reads {FORMAT}"
        raise BundleError(path=place, problem=problem)
    head: _Head = _line(line, _Head, place)
    return head


def _line(line: bytes, kind: Any, place: str) -> Any:
    if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")):
        raise BundleError(path=place, problem="is the mark of a merge conflict; keep one side")
    if not line.strip():
        raise BundleError(path=place, problem="is empty; remove it")
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BundleError(path=place, problem=f"can't be read: {told(e, line)}") from e


def render(golden: Golden) -> bytes:
    """The file's bytes: the same for the same answers."""
    head = _Head(FORMAT, golden.predictor, golden.version, dict(golden.schema))
    lines = [msgspec.json.encode(line, order="sorted") for line in (head, *golden.samples)]
    return b"".join(line + b"\n" for line in lines)


def read(path: Path) -> Golden | None:
    """Read a file; None where there is none.

    Raises:
        BundleError: it can't be read.
    """
    try:
        return parse(path.read_bytes(), path.name)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise BundleError(path=path.name, problem=f"can't be read: {e.strerror}") from e


def write(path: Path, data: bytes) -> None:
    """Put a file in the place of another, whole or not at all.

    Raises:
        BundleError: it can't be written.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        raise BundleError(path=path.name, problem=f"can't be written: {e.strerror}") from e


def fingerprint(path: str, root: Path) -> File:
    """Name a file beside the code by its content. Raises BundleError."""
    return File(path, hashlib.sha256(_content(path, root)).hexdigest())


def whole(sample: Sample, root: Path, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with the content of their files, as a request has them.

    Args:
        sample: the sample.
        root: the code's folder.
        schema: of one item.

    Raises:
        BundleError: a file is missing, outside of the folder, or no longer the one that was accepted.
    """
    item = dict(sample.inputs)
    for name, file in sample.files.items():
        content = _content(file.path, root)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            problem = "is not the file that was accepted: its SHA-256 is another one"
            raise BundleError(path=file.path, problem=problem)
        item[name] = as_input(content, name, schema)
    return item


def as_input(content: bytes, name: str, schema: Mapping[str, Any]) -> str:
    """A file's content as an input's JSON form: base64 where that is wanted, else text. Raises BundleError."""
    wanted = resolved(schema.get("properties", {}).get(name, {}), schema)
    if wanted.get("contentEncoding") == "base64":
        return base64.b64encode(content).decode()
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise BundleError(path=name, problem="the input wants text, the file is none") from e


def _content(path: str, root: Path) -> bytes:
    try:
        return confine(root, path).read_bytes()
    except OSError as e:
        raise BundleError(path=path, problem=f"can't be read: {e.strerror}") from e
