"""Who of a model's workers may get requests of this gateway: what `ejection` decides is carried out here. Thin.

Each gateway decides by itself, of what it sees: no worker waits for the word of another process. The supervisor is
told, for the log and for the operator.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from headway.engine.ejection import Counts, Ejections
from headway.engine.frames import Answer
from headway.engine.link import Peer, SlotLink
from headway.engine.messages import Ejected
from headway.observe.metrics import OUTCOMES

if TYPE_CHECKING:
    from headway.engine.pool import Pool

LOOK_S = 1.0
_OK = OUTCOMES.index("ok")
_FAULTS = (OUTCOMES.index("model"), OUTCOMES.index("internal"))


class Rotation:
    """The workers of one pool that have failed."""

    def __init__(self, pool: "Pool", tell: Callable[[Any], object]) -> None:
        self._pool = pool
        self._tell = tell
        self._ejections = Ejections()
        self._alarm: asyncio.TimerHandle | None = None

    def judge(self, link: SlotLink, answers: Sequence[Answer]) -> None:
        """See what answers say of a worker; asked where the first is none, or the worker is in doubt."""
        peer = link.worker
        if any(a.outcome == _OK for a in answers):
            peer.is_doubted = peer.is_suspended  # what comes late from one who is out says little
            self._ejections.well(peer.id)
            return
        failed = sum(a.outcome in _FAULTS for a in answers)
        if not failed or link.is_blamed:
            return
        peer.is_doubted = link.is_blamed = True
        tally, others = self._pool.tally, len(self._peers() - {peer})
        counts = Counts(tally.cells[_OK], sum(tally.cells[i] for i in _FAULTS))
        out_s = self._ejections.failed(peer.id, failed, counts, others, time.monotonic())
        if out_s:
            peer.rest(is_ejected=True)
            tally.ejected()
            self._tell(Ejected(peer.id, out_s))
            self._set_alarm()

    def review(self) -> None:
        """Let in whose time is over, or who is needed now: a worker has gone, or stands still."""
        known = {link.worker.id: link.worker for link in self._pool.links}
        for worker in list(self._ejections.due(len(self._peers()), time.monotonic())):
            peer = known.get(worker)
            if peer is not None:
                peer.rest(is_ejected=False)
                self._tell(Ejected(worker, 0.0))
                self._pool.wake()
                self._pool.demand()

    def left(self, peer: Peer) -> None:
        """A worker gets nothing any more."""
        self._ejections.left(peer.id)
        if self._ejections.out:
            self.review()

    def _peers(self) -> set[Peer]:
        """Workers that are in rotation."""
        return {link.worker for link in self._pool.links if not link.worker.is_suspended}

    def _set_alarm(self) -> None:
        """Look each second while somebody is out."""
        if self._alarm is None:
            self._alarm = self._pool.loop.call_later(LOOK_S, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.review()
        if self._ejections.out:
            self._set_alarm()
