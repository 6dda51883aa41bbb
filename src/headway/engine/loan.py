"""To which gateway a slot's one credit is lent, and who is next. Pure: what is to be said is returned, not sent.

A credit is the right to send one grab. It stays with its holder while nobody else wants it; else gateways take
turns, in the order in which they last had it. A holder that has nothing to send is asked to return it.

    join, want, returned, left ──▶ [(gateway, Notice.CREDIT | Notice.RECALL), ...]
"""

from enum import Enum

HANG_S = 10.0
"""A gateway that shows no sign of life for so long is ended: a credit that it has is free again."""


class Notice(Enum):
    """What a slot tells a gateway."""

    CREDIT = "credit"
    RECALL = "recall"


Notices = list[tuple[int, Notice]]


class Loan:
    """The credit of one slot."""

    def __init__(self) -> None:
        self.holder: int | None = None
        """The gateway that has the credit, or whose grab runs."""
        self._wants: dict[int, bool] = {}
        """Whether each gateway waits for the credit; who had it last is last."""

    def join(self, gateway: int) -> Notices:
        """A gateway is new."""
        self._wants[gateway] = False
        return self._lend(gateway) if self.holder is None else []

    def want(self, gateway: int) -> Notices:
        """A gateway has requests, and not the credit."""
        if self.holder == gateway or gateway not in self._wants:
            return []
        self._wants[gateway] = True
        assert self.holder is not None, "the first that joins has it, and it is always lent on"
        return [(self.holder, Notice.RECALL)]

    def keeps(self, gateway: int) -> bool:
        """Whether the gateway whose grab ends may have the next one too: nobody else waits."""
        return self.holder == gateway and self._next() is None

    def returned(self, gateway: int) -> Notices:
        """The credit is back: unspent, or its grab has ended."""
        if self.holder != gateway:
            return []
        self._wants[gateway] = self._wants.pop(gateway)  # the last in turn, from now on
        successor = self._next()
        return self._lend(gateway if successor is None else successor)

    def left(self, gateway: int) -> Notices:
        """A gateway is gone; its credit falls back to the slot."""
        self._wants.pop(gateway, None)
        if self.holder != gateway:
            return []
        self.holder = None
        successor = self._next()
        if successor is None:
            successor = next(iter(self._wants), None)
        return [] if successor is None else self._lend(successor)

    def _next(self) -> int | None:
        """Who waits, and has waited for a turn the longest."""
        return next((g for g, wants in self._wants.items() if wants and g != self.holder), None)

    def _lend(self, gateway: int) -> Notices:
        self._wants[gateway] = False
        self.holder = gateway
        notices = [(gateway, Notice.CREDIT)]
        if any(self._wants.values()):
            notices.append((gateway, Notice.RECALL))
        return notices
