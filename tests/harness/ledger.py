"""Clients that ask over raw keep-alive HTTP/1.1 connections, and the ledger of what came of each request.

A request is written down before it is sent and after it has ended, in exactly one class (`truth.End`).
"""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from harness.truth import NEVER, STEP, Asked, End, Mood, Seen, classify

HUNG_S = 1.0
"""A request that has not ended so long after its deadline hangs."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Ledger:
    """All requests of a run.

    Args:
        path: file for two lines a request; None keeps what is under way and the sums only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.counts: Counter[tuple[Mood, End, str]] = Counter()
        self.bad: list[str] = []
        """The first requests that ended as none may."""
        self.under_way: dict[int, Asked] = {}
        self.live: set[int] = {1}
        """Versions that may answer now."""
        self.longest_s = 0.0
        self.stamps: list[tuple[float, float, End]] = []
        """When each request ended, how long it took, and how it ended."""
        self._answered: set[int] = set()
        self._file: TextIO | None = path.open("w") if path else None

    def send(self, asked: Asked) -> None:
        """Write a request down that is about to be sent."""
        asked.versions = frozenset(self.live)
        asked.sent_at = time.monotonic()
        assert asked.id not in self.under_way
        self.under_way[asked.id] = asked
        if self._file:
            self._file.write(f"> {asked.id} {asked.mood} {len(asked.texts)}\n")

    def end(self, asked: Asked, end: End, detail: str = "") -> None:
        """Write down how a request has ended."""
        del self.under_way[asked.id]
        now = time.monotonic()
        took_s = now - asked.sent_at
        self.longest_s = max(self.longest_s, took_s)
        self.stamps.append((now, took_s, end))
        if end is End.EXACT:
            self._answered.add(asked.id)
        if end in NEVER and len(self.bad) < 20:
            self.bad.append(f"{end}: {asked.id} {asked.mood}: {detail}")
        told = detail if len(detail) < 30 else ""
        self.counts[asked.mood, end, told] += 1
        if self._file:
            self._file.write(f"< {asked.id} {end} {detail}\n")

    def answered(self, asked: Asked, seen: Seen | None) -> None:
        """Judge what came back, and write it down."""
        self.end(asked, *classify(asked, seen, self.live, self._answered))

    def stray(self, data: bytes) -> None:
        """Bytes came that nobody had asked for."""
        self.counts[Mood.GOOD, End.DUPLICATE, "stray"] += 1
        self.bad.append(f"stray bytes: {data[:200]!r}")

    def count(self, *ends: End) -> int:
        """Requests that ended so."""
        return sum(n for (_, end, _), n in self.counts.items() if end in ends)

    def quantile_s(self, share: float, *ends: End, since: float = 0.0) -> float:
        """How long the requests that ended so took: the share of them that took less."""
        took = sorted(took_s for at, took_s, end in self.stamps if end in ends and at >= since)
        return took[min(len(took) - 1, int(share * len(took)))]

    def close(self) -> None:
        """End the file; what is still under way hangs."""
        for asked in list(self.under_way.values()):
            self.end(asked, End.HUNG, "under way at the end")
        if self._file:
            self._file.close()

    def summary(self) -> str:
        """Counts by class, mood and code, for people."""
        rows = sorted(self.counts.items(), key=lambda item: -item[1])
        lines = [f"{n:>9,}  {end:<12} {mood:<9} {code}" for (mood, end, code), n in rows]
        never = {end: self.count(end) for end in sorted(NEVER)}
        total = f"{self.counts.total():>9,}  requests; " + ", ".join(
            f"{n} {end}" for end, n in never.items()
        )
        return "\n".join([*lines, total, f"longest: {self.longest_s:.2f} s"])


@dataclass(frozen=True, slots=True)
class Mix:
    """What requests are like: shares of moods, and the rest."""

    leaver: float = 0.0
    hurried: float = 0.0
    poison: float = 0.0
    sick: float = 0.0
    rejected: float = 0.0
    bad: float = 0.0
    v2: float = 0.3
    """Of the good ones, over the Open Inference Protocol."""
    many: float = 0.1
    """Of several rows."""
    timeout_s: float = 30.0
    model: str = "text"
    prefix: str = ""
    """Of the texts of good requests: what the predictor is to suffer."""

    def moods(self) -> tuple[list[Mood], list[float]]:
        """Moods with their shares."""
        rest = {m: getattr(self, m) for m in Mood if m is not Mood.GOOD}
        return [*rest, Mood.GOOD], [*rest.values(), 1.0 - sum(rest.values())]


def draw(mix: Mix, rng: random.Random, id: int) -> Asked:
    """Make up a request."""
    moods, weights = mix.moods()
    mood = rng.choices(moods, weights)[0]
    rows = rng.randint(2, STEP - 1) if rng.random() < mix.many else 1
    prefix = f"{mood} " if mood in (Mood.POISON, Mood.SICK, Mood.REJECTED) else mix.prefix
    letters = rng.choices(_LETTERS, k=rng.choice((3, 10, 10, 40)))
    texts = [f"{prefix}{''.join(letters)} {i}" for i in range(rows)]
    timeout_s = rng.uniform(0.001, 0.02) if mood is Mood.HURRIED else mix.timeout_s
    is_v2 = mood is Mood.GOOD and rng.random() < mix.v2
    if mood is Mood.POISON:
        texts = texts[:1]
    return Asked(id, mood, texts, timeout_s, is_v2=is_v2)


