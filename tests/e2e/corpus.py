"""The corpus of bad inputs (tests/corpus) as cases: files in, bytes and expectations out. No sockets.

tests/corpus/README.md tells the format.
"""

import base64
import gzip
import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HOME = Path(__file__).parent.parent / "corpus"
HERE = b"<HERE>"
_STEP = re.compile(r"(?P<first>nothing|\d{3}( or \d{3})*)( x (?P<times>\d+))?")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to send, and what must come back."""

    name: str
    send: bytes
    answers: tuple[frozenset[int], ...]
    """The statuses that each answer may have, in order; none where the server says nothing."""
    closes: bool | None
    """Whether the connection ends after the last answer; None: either will do."""
    model: str
    """Who is asked for an exact answer afterwards."""
    waits: bool = False
    """Only a deadline of the server ends it."""
    body: str | None = None
    """The answer's body, where it must be exactly this."""
    says: str = ""
    """A part of the answer's body."""
    lacks: str = ""
    """What no header's name of the answer begins with."""


def files(folder: str) -> list[Path]:
    """The files of one folder of the corpus."""
    return sorted((HOME / folder).glob("*.yaml"))


def load(path: Path) -> Any:
    """One file, as it is."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def cases(path: Path) -> Iterator[Case]:
    """All cases of a file that are requests."""
    file = load(path)
    for row in file["cases"]:
        merged = {**file.get("defaults", {}), **row}
        places = {
            name: place
            for name, place in file.get("places", {"": merged}).items()
            if not (row.get("only") and name not in row["only"])
        }
        for place_name, place in places.items():
            for coding in merged.get("codings", file.get("codings", ["identity"])):
                yield from _expand({**merged, **place}, place_name, coding)


def _expand(row: Mapping[str, Any], place: str, coding: str) -> Iterator[Case]:
    """One case for each of its texts."""
    texts = row.get("each", [row.get("text", "")])
    for text in texts:
        piece = to_bytes(text)
        shown = f" {text!r}"[:160] if "each" in row else ""
        where = ", ".join(w for w in (place, coding if coding != "identity" else "") if w)
        yield Case(
            name=f"{row['name']}{shown}" + (f" ({where})" if where else ""),
            send=_request(row, piece, coding),
            answers=_answers(str(row["expect"])),
            closes=row.get("closes"),
            model=row.get("model", "number"),
            waits=row.get("waits", False),
            body=row.get("answer"),
            says=row.get("says", ""),
            lacks=row.get("lacks", ""),
        )


def _answers(text: str) -> tuple[frozenset[int], ...]:
    """Read "400 or 501", "200 x 1000, then 400", "nothing"."""
    found: list[frozenset[int]] = []
    for step in text.split(", then "):
        match = _STEP.fullmatch(step)
        assert match, f"what is {text!r} to expect?"
        if match["first"] != "nothing":
            statuses = frozenset(int(s) for s in match["first"].split(" or "))
            found += [statuses] * int(match["times"] or 1)
    return tuple(found)


def _request(row: Mapping[str, Any], text: bytes, coding: str) -> bytes:
    def filled(parts: Any) -> bytes:
        return to_bytes(parts).replace(HERE, text)

    if "send" in row:
        return filled(row["send"])
    body = filled(row.get("json", row.get("body", "")))
    if "head" in row:
        return b"\r\n".join([*map(filled, row["head"]), b"", b""]) + body
    headers = {"host": "localhost", **row.get("headers", {})}
    if "binary" in row:
        headers.setdefault("inference-header-content-length", str(len(body)))
        body += filled(row["binary"])
    if coding != "identity":
        headers["content-encoding"] = coding
        body = _gzip(body) if coding == "gzip" else zlib.compress(body)
    method = row.get("method", "POST")
    if body or method == "POST":
        headers.setdefault("content-length", str(len(body)))
    lines = [method.encode() + b" " + filled(row["path"]) + b" HTTP/1.1"]
    lines += [
        to_bytes(name) + b": " + filled(value)
        for name, value in headers.items()
        if value is not None
    ]
    return b"\r\n".join([*lines, b"", b""]) + body


def to_bytes(parts: Any) -> bytes:
    """What a part of a case stands for: each character of a text is one byte."""
    if isinstance(parts, str):
        return parts.encode("latin-1")
    if isinstance(parts, Sequence):
        return b"".join(map(to_bytes, parts))
    assert isinstance(parts, Mapping), f"{parts!r} is no part of a case: is it in quotes?"
    ((kind, value),) = parts.items()
    made: bytes = _MAKERS[kind](value)
    return made


def _repeat(value: Any) -> bytes:
    parts, times = value
    return to_bytes(parts) * int(times)


def _count(value: Any) -> bytes:
    """A text for each number from 0 on; %d stands for the number."""
    pattern, times, *between = value
    joint = to_bytes(between[0]) if between else b""
    return joint.join(to_bytes(pattern) % i for i in range(times))


def _png(width: int, height: int, extra: Any = "", kind: str = "zTXt") -> bytes:
    """A picture that claims a size, with a hundred zeros inside; `extra` is a chunk of that kind before them."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    if extra:
        chunks.insert(1, (kind.encode(), to_bytes(extra)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def _table(form: str) -> Any:
    """A file of [name, values] for each column, as pyarrow writes it."""

    def make(columns: Sequence[tuple[str, Sequence[Any]]]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet

        table = pa.table([pa.array(v) for _, v in columns], names=[name for name, _ in columns])
        out = io.BytesIO()
        if form == "parquet":
            pa.parquet.write_table(table, out)
            return out.getvalue()
        new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
        with new(out, table.schema) as writer:
            writer.write_table(table)
        return out.getvalue()

    return make


def _wide(value: Any) -> bytes:
    """A table of so many good rows."""
    form, rows = value
    made: bytes = _MAKERS[form]([["age", [1.0] * rows], ["sex", ["male"] * rows]])
    return made


def _varint(number: int) -> bytes:
    """A whole number as Thrift's compact protocol has it: zigzag, seven bits a byte."""
    left, out = number << 1 if number >= 0 else ~(number << 1), bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    return bytes([*out, left])


def _swapped(value: Any) -> bytes:
    """Bytes with others everywhere in the place of some, of which there must be any."""
    parts, old, new = map(to_bytes, value)
    assert old in parts, "there is nothing to swap"
    return parts.replace(old, new)


def _packed(code: str) -> Any:
    return lambda values: struct.pack(f"<{len(values)}{code}", *values)


_MAKERS: Mapping[str, Any] = {
    "repeat": _repeat,
    "count": _count,
    "utf8": lambda value: value.encode(),
    "utf16": lambda value: value.encode("utf-16"),
    "hex": bytes.fromhex,
    "base64": lambda value: base64.b64encode(to_bytes(value)),
    "png": lambda value: _png(*value),
    "gzip": lambda value: _gzip(to_bytes(value)),
    "deflate": lambda value: zlib.compress(to_bytes(value)),
    "zlib_raw": lambda value: zlib.compressobj(wbits=-15).compress(to_bytes(value)),
    "cut": lambda value: to_bytes(value[0])[: value[1]],
    "swap": _swapped,
    "wide": _wide,
    "varint": lambda values: b"".join(map(_varint, values)),
    "parquet": _table("parquet"),
    "arrow_stream": _table("stream"),
    "arrow_file": _table("file"),
    "u32": _packed("I"),
    "u64": _packed("Q"),
    "i64": _packed("q"),
    "f16": _packed("e"),
    "f32": _packed("f"),
    "f64": _packed("d"),
}
