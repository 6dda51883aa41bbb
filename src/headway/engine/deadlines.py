"""Which requests' time is over: deadlines in coarse ticks, so that one timer serves them all. Pure.

Adding and discarding cost a dictionary operation each; nothing is kept of a request that is done.
"""

import heapq

from headway.engine.life import Flight

TICK_S = 1 / 64
"""An answer to a late request comes at most this much after its deadline, never before."""


class Deadlines:
    """The flights that still have a deadline ahead of them."""

    def __init__(self) -> None:
        self._ticks: dict[int, dict[int, Flight]] = {}
        self._order: list[int] = []

    def add(self, flight: Flight) -> None:
        """Watch a flight."""
        tick = int(flight.deadline / TICK_S) + 1
        flights = self._ticks.get(tick)
        if flights is None:
            flights = self._ticks[tick] = {}
            heapq.heappush(self._order, tick)
        flights[flight.id] = flight

    def discard(self, flight: Flight) -> None:
        """Stop watching a flight; it need not be known."""
        flights = self._ticks.get(int(flight.deadline / TICK_S) + 1)
        if flights is not None:
            flights.pop(flight.id, None)
            if not flights:
                flights.clear()  # an emptied dict keeps the room that it had

    def due(self, now: float) -> list[Flight]:
        """Take out the flights whose deadline has passed."""
        late: list[Flight] = []
        while self._order and self._order[0] * TICK_S <= now:
            late += self._ticks.pop(heapq.heappop(self._order)).values()
        return late

    def next(self) -> float | None:
        """When to look again; None while nothing is watched."""
        while self._order and not self._ticks[self._order[0]]:
            del self._ticks[heapq.heappop(self._order)]
        return self._order[0] * TICK_S if self._order else None
