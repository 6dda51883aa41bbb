"""What a server did between two scrapes: rates, and quantiles from how its histograms grew. Pure: told the time.

A counter that is less than before has begun anew, so all of it has happened since; a server that was started since
then has begun all of them anew.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headway.observe.scrape import Scrape


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model. Rates are a second's; None: nobody knows, for there was one scrape, or nothing happened."""

    name: str
    is_ready: bool | None
    outcomes: Mapping[str, float]
    """Requests that ended, by outcome."""
    rows: float | None
    p50_s: float | None
    p99_s: float | None
    queue_p99_s: float | None
    grab: float | None
    """Mean requests of a grab."""
    batch: float | None
    """Mean rows of a model call."""
    cached: float | None
    """Share of the lookups that a kept answer answered."""
    queue: float
    in_flight: float
    restarts: float
    ejections: float
    """Both since the server started."""


@dataclass(frozen=True, slots=True)
class View:
    """A server."""

    version: str
    started_s: float
    connections: float
    opened: float | None
    unrouted: float | None
    """Requests that reached no model."""
    models: Sequence[ModelView]


def view(before: Scrape | None, after: Scrape, seconds: float) -> View:
    """What happened between two scrapes.

    Args:
        before: the earlier one; None if there was none.
        after: the later one.
        seconds: between them.
    """
    started_s = after.get("start_time_seconds") or 0.0
    growth = Growth(before, after, seconds)
    return View(
        version=next((labels["version"] for labels, _ in after.series("info")), ""),
        started_s=started_s,
        connections=after.get("connections") or 0.0,
        opened=growth.rate("connections_total"),
        unrouted=growth.rate("requests_total", model=""),
        models=[_model(growth, n) for n in after.values("requests_total", "model") if n],
    )


class Growth:
    """How counters grew between two scrapes."""

    def __init__(self, before: Scrape | None, after: Scrape, seconds: float) -> None:
        start = "start_time_seconds"
        is_new = before is not None and before.get(start) != after.get(start)
        self._before = Scrape("headway_info 1") if is_new else before
        self._seconds = seconds
        self.after = after

    def grown(self, name: str, **labels: str) -> float | None:
        """By how much; None if that is not known."""
        now = self.after.get(name, **labels)
        if now is None or self._before is None:
            return None
        then = self._before.get(name, **labels) or 0.0
        return now - then if now >= then else now

    def rate(self, name: str, **labels: str) -> float | None:
        """By how much a second."""
        grown = self.grown(name, **labels)
        return None if grown is None else grown / self._seconds

    def buckets(self, name: str, model: str) -> list[tuple[float, float]]:
        """By how much each bucket of a histogram, as (upper bound, how many up to it)."""
        if self._before is None:
            return []
        now = _buckets(self.after, name, model)
        then = _buckets(self._before, name, model)
        grown = [(bound, count - then.get(bound, 0.0)) for bound, count in now.items()]
        is_anew = any(count < 0 for _, count in grown)
        return list(now.items()) if is_anew else grown

    def mean(self, name: str, model: str) -> float | None:
        """The mean of what a histogram saw."""
        total = self.grown(f"{name}_sum", model=model)
        count = self.grown(f"{name}_count", model=model)
        return total / count if total is not None and count else None


def _buckets(scrape: Scrape, name: str, model: str) -> dict[float, float]:
    found = scrape.series(f"{name}_bucket", model=model)
    return {float(labels["le"]): count for labels, count in found}


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """The value that this share does not exceed, by a straight line through its bucket; inf: beyond every bound."""
    if not buckets or not buckets[-1][1]:
        return None
    rank = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return (
                bound
                if math.isinf(bound)
                else low + (bound - low) * (rank - below) / (count - below)
            )
        low, below = bound, count
    return None


def _model(growth: Growth, name: str) -> ModelView:
    after = growth.after
    ready = after.get("model_ready", model=name)
    took = growth.buckets("request_seconds", name)
    outcomes = {
        outcome: rate
        for outcome in after.values("requests_total", "outcome")
        if (rate := growth.rate("requests_total", model=name, outcome=outcome)) is not None
    }
    return ModelView(
        name=name,
        is_ready=None if ready is None else bool(ready),
        outcomes=outcomes,
        rows=growth.rate("rows_total", model=name),
        p50_s=quantile(took, 0.5),
        p99_s=quantile(took, 0.99),
        queue_p99_s=quantile(growth.buckets("queue_seconds", name), 0.99),
        grab=growth.mean("grab_requests", name),
        batch=growth.mean("batch_rows", name),
        cached=_cached(growth, name),
        queue=after.get("queue_requests", model=name) or 0.0,
        in_flight=after.get("in_flight", model=name) or 0.0,
        restarts=after.get("worker_restarts_total", model=name) or 0.0,
        ejections=after.get("worker_ejections_total", model=name) or 0.0,
    )


def _cached(growth: Growth, name: str) -> float | None:
    """None also where the server keeps no answers."""
    hits = growth.grown("cache_hits_total", model=name)
    misses = growth.grown("cache_misses_total", model=name)
    looked_up = (hits or 0.0) + (misses or 0.0)
    return (hits or 0.0) / looked_up if looked_up else None
