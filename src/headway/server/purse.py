"""What a client may cost for nothing: a purse that fills with time, and by what is done in earnest. Pure."""


class Purse:
    """A bounded sum.

    Args:
        most: it holds at most, and at first.
        per_s: it is filled by so much in a second.
        now: in seconds.
    """

    __slots__ = ("_filled_at", "_most", "_per_s", "_sum")

    def __init__(self, most: float, per_s: float, now: float) -> None:
        self._most = self._sum = most
        self._per_s = per_s
        self._filled_at = now

    def fill(self, now: float) -> None:
        """Let time pass."""
        self.earn((now - self._filled_at) * self._per_s)
        self._filled_at = now

    def earn(self, more: float) -> None:
        """Put some in."""
        self._sum = min(self._most, self._sum + more)

    def pay(self, price: float) -> bool:
        """Take some out; False if there is not enough."""
        self._sum -= price
        return self._sum >= 0
