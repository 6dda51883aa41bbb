"""Warm a loaded model before anybody waits for it, and measure what an item and a batch cost."""

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headway.model.marks import Context
from headway.model.opening import Opened

if TYPE_CHECKING:
    from headway.engine.coroutines import Coroutines

log = logging.getLogger(__name__)

BUDGET_S = 0.25
"""How long batches of growing size are tried, once one item has been."""
LARGEST = 64


@dataclass(slots=True)
class Warmth:
    """What was measured: seconds of a model call by its number of rows."""

    costs: dict[int, float] = field(default_factory=dict)

    @property
    def item_s(self) -> float | None:
        """Seconds of one item; None if there was nothing to try."""
        return self.costs.get(1)


def warm(opened: Opened, coroutines: "Coroutines | None") -> Warmth:
    """Ask the model its own examples: once to warm it, then to measure."""
    warmth = Warmth()
    started = time.perf_counter()
    rows = 1
    while rows <= min(LARGEST, opened.wire.max_rows):
        try:
            if rows == 1 and _ask(opened, coroutines, 1) is None:
                return warmth
            cost = min(_ask(opened, coroutines, rows) or 0.0 for _ in range(1 if rows > 8 else 3))
        except BaseException:  # the author's code; he reads it in the log, and the model serves on
            log.warning("warm_up_failed", exc_info=True, extra={"rows": rows})
            return warmth
        warmth.costs[rows] = cost
        if not opened.signature.is_batched or time.perf_counter() - started > BUDGET_S:
            return warmth
        rows *= 2
    return warmth


def _ask(opened: Opened, coroutines: "Coroutines | None", rows: int) -> float | None:
    """Ask once; returns the seconds that it took, None if there is no example."""
    call = opened.example_call(rows)
    if call is None or opened.signature.is_stream:
        return None
    started = time.perf_counter()
    arguments = (
        opened.wire.gather([(call, None)])
        if opened.signature.is_batched
        else opened.wire.item(call, 0)
    )
    if opened.signature.context is not None:
        arguments[opened.signature.context] = Context("warm-up", {}, None)
    output = opened.predict(**arguments)
    if opened.signature.is_async and coroutines is not None:
        output = coroutines.await_all([output])[0]
    if isinstance(output, BaseException):
        raise output
    if opened.signature.is_batched:
        opened.wire.scatter(output, rows)
    return time.perf_counter() - started
