"""The answers of one model that requests share in one gateway: those that are kept, and those under way.

A request is known by a keyed hash of all that its answer follows from: the protocol, what it asks for, the query, the
headers that protocol and predictor declare, and the body, byte by byte. The shelf of a generation begins empty, so
that no answer outlives the model that gave it.

Theory of operation. The first of equal requests runs; those that come meanwhile are attached to it (`Share`), each
with its own deadline, and are not queued. What the run brings is theirs too, if it is an answer. If it is an error
that the worker told, each of them asks by itself; if its worker was lost for good, they are told so, since they would
end the same. A caller of the run that leaves, or is late, leaves the run to the others: it goes on for nobody
(`NOBODY`), until the last of them has left. What all of them may meet is in `life`; who is told, in `sharing`.
"""

import secrets
from hashlib import blake2b

import msgspec

from headway.config import ModelSettings
from headway.engine.cache import Cache
from headway.engine.exchange import NOBODY
from headway.engine.frames import Answer, Question
from headway.engine.life import Event, Flight, State
from headway.engine.messages import Loaded
from headway.observe.metrics import Tally
from headway.protocols import Reply

MAX_BODY_BYTES = 2**20
"""A larger request is not looked up: the others of the gateway would wait for its hash, a millisecond a MiB."""
KEY_BYTES = 16

_HIT = ("cache-status", "headway; hit")
_COLLAPSED = ("cache-status", "headway; fwd=miss; collapsed")
"""RFC 9211 section 2.6: "collapsed" says that the request was "collapsed together with one or more other requests"."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Share:
    """One run, and the equal requests that wait for its answer."""

    __slots__ = ("key", "others", "run", "shelf")

    def __init__(self, shelf: "Shelf", key: bytes, run: Flight) -> None:
        self.shelf = shelf
        self.key = key
        self.run = run
        self.others: dict[int, Flight] = {}

    def runs_on(self, flight: Flight) -> bool:
        """Whether a flight is the run, and others wait for it, so that it may not end with its caller."""
        return flight is self.run and bool(self.others)

    @property
    def is_forsaken(self) -> bool:
        """Nobody waits for the run any more."""
        run = self.run
        return run.exchange is NOBODY and not self.others and run.state is not State.DONE

    def end(self, flight: Flight) -> bool:
        """Let a flight go that is over; returns whether it was the run."""
        if flight is self.run:
            self.shelf.close(self)
            return True
        if self.others.pop(flight.id, None) is not None:
            flight.pool.tally.cache_waiting -= 1.0
        return False

    def keep(self, reply: Reply, now: float) -> Reply:
        """Keep the run's answer; returns it as the others get it."""
        self.shelf.keep(self, reply, now)
        return marked(reply, _COLLAPSED)


class Shelf:
    """What one model's requests share.

    Args:
        limit_bytes: of kept answers, in this gateway.
        ttl_s: no answer is given for longer.
        generation: of the workers whose answers these are.
        tally: where to count.
    """

    def __init__(self, limit_bytes: int, ttl_s: float, generation: int, tally: Tally) -> None:
        self._cache: Cache[Reply] = Cache(limit_bytes, ttl_s)
        self._generation = generation
        self._tally = tally
        self._secret = secrets.token_bytes(32)
        self._under_way: dict[bytes, Share] = {}
        tally.cache_bytes = 0.0

    def key(self, question: Question, body: bytes) -> bytes | None:
        """What a request is known by; None where it is too large to be looked up."""
        if len(body) > MAX_BODY_BYTES:
            return None
        # One msgpack value ends where it ends, so that nothing of the body can pass for a part of it.
        asked = _encode((question.codec, question.op, question.headers, question.query))
        digest = blake2b(asked, digest_size=KEY_BYTES, key=self._secret)
        digest.update(body)
        return digest.digest()

    def find(self, key: bytes, now: float) -> Reply | None:
        """The answer that is kept; None: there is none."""
        reply = self._cache.get(key, now)
        if reply is not None:
            self._tally.hit()
        return reply

    def attach(self, key: bytes, flight: Flight) -> bool:
        """Let a request wait for an equal one that is under way.

        Returns:
            Whether there is one that it may wait for: of no lower priority, and not in a worker of an earlier
            generation, which it would not have been sent to.
        """
        share = self._under_way.get(key)
        if share is None:
            return False
        run = share.run
        is_old = run.slot is not None and run.slot.worker.generation != self._generation
        if is_old or run.priority > flight.priority or run.state is State.DONE:
            return False
        flight.step(Event.ATTACH)
        flight.body, flight.share = run.body, share
        share.others[flight.id] = flight
        self._tally.cache_waiting += 1.0
        return True

    def lead(self, key: bytes, flight: Flight) -> None:
        """A request runs; equal ones that come may wait for it."""
        flight.share = self._under_way[key] = Share(self, key, flight)
        self._tally.missed()

    def keep(self, share: Share, reply: Reply, now: float) -> None:
        """Keep the answer of a run that has just ended, unless an earlier generation gave it."""
        if share.run.slot.worker.generation != self._generation:
            return
        cache, evictions = self._cache, self._cache.evictions
        size = len(reply.body) + sum(len(n) + len(v) for n, v in reply.headers)
        cache.put(share.key, marked(reply, _HIT), size, now)
        self._tally.kept(cache.bytes, cache.evictions - evictions)

    def close(self, share: Share) -> None:
        """Nobody attaches to this run any more."""
        if self._under_way.get(share.key) is share:
            del self._under_way[share.key]


def marked(reply: Reply, field: tuple[str, str]) -> Reply:
    """A reply with one more header."""
    return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, field))


def is_answer(answer: Answer) -> bool:
    """Whether a whole answer is everybody's who asks the same: no error, and none of a row in it."""
    return answer.status == 200 and not answer.is_mixed


def shelf_of(
    settings: ModelSettings, loaded: Loaded, generation: int, gateways: int, tally: Tally
) -> Shelf | None:
    """The shelf of a loaded model, where its settings ask for one and its predictor allows it."""
    description = loaded.description
    if not settings.cache_bytes or not description.is_cacheable:
        return None
    return Shelf(settings.cache_bytes // gateways, settings.cache_ttl_s, generation, tally)
