"""Check where an ONNX file keeps its weights, before anything opens them; no full reader of ONNX.

An ONNX file may point at files beside it by name, offset and length. Those three come from whoever
wrote the file, so each is checked: below the model's own folder, no link of any sort, within the
file. The protobuf is walked by lengths alone (nothing is copied or decoded but the entries
themselves), and only where the file speaks of a location.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from headway.errors import BundleError

# Field numbers of onnx.proto3 (IR version 13) that lead from a model to its tensors.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KNOWN_KEYS = frozenset({"location", "offset", "length", "checksum"})
_FIXED_BYTES = {1: 8, 5: 4}


def check_external_data(path: Path) -> set[str]:
    """Refuse an ONNX file whose external data leaves its folder or its files.

    Returns:
        The files beside it that hold its weights, as it names them.

    Raises:
        BundleError: a location, offset or length is not what an honest file has, or the file is
        damaged.
    """
    if path.stat().st_size == 0:
        raise BundleError(path=path, problem="the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found: set[str] = set()
        if data.find(b"location") < 0:
            return found
        try:
            for entries in _external_tensors(data):
                if problem := _problem_of(entries, path.parent):
                    raise BundleError(path=path, problem=f"its external data is refused: {problem}")
                found.add(entries.get("location", ""))
        except (IndexError, ValueError) as e:
            raise BundleError(path=path, problem=f"not a readable ONNX file ({e})") from e
    return found


def _external_tensors(data: mmap.mmap) -> Iterator[dict[str, str]]:
    """Walk the messages with a stack of our own: nested graphs must not exhaust Python's."""
    waiting = [("model", 0, len(data))]
    while waiting:
        message, start, end = waiting.pop()
        children = _CHILDREN[message]
        entries: dict[str, str] = {}
        for number, first, last in _fields(data, start, end):
            child = children.get(number)
            if child == "entry":
                key, value = _entry(data, first, last)
                if key in entries:
                    raise ValueError(f"external data names {key!r} twice")
                entries[key] = value
            elif child:
                waiting.append((child, first, last))
        if entries:
            yield entries


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number and the extent of each length-delimited field; step over the others."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field reaches past its message")
            yield tag >> 3, at, at + size
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a varint has more than ten bytes")


def _entry(data: mmap.mmap, start: int, end: int) -> tuple[str, str]:
    texts = {
        number: data[first:last].decode("utf-8")
        for number, first, last in _fields(data, start, end)
    }
    return texts.get(1, ""), texts.get(2, "")


def _problem_of(entries: dict[str, str], folder: Path) -> str:
    unknown = {k for k in entries if k not in _KNOWN_KEYS and not k.startswith("prepacked")}
    if unknown:
        return f"unknown key {min(unknown)!r}"
    for key in ("offset", "length"):
        if key in entries and not (
            entries[key].isascii() and entries[key].isdigit() and len(entries[key]) < 20
        ):
            return f"{key} {entries[key]!r} is not a whole number from 0 up"
    location = entries.get("location", "")
    if problem := _problem_of_location(location, folder):
        return f"location {location!r} {problem}"
    size = (folder / location).stat().st_size
    if int(entries.get("offset", "0")) + int(entries.get("length", "0")) > size:
        return f"offset and length reach past the {size} bytes of {location!r}"
    return ""


def _problem_of_location(location: str, folder: Path) -> str:
    parts = PurePosixPath(location).parts
    if not parts or "\0" in location or "\\" in location:
        return "is not a file name"
    if location.startswith("/") or ".." in parts or ":" in parts[0]:
        return "leaves the model's folder"
    at = folder
    for part in parts:
        at /= part
        try:
            found = os.lstat(at)
        except OSError as e:
            return f"can't be read ({e.strerror})"
        if stat.S_ISLNK(found.st_mode):
            return "goes through a symbolic link"
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    return "has a second name (a hard link)" if found.st_nlink > 1 else ""
