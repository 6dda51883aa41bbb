"""What is fuzzed: functions of bytes that raise only if something is wrong with Headway. Not a test.

`scripts/fuzz` runs them under Atheris, tests/faults/test_faults_fuzz.py too; where Atheris is not to be had,
Hypothesis makes the bytes. The first bytes of an input say where the rest is cut, or which model is asked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import corpus
import corpus_subjects as subjects

from headway.config import ModelSettings
from headway.engine import frames
from headway.errors import CallerError
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, native, v2
from headway.server.http1 import FramingError, Heads, Limits, Reader

SEEDS = Path(__file__).parent.parent / "corpus" / "fuzz"
SEED_BYTES = 600
LIMITS = Limits(max_head_bytes=2048, max_headers=20, max_target_bytes=256, max_body_bytes=4096)


def cuts(data: bytes) -> list[bytes]:
    """The rest of an input in pieces: its first bytes tell how long each is."""
    count = min(data[0] % 8, len(data) - 1) if data else 0
    sizes, rest = data[1 : 1 + count], data[1 + count :]
    pieces = []
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    return [*pieces, rest]


def fuzz_frames(data: bytes) -> None:
    """A stream of frames is the same however it is cut, or refused; nothing else is raised."""
    pieces = cuts(data)
    assert read_frames(pieces) == read_frames([b"".join(pieces)])


def read_frames(pieces: list[bytes]) -> list[object]:
    framer, found = frames.Framer(limit_bytes=4096), list[object]()
    try:
        for piece in pieces:
            for frame in framer.feed(piece):
                message, buffers = frames.decode(frame)
                found.append((frames.encode(message), bytes(buffers)))
    except frames.FrameError:
        found.append("refused")
        # Frames of one read are cut before any of them is decoded.
        return found[-1:]
    return found


def fuzz_http1(data: bytes) -> None:
    """The requests of a connection are the same however its bytes are cut, up to a refusal."""
    pieces = cuts(data)
    whole, apart = read_requests([b"".join(pieces)]), read_requests(pieces)
    assert whole == apart, f"{whole} != {apart}"


def read_requests(pieces: list[bytes]) -> list[object]:
    reader, found = Reader(Heads(LIMITS)), list[object]()
    try:
        for piece in pieces:
            reader.feed(piece)
            while request := reader.next_request():
                head, body = request
                assert len(body) <= LIMITS.max_body_bytes
                found.append((head.method, head.path, head.query, dict(head.headers), body))
    except FramingError as e:
        found.append("refused" if 400 <= e.status < 506 else f"refused with {e.status}")
    return found


def fuzz_v2(data: bytes) -> None:
    """A body is read as a call of bounded size, or refused as the caller's fault."""
    if len(data) < 3:
        return
    model, size, body = data[0], int.from_bytes(data[1:3], "little"), data[3:]
    headers = {} if size == 0xFFFF else {"inference-header-content-length": str(size)}
    read(v2, body, headers, "", model)


def fuzz_native(data: bytes) -> None:
    """As V2: with rows told one by one, or not."""
    if data:
        read(native, data[1:], {}, "errors=item" if data[0] & 64 else "", data[0])


def read(codec: Any, body: bytes, headers: dict[str, str], query: str, model: int) -> None:
    wire = wires()[model % len(wires())]
    ask = Ask(
        "infer_stream" if wire.description.is_stream else "infer",
        *("model", "1", body, headers, query, "id"),
    )
    with suppress(CallerError):
        call = codec.decode(ask, wire)
        assert call.rows <= max(len(body), 2**16), f"{call.rows} rows of {len(body)} bytes"
        for rows in ([0], range(call.rows)):
            if call.rows:
                wire.gather([(call, rows)])


@cache
def wires() -> list[Wire]:
    """A model for each sort of input."""
    kinds = (
        *(subjects.Number, subjects.Text, subjects.File, subjects.Several, subjects.Anything),
        *(subjects.Arrays, subjects.Halves, subjects.Frees, subjects.Looses, subjects.Typed),
    )
    wires = [Wire(read_signature(kind)) for kind in kinds]
    for wire in wires:
        wire.max_rows = ModelSettings().max_request_rows
    return wires


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "frames": fuzz_frames,
    "http1": fuzz_http1,
    "v2": fuzz_v2,
    "native": fuzz_native,
}


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to begin with: those that were found before, and small ones of the corpus."""
    for known in sorted((SEEDS / target).glob("*")):
        yield known.read_bytes()
    if target == "frames":
        for message in (
            frames.Credit(),
            frames.Want(),
            frames.Grab(
                [frames.Entry(1, 3, 1.0, "id")], [frames.Question("v2", "infer", {"a": "b"})]
            ),
            frames.Replies([frames.Answer(1, frames.WHOLE, 3)], is_credit=True, batches=[1]),
        ):
            yield b"\2\1\5" + frames.encode(message, [b"abc"])
    folder, path = {
        "http1": ("http1", ""),
        "v2": ("v2", "/v2/"),
        "native": ("json", "/models/"),
    }.get(target, ("", ""))
    for file in corpus.files(folder) if folder else ():
        for case in corpus.cases(file):
            if len(case.send) < SEED_BYTES and (path in case.send.decode("latin-1")):
                yield from _seed(target, case.send)


def _seed(target: str, sent: bytes) -> Iterator[bytes]:
    if target == "http1":
        yield b"\2\5\40" + sent
        return
    head, _, body = sent.partition(b"\r\n\r\n")
    if target == "native":
        yield b"\0" + body
        return
    found = re.search(rb"inference-header-content-length: (\d{1,4})\r", head + b"\r")
    size = int(found[1]) if found else 0xFFFF
    for model in range(len(wires())):
        yield bytes([model]) + size.to_bytes(2, "little") + body
