"""An operator's verb: read by its protocol, carried out by the supervisor, answered in the protocol's own words."""

from collections.abc import Awaitable, Callable
from typing import cast

from headway.errors import HeadwayError, NotDone, UnknownModel
from headway.model.call import Order
from headway.protocols import Ask, Codec, Facts, Ordering, Reply, rendered

Obey = Callable[[Order], Awaitable[str]]
"""Carries an order out; "" or why it was not done."""


async def answer(codec: Codec, ask: Ask, facts: Callable[[], Facts], obey: Obey) -> Reply:
    """Carry out what a request asks for, and say so, or why not."""
    try:
        ordering = cast("Ordering", codec)
        order = ordering.order(ask, facts())
        models = facts().descriptions
        if order.verb != "set" and order.model not in models:
            raise UnknownModel(model=order.model, known=", ".join(models))
        if refusal := await obey(order):
            what = f"{order.verb} of {order.model!r}" if order.model else "the change"
            raise NotDone(what=what, reason=refusal.rstrip("."))
        return ordering.obeyed(ask, facts())
    except HeadwayError as e:
        return rendered(codec, ask, e)