def written(asked: Asked, mix: Mix, rng: random.Random) -> bytes:
    """A request as bytes."""
    if asked.is_v2:
        path, body = "/v2/models/array/infer", _v2_body(asked)
    else:
        path, body = f"/models/{mix.model}/predict", _native_body(asked, rng)
    head = [
        f"POST {path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    if asked.timeout_s != Mix().timeout_s:
        head.append(f"headway-timeout: {asked.timeout_s:.4f}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _native_body(asked: Asked, rng: random.Random) -> bytes:
    group = rng.randrange(3)
    rows = []
    for i, text in enumerate(asked.texts):
        id = asked.id + i
        row: dict[str, object] = {"id_lo": id & (2**32 - 1), "id_hi": id >> 32, "text": text}
        rows.append({**row, "group": group} if group else row)
    if asked.mood is Mood.BAD:
        rows[-1]["text"] = 7
    return json.dumps(rows if len(rows) > 1 else rows[0]).encode()


def _v2_body(asked: Asked) -> bytes:
    longest = max(len(t) for t in asked.texts)
    asked.texts = [t.ljust(longest) for t in asked.texts]
    data = [
        n
        for i, text in enumerate(asked.texts)
        for n in ((asked.id + i) & (2**32 - 1), (asked.id + i) >> 32, *text.encode())
    ]
    shape = [len(asked.texts), longest + 2]
    tensor = {"name": "numbers", "datatype": "INT64", "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


class Wire(asyncio.Protocol):
    """A connection on which one request is asked at a time."""

    def __init__(self, stray: Callable[[bytes], None]) -> None:
        self._stray = stray
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._answer: asyncio.Future[Seen | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was asked: there will be no answer."""
        self._transport = None
        self._settle(None)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        if self._answer is None or self._answer.done():
            self._stray(data)
            return
        self._pending += data
        if (seen := read_answer(self._pending)) is not None:
            answer, size = seen
            rest, self._pending = self._pending[size:], b""
            self._settle(answer)
            if rest:
                self._stray(rest)
            if answer.headers.get("connection") == "close":
                self.close()

    def eof_received(self) -> None:
        """Close: the server has."""

    @property
    def is_open(self) -> bool:
        """Whether another request can be asked here."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, data: bytes) -> "asyncio.Future[Seen | None]":
        """Send a request; the future holds its answer, None if the connection broke first."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._settle(None)
        else:
            self._transport.write(data)
        return self._answer

    def close(self, *, is_rude: bool = False) -> None:
        """Hang up; rudely with an RST."""
        self._answer = None
        if self._transport is not None:
            if is_rude:
                self._transport.abort()
            else:
                self._transport.close()

    async def hang_up(self) -> None:
        """Close, and wait until it is so."""
        self.close()
        while self._transport is not None:
            await asyncio.sleep(0)

    def _settle(self, seen: Seen | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(seen)


def read_answer(data: bytes) -> tuple[Seen, int] | None:
    """The first whole answer of some bytes and its size; None while it is not whole."""
    head, blank, _ = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    start = len(head) + 4
    end = start + int(headers.get("content-length", 0))
    return (
        (Seen(int(first.split()[1]), data[start:end], headers), end) if len(data) >= end else None
    )


@dataclass
class Load:
    """Clients that ask, each on a connection of its own, until told to stop or so many were asked."""

    ledger: Ledger
    port: int
    seed: int
    clients: int = 32
    per_s: float = 300.0
    """Requests a second in all; 0 as fast as they can."""
    mix: Mix = field(default_factory=Mix)
    most: int = 0
    """Requests in all; 0 until `stop`."""
    is_over: bool = False

    def __post_init__(self) -> None:
        base = random.Random(self.seed).getrandbits(40) << 20
        self._ids: Iterator[int] = itertools.count(base, STEP)
        self._asked = 0

    async def run(self) -> None:
        """Ask."""
        await asyncio.gather(*(self._client(i) for i in range(self.clients)))

    def stop(self) -> None:
        """Let each client end what it asks now."""
        self.is_over = True

    async def _client(self, index: int) -> None:
        rng = random.Random(self.seed * 1000 + index)
        pause_s = self.clients / self.per_s if self.per_s else 0.0
        next_at = time.monotonic() + rng.random() * pause_s
        wire: Wire | None = None
        while not self.is_over and not (self.most and self._asked >= self.most):
            self._asked += 1
            if pause_s:
                await asyncio.sleep(next_at - time.monotonic())
                next_at = max(next_at + pause_s, time.monotonic() - 1.0)
            wire = await self._ask(wire, rng)
        if wire is not None:
            await wire.hang_up()

    async def _ask(self, wire: Wire | None, rng: random.Random) -> Wire | None:
        asked = draw(self.mix, rng, next(self._ids))
        data = written(asked, self.mix, rng)
        self.ledger.send(asked)
        try:
            if wire is None or not wire.is_open:
                wire = await self._connect()
        except OSError:
            self.ledger.end(asked, End.FAILED, "unconnected")
            await asyncio.sleep(0.01)
            return None
        answer = wire.ask(data)
        if asked.mood is Mood.LEAVER:
            await asyncio.sleep(rng.uniform(0, 0.005))
            is_rude = rng.random() < 0.5
            wire.close(is_rude=is_rude)
            self.ledger.end(asked, End.LEFT)
            await wire.hang_up()
            return None
        try:
            seen = await asyncio.wait_for(answer, asked.timeout_s + HUNG_S)
        except TimeoutError:
            self.ledger.end(asked, End.HUNG, f"no end within {asked.timeout_s + HUNG_S:.3f} s")
            await wire.hang_up()
            return None
        self.ledger.answered(asked, seen)
        return wire

    async def _connect(self) -> Wire:
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(
            lambda: Wire(self.ledger.stray), "127.0.0.1", self.port
        )
        return wire
