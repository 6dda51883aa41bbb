"""Whose requests a worker is at: what the log says beside a line of the predictor's, or a fault."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from headway.engine.ticket import Piece
from headway.observe.log import ASKING, asking
from headway.observe.trace import trace_id
from headway.protocols import Ask


async def naming(coroutine: Awaitable[Any], ask: Ask) -> Any:
    """What one of many coroutines prints names its own request."""
    ASKING.set(partial(named, [ask]))
    return await coroutine


def who(asked: Sequence[Piece]) -> dict[str, Any]:
    """The requests of a model call."""
    return named([ticket.ask for ticket, _ in asked])


def named(asks: Sequence[Ask]) -> dict[str, Any]:
    """The ids of requests, and of their traces."""
    return asking([ask.request_id for ask in asks], (trace_id(ask.headers) for ask in asks))


def at_fault(asks: Sequence[Ask]) -> dict[str, Any]:
    """As `named`, with a list of requests also where it is one."""
    traces = asking((), (trace_id(ask.headers) for ask in asks))
    return {"request_ids": [ask.request_id for ask in asks], **traces}
