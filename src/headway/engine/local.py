"""The worker's loop in the caller's own process: for tests, batch jobs, and inside other applications.

One code path: what is asked here is decoded, checked, batched, predicted and encoded as a request is.
"""

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from headway import plugins
from headway.config import ModelSpec
from headway.engine import fetch, threads
from headway.engine.cap import Cap
from headway.engine.coroutines import Coroutines
from headway.engine.frames import CHUNK
from headway.engine.questions import Questions
from headway.engine.ticket import Bounds, Said, Say, Ticket, Timing
from headway.errors import ConfigError
from headway.model import project
from headway.model.call import EXPLAIN
from headway.model.opening import Opened, open_predictor, open_spec
from headway.model.values import plain
from headway.protocols import Ask

_MAX_ROWS = 64
_MAX_BODY_BYTES = 1 << 32


class Loaded:
    """A predictor with everything that a request meets: decode, check, batch, predict, encode.

    Safe to use from several threads: calls of a predictor that is not thread-safe wait for each other.
    """

    def __init__(self, opened: Opened, timeout_s: float = 3600.0) -> None:
        self._opened = opened
        self._timeout_s = timeout_s
        native = plugins.load("protocols", "native")
        # An error is raised here; it need not be written as a stream's last item.
        self._codec: Any = SimpleNamespace(**{**vars(native), "chunk_error": lambda *_: b""})
        is_async = any(question.signature.is_async for question in opened.questions)
        self._coroutines = Coroutines() if is_async else None
        bounds = Bounds(Cap(_MAX_ROWS), _MAX_BODY_BYTES, timeout_s)
        await_all = self._coroutines.await_all if self._coroutines else None
        self._questions = Questions(opened, bounds, await_all)
        self._lock = threading.Lock()

    @property
    def description(self) -> Any:
        """What the predictor takes and answers, as plain data."""
        return self._opened.description

    @property
    def opened(self) -> Opened:
        """The model itself, for who calls it by hand."""
        return self._opened

    def await_all(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Run coroutines of an async predictor on its loop; each one's value, or its exception in its place."""
        assert self._coroutines is not None, "an async predictor's"
        return self._coroutines.await_all(coroutines)

    def __call__(self, **inputs: Any) -> Any:
        """Ask about one item.

        Returns:
            What a client gets, as JSON holds it; for a stream, a list of its items.

        Raises:
            HeadwayError: as a client would be told: BadInput, Rejected, ModelFailed, ...
        """
        return self._ask(inputs)

    def explain(self, **inputs: Any) -> Any:
        """Ask about one item why it is answered so, of a predictor that has `explain`; as a call otherwise.

        Raises:
            NotOffered: it has none.
        """
        return self._ask(inputs, EXPLAIN)

    def stream(self, **inputs: Any) -> Generator[Any, None, None]:
        """Ask a predictor that streams, and have its answers while they are made.

        An input that is a stream may be any iterator: the predictor takes an item of it when it wants one. Who stops
        before the end has left, as a client may.

        Raises:
            HeadwayError: as a client would be told; what is wrong with the inputs, with the first answer.
        """
        fed = self._opened.signature.fed
        feed = _Feed(inputs[fed.name]) if fed is not None and fed.name in inputs else None
        if fed is not None and feed is not None:
            inputs = {**inputs, fed.name: []}
        ticket = self._ticket(inputs, feed)
        told: queue.Queue[Said | None] = queue.Queue(1)

        def say(ready: list[Said], timing: Timing, is_last: bool) -> None:
            for said in ready:
                told.put(said)

        def run() -> None:
            try:
                self._run([ticket], say)
            finally:
                told.put(None)

        threading.Thread(target=run, name="stream", daemon=True).start()
        said: Said | None = None
        try:
            while (said := told.get()) is not None:
                if said.error is not None:
                    raise said.error
                if said.part == CHUNK and said.body:
                    yield msgspec.json.decode(said.body)
        finally:
            ticket.cancel()
            while said is not None:
                said = told.get()

    def batch(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Ask about many items at once; the answers are in their order."""
        return list(self._ask(list(items)))

    def close(self) -> None:
        """Let the predictor go."""
        self._opened.close()
        if self._coroutines is not None:
            self._coroutines.close()

    def __enter__(self) -> "Loaded":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, inputs: Any, op: str = "predict") -> Any:
        said: list[Said] = []

        def say(ready: list[Said], timing: Timing, is_last: bool) -> None:
            said.extend(ready)

        self._run([self._ticket(inputs, op=op)], say)
        return _answer(said)

    def _ticket(self, inputs: Any, feed: "_Feed | None" = None, op: str = "predict") -> Ticket:
        body = msgspec.json.encode(inputs, enc_hook=_plain)
        ask = Ask(op, self._opened.description.name, "", body, {}, request_id="local")
        return Ticket(1, self._codec, ask, time.monotonic() + self._timeout_s, feed=feed)

    def _run(self, tickets: Sequence[Ticket], say: Say) -> None:
        if self._opened.is_thread_safe:
            self._questions.run(tickets, say)
        else:
            with self._lock:
                self._questions.run(tickets, say)


class _Feed:
    """Items of the caller's own iterator, as messages; else as `inbox.Inbox`."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    def take(self) -> tuple[bytes, bool] | None:
        """The next item; None after the last one."""
        for item in self._items:
            if isinstance(item, bytes | bytearray | memoryview):
                return bytes(item), False
            return msgspec.json.encode(item, enc_hook=_plain), True
        return None

    async def take_async(self) -> tuple[bytes, bool] | None:
        """The same; the loop goes on meanwhile."""
        return await asyncio.to_thread(self.take)

    def close(self) -> None:
        """The iterator is the caller's own."""

    async def aclose(self) -> None:
        """The iterator is the caller's own."""


def _plain(value: Any) -> Any:
    """What JSON does not know; a Path stands for its file's content."""
    return value.read_bytes() if isinstance(value, Path) else plain(value)


def _answer(said: Sequence[Said]) -> Any:
    error = next((s.error for s in said if s.error is not None), None)
    if error is not None:
        raise error
    if any(s.part == CHUNK for s in said) or len(said) != 1:
        return [msgspec.json.decode(s.body) for s in said if s.part == CHUNK]
    return msgspec.json.decode(said[0].body)


def load(what: "type | Callable[..., Any] | str | Path") -> Loaded:
    """Load a predictor into this process.

    Args:
        what: a Predictor class, an annotated function, or what `headway serve` takes: `file.py:Name`, a model
            file, a folder with one model.

    Raises:
        SignatureError: it can't be served.
        ConfigError: there is no such target, or it has several models.
    """
    if inspect.isclass(what) or (callable(what) and not isinstance(what, str | Path)):
        return Loaded(open_predictor(what))
    found = project.find_models(str(what))
    if len(found.models) != 1:
        names = ", ".join(spec.name for spec in found.models)
        raise ConfigError(where=str(what), problem=f"has several models ({names}); name one file")
    return load_spec(found.models[0])


def load_spec(spec: ModelSpec) -> Loaded:
    """Load one model of a project into this process. Raises HeadwayError."""
    count = threads.threads_of(spec.settings, threads.available_cores().count)
    opened = open_spec(spec, count, may_spin=False)
    fetch.allow(opened, spec.settings.fetch_urls, _MAX_BODY_BYTES)
    return Loaded(opened, spec.settings.timeout_s)
