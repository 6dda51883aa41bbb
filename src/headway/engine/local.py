"""The worker's loop in the caller's own process: for tests, batch jobs, and inside other applications.

One code path: what is asked here is decoded, checked, batched, predicted and encoded as a request is.
"""

import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway import plugins
from headway.config import ModelSpec
from headway.engine import fetch, threads
from headway.engine.cap import Cap
from headway.engine.coroutines import Coroutines
from headway.engine.frames import CHUNK
from headway.engine.grab import Run
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.errors import ConfigError
from headway.model import project
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
        self._bounds = Bounds(Cap(_MAX_ROWS), _MAX_BODY_BYTES, timeout_s)
        self._codec: Any = plugins.load("protocols", "native")
        self._coroutines = Coroutines() if opened.signature.is_async else None
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

    def _ask(self, inputs: Any) -> Any:
        body = msgspec.json.encode(inputs, enc_hook=_plain)
        ask = Ask("predict", self._opened.description.name, "", body, {}, request_id="local")
        ticket = Ticket(1, self._codec, ask, time.monotonic() + self._timeout_s)
        said: list[Said] = []

        def say(ready: list[Said], timing: Timing, is_last: bool) -> None:
            said.extend(ready)

        run = Run(
            self._opened,
            self._bounds,
            say,
            self._coroutines.await_all if self._coroutines else None,
        )
        if self._opened.is_thread_safe:
            run.run([ticket])
        else:
            with self._lock:
                run.run([ticket])
        return _answer(said)


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
