"""The items of a stream, as a generator that can be closed, whatever the predictor answered."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from headway.engine.blame import is_interrupt, raised
from headway.engine.ticket import AwaitAll

log = logging.getLogger(__name__)

_END = object()


def items_of(output: Any, await_all: AwaitAll) -> Iterator[Any]:
    """The items of an iterator, or of an async one that is run on the worker's loop."""
    return _async_items(output, await_all) if isinstance(output, AsyncIterator) else _items(output)


def fed_items(field: Any, held: Sequence[Any], inbox: Any) -> Any:
    """The iterator that a predictor takes: of the items that the request holds, or of those that are sent on.

    Args:
        field: of the parameter (`model.series.SeriesField`).
        held: the items of the request's body, in their JSON form.
        inbox: where the others come from; None where the body holds them all.
    """
    if field.is_async:
        return _fed_async(field, held, inbox)
    return _fed(field, held, inbox)


def _fed(field: Any, held: Sequence[Any], inbox: Any) -> Iterator[Any]:
    yield from map(field.one, held)
    while inbox is not None and (item := inbox.take()) is not None:
        yield field.read(*item)


async def _fed_async(field: Any, held: Sequence[Any], inbox: Any) -> AsyncIterator[Any]:
    for value in held:
        yield field.one(value)
    while inbox is not None and (item := await inbox.take_async()) is not None:
        yield field.read(*item)


def close(items: Any, who: Mapping[str, Any]) -> None:
    """Let a stream's generator tidy up; what it raises then concerns no caller, and is logged with `who` asked."""
    try:
        if hasattr(items, "close"):
            items.close()
    except BaseException as e:
        if is_interrupt(e):
            raise
        log.error("predict_failed", exc_info=True, extra=dict(who))


def _items(output: Any) -> Iterator[Any]:
    try:
        yield from output
    finally:
        if hasattr(output, "close"):
            output.close()


def _async_items(output: AsyncIterator[Any], await_all: AwaitAll) -> Iterator[Any]:
    try:
        while True:
            value = await_all([anext(output, _END)])[0]
            if raised(value) is _END:
                return
            yield value
    finally:
        if hasattr(output, "aclose"):
            await_all([output.aclose()])
