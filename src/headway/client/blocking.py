"""`headway.Client`: ask a server from plain Python; any number of threads may share one.

A thin shell: what is asked and how is `caller` and `asking`, what blocks is `sockets`.
"""

import weakref
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

from headway.client.address import read_address
from headway.client.asking import Lines, Options
from headway.client.caller import Caller, Errors, Target
from headway.client.sockets import SocketConnection, Sockets, Verify, tls_context

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """End a coroutine whose I/O blocks: it never suspends."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("a blocking client's coroutine was suspended")


class Client:
    """Asks the models of one server.

        with Client("http://127.0.0.1:8000") as client:
            client.sentiment(text="fine")

    A model is an attribute (`-` and `.` in its name are `_` there), or `client.model("its name")`.

    Args:
        url: `http://HOST:PORT`, `https://HOST/PREFIX` or `http+unix:///PATH`.
        key: API key; by default that of the variable `HEADWAY_KEY`, if there is one.
        timeout_s: an answer or an error is there within this, whatever happens.
        retries: most attempts after the first (docs/how-to/ask-from-python.md says when).
        headers: sent with each question.
        max_connections: at a time; who finds none free waits.
        verify: True checks the server's certificate, a path names the authorities' file, False checks nothing.

    Raises:
        ConfigError: one of these can't be meant.
    """

    def __init__(  # noqa: PLR0913  (keywords, each with a default)
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 100,
        verify: Verify = True,
    ) -> None:
        address = read_address(url)
        self._options = Options(timeout_s, retries).with_(headers)
        self._io = Sockets(address, max_connections, tls_context(address, verify))
        self._caller = Caller.of(address, key, self._io)
        self._end = weakref.finalize(self, self._io.close)

    def __getattr__(self, name: str) -> "Model":
        if name.startswith("_"):
            raise AttributeError(name)
        return self.model(name)

    def __call__(self, model: str, /, **inputs: Any) -> Any:
        """Ask a model about one item: `client("sentiment", text="fine")`."""
        return self.model(model)(**inputs)

    def model(  # noqa: PLR0913  (keywords, each with a default)
        self,
        name: str,
        *,
        version: str = "",
        timeout_s: float | None = None,
        retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        priority: str | None = None,
    ) -> "Model":
        """One model, and how it is asked.

        Args:
            name: of the model.
            version: of the model; "" for the one that answers by default.
            timeout_s: as of the client.
            retries: as of the client.
            headers: sent with each question, such as `x-request-id` and `traceparent`.
            priority: "high", "normal" or "low".
        """
        options = self._options.with_(
            headers, timeout_s=timeout_s, retries=retries, priority=priority
        )
        return Model(self._caller, Target(name, version, options))

    def stream(self, model: str, /, **inputs: Any) -> "Stream":
        """Ask a model that streams: `for item in client.stream("story", prompt="Once")`."""
        return self.model(model).stream(**inputs)

    def models(self) -> list[dict[str, Any]]:
        """The models that are served: `name`, `versions`, `ready`."""
        return run(self._caller.models(self._options))

    def ready(self) -> bool:
        """Whether the server answers; False also where there is none."""
        return run(self._caller.is_ready(self._options))

    def schema(self, model: str) -> Mapping[str, Any]:
        """What a model takes and answers: `input_schema`, `output_schema`, `examples`, `doc`."""
        return self.model(model).schema()

    def close(self) -> None:
        """Close all connections."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Model:
    """One model of a server; made by a `Client`."""

    def __init__(self, caller: Caller[SocketConnection], target: Target) -> None:
        self._caller = caller
        self._target = target

    def __call__(self, /, **inputs: Any) -> Any:
        """Ask about one item.

        Returns:
            The answer as JSON holds it; for a model that streams, a list of its items.

        Raises:
            HeadwayError: what the server told (`headway.errors`), or that nobody answered.
        """
        return run(self._caller.ask(self._target, inputs))

    def batch(self, rows: Iterable[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """Ask about many items at once.

        Args:
            rows: each an item's inputs by name.
            errors: "item" puts a row's error in its place, "raise" raises the first.

        Returns:
            The answers, in the order of the rows.
        """
        return run(self._caller.batch(self._target, rows, errors))

    def stream(self, **inputs: Any) -> "Stream":
        """Ask about one item, and have its answer piece by piece."""
        return Stream(run(self._caller.stream(self._target, inputs)))

    def arrays(self, **inputs: Any) -> dict[str, Any]:
        """Ask with whole batches as numpy's arrays, rows in front; the outputs are arrays by name."""
        return run(self._caller.arrays(self._target, inputs))

    def schema(self) -> Mapping[str, Any]:
        """What it takes and answers, as `GET /models/NAME` tells."""
        return run(self._caller.describe(self._target, is_anew=True)).details

    def ready(self) -> bool:
        """Whether it can answer now."""
        return run(self._caller.is_model_ready(self._target))


class Stream(Iterator[Any]):
    """The items of an answer as they come; closing it early cancels the rest."""

    def __init__(self, lines: Lines[SocketConnection]) -> None:
        self._lines = lines
        self._end = weakref.finalize(self, lines.close)

    def __next__(self) -> Any:
        has_more, item = run(self._lines.next_item())
        if not has_more:
            raise StopIteration
        return item

    def close(self) -> None:
        """Read no further; the server is told by the end of the connection."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
