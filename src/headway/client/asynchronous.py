"""`headway.AsyncClient`: ask a server from asyncio; any number of tasks of one loop may share one.

A thin shell: what is asked and how is `caller` and `asking`, what waits is `loops`. Its names and arguments are
those of `blocking`, which says what they mean.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self

from headway.client.address import read_address
from headway.client.asking import Lines, Options
from headway.client.caller import Caller, Errors, Target
from headway.client.loops import LoopConnection, Loops
from headway.client.sockets import Verify, tls_context


class AsyncClient:
    """Asks the models of one server; `Client` has the same arguments.

        async with AsyncClient("http://127.0.0.1:8000") as client:
            await client.sentiment(text="fine")

    A task that is cancelled closes the connection of its question, so that the server drops it.
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
        self._io = Loops(address, max_connections, tls_context(address, verify))
        self._caller = Caller.of(address, key, self._io)

    def __getattr__(self, name: str) -> "AsyncModel":
        if name.startswith("_"):
            raise AttributeError(name)
        return self.model(name)

    async def __call__(self, model: str, /, **inputs: Any) -> Any:
        """Ask a model about one item."""
        return await self.model(model)(**inputs)

    def model(  # noqa: PLR0913  (keywords, each with a default)
        self,
        name: str,
        *,
        version: str = "",
        timeout_s: float | None = None,
        retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        priority: str | None = None,
    ) -> "AsyncModel":
        """One model, and how it is asked."""
        options = self._options.with_(
            headers, timeout_s=timeout_s, retries=retries, priority=priority
        )
        return AsyncModel(self._caller, Target(name, version, options))

    def stream(self, model: str, /, **inputs: Any) -> "AsyncStream":
        """Ask a model that streams: `async for item in client.stream("story", prompt="Once")`."""
        return self.model(model).stream(**inputs)

    async def models(self) -> list[dict[str, Any]]:
        """The models that are served."""
        return await self._caller.models(self._options)

    async def ready(self) -> bool:
        """Whether the server answers; False also where there is none."""
        return await self._caller.is_ready(self._options)

    async def schema(self, model: str) -> Mapping[str, Any]:
        """What a model takes and answers."""
        return await self.model(model).schema()

    async def close(self) -> None:
        """Close all connections."""
        await self._io.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncModel:
    """One model of a server; made by an `AsyncClient`."""

    def __init__(self, caller: Caller[LoopConnection], target: Target) -> None:
        self._caller = caller
        self._target = target

    async def __call__(self, /, **inputs: Any) -> Any:
        """Ask about one item."""
        return await self._caller.ask(self._target, inputs)

    async def batch(
        self, rows: Iterable[Mapping[str, Any]], *, errors: Errors = "raise"
    ) -> list[Any]:
        """Ask about many items at once."""
        return await self._caller.batch(self._target, rows, errors)

    def stream(self, **inputs: Any) -> "AsyncStream":
        """Ask about one item, and have its answer piece by piece."""
        return AsyncStream(self._caller, self._target, inputs)

    async def arrays(self, **inputs: Any) -> dict[str, Any]:
        """Ask with whole batches as numpy's arrays, rows in front."""
        return await self._caller.arrays(self._target, inputs)

    async def schema(self) -> Mapping[str, Any]:
        """What it takes and answers."""
        return (await self._caller.describe(self._target, is_anew=True)).details

    async def ready(self) -> bool:
        """Whether it can answer now."""
        return await self._caller.is_model_ready(self._target)


class AsyncStream(AsyncIterator[Any]):
    """The items of an answer as they come; it is asked for with the first. Closing it early cancels the rest."""

    def __init__(
        self, caller: Caller[LoopConnection], target: Target, inputs: Mapping[str, Any]
    ) -> None:
        self._caller = caller
        self._target = target
        self._inputs = inputs
        self._lines: Lines[LoopConnection] | None = None

    async def __anext__(self) -> Any:
        if self._lines is None:
            self._lines = await self._caller.stream(self._target, self._inputs)
        has_more, item = await self._lines.next_item()
        if not has_more:
            raise StopAsyncIteration
        return item

    async def close(self) -> None:
        """Read no further; the server is told by the end of the connection."""
        if self._lines is not None:
            self._lines.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
