"""What is fuzzed: functions of bytes that raise only if something is wrong with Headway. Not a test.

`scripts/fuzz` runs them under Atheris, tests/faults/test_faults_fuzz.py too; where Atheris is not to be had,
Hypothesis makes the bytes. The first bytes of an input say where the rest is cut, or which model is asked.
"""

import base64
import json
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
from headway.protocols import Ask, native, v2, v2_grpc
from headway.server import http2, http2_frames
from headway.server.grpc_heads import CallHeads, Malformed, NotGrpc
from headway.server.grpc_messages import Messages
from headway.server.hpack import Fields, encode
from headway.server.http1 import FramingError, Heads, Limits, Reader

SEEDS = Path(__file__).parent.parent / "corpus" / "fuzz"
GOLDEN = Path(__file__).parent.parent / "golden" / "protocols" / "v2_grpc"
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


class Calls:
    """The calls of an HTTP/2 connection, as far as they can be told without an application."""

    def __init__(self) -> None:
        self.session = http2.Session(http2_frames.Limits(2048, 20, 10), self, 0.0)
        self.found: list[object] = []
        self._heads = CallHeads(2048)

    def begun(self, stream: http2_frames.Stream, fields: Fields, *, is_end: bool) -> None:
        try:
            head, _ = self._heads.read(fields)
        except Malformed:
            self.session.fault(stream, http2_frames.PROTOCOL_ERROR)
        except NotGrpc:
            self.session.out.send_head(stream, b"415", is_end=True)
        else:
            stream.announced = head.content_length
            stream.call = Messages(4096)
            self.found.append((stream.id, head.head.path, dict(head.head.headers)))
            if is_end:
                self.received(stream, b"", is_end=True)

    def received(self, stream: http2_frames.Stream, data: bytes, *, is_end: bool) -> None:
        messages: Messages = stream.call
        try:
            messages.feed(data)
            while (message := messages.next()) is not None:
                self.found.append((stream.id, message))
            if is_end:
                self.session.out.answer(stream, b"head", b"x" * 500, b"end")
        except CallerError:
            self.session.reset(stream, http2_frames.CANCEL)

    def lost(self, stream: http2_frames.Stream) -> None:
        self.found.append((stream.id, "lost"))

    def drained(self, stream: http2_frames.Stream) -> None:
        pass


def fuzz_http2(data: bytes) -> None:
    """The calls of a connection are the same however its bytes are cut, up to a refusal."""
    pieces = cuts(data)
    whole, apart = read_calls([b"".join(pieces)]), read_calls(pieces)
    assert whole.found == apart.found, f"{whole.found} != {apart.found}"
    assert whole.session.is_over == apart.session.is_over
    assert not (whole.session.is_over and whole.session.open)


def read_calls(pieces: list[bytes]) -> Calls:
    calls = Calls()
    for piece in pieces:
        calls.session.receive(piece, 0.0)
        calls.session.out.take()
    return calls


def fuzz_v2_grpc(data: bytes) -> None:
    """A message is read as a call of bounded size, or refused as the caller's fault."""
    if data:
        with suppress(CallerError):
            v2_grpc.target(Ask("infer", "", "", data[1:], {}))
        read(v2_grpc, data[1:], {}, "", data[0])


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
    streams = "stream" if codec is v2_grpc else "infer_stream"
    ask = Ask(
        streams if wire.description.is_stream else "infer",
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
    "http2": fuzz_http2,
    "v2_grpc": fuzz_v2_grpc,
}


def http2_seeds() -> Iterator[bytes]:
    """Connections: a call, one in pieces, resets, windows."""
    f = http2_frames
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "c")]
    block = encode([*pairs, ("content-type", "application/grpc")])
    start = f.PREFACE + f.frame_head(0, f.SETTINGS, 0, 0)

    def frame(kind: int, flags: int, id_: int, payload: bytes) -> bytes:
        return f.frame_head(len(payload), kind, flags, id_) + payload

    head = frame(f.HEADERS, f.END_HEADERS, 1, block)
    yield b"\0" + start + head + frame(f.DATA, f.END_STREAM, 1, b"\0\0\0\0\2hi")
    yield (
        b"\0"
        + start
        + head
        + frame(f.DATA, 0, 1, b"\0\0\0\0\5h")
        + frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08")
    )
    yield (
        b"\0"
        + start
        + frame(f.HEADERS, 0, 1, block[:9])
        + frame(f.CONTINUATION, f.END_HEADERS, 1, block[9:])
    )
    yield (
        b"\0"
        + start
        + frame(f.SETTINGS, 0, 0, b"\0\4\0\0\0\1")
        + frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\0\1")
    )
    yield b"\0" + start + frame(f.PING, 0, 0, b"12345678") + frame(f.GOAWAY, 0, 0, b"\0" * 8)


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
    if target == "http2":
        yield from http2_seeds()
    if target == "v2_grpc":
        for file in sorted(GOLDEN.glob("*.json")):
            yield b"\0" + base64.b64decode(json.loads(file.read_text())["ask"]["base64"])
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
