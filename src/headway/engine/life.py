"""A request's life as one pure state machine: what may happen to it, and what is to be done then.

    QUEUED ──DISPATCH──▶ SENT ──ANSWER──▶ DONE          deliver
      ▲                   │ ├──HEAD─────▶ STREAMING ──CHUNK──▶ STREAMING ──END──▶ DONE
      └──────LOST─────────┘ └──LOST─────▶ DONE          (may not be repeated, or tried often enough)
    STREAMING ──FEED──▶ STREAMING                       pass on what the caller sends meanwhile
    any but DONE ──CANCEL──▶ DONE                       the caller left: its batch-mates never notice
    any but DONE ──EXPIRE──▶ DONE                       answered 504; what comes later is dropped
    QUEUED ──ATTACH──▶ ATTACHED ──ANSWER──▶ DONE        an equal request was under way: its answer is delivered
    ATTACHED ──RELEASE──▶ QUEUED                        that one brought no answer: ask by itself
    ATTACHED ──LOST──▶ DONE                             that one was given up, and so is this

A worker's death is LOST for each request in it. Such a request goes back to the front of its queue and is then
sent alone, so that a query of death takes no innocent with it; the second time it is given up.
"""

from enum import IntEnum
from typing import Any

from msgspec import Struct


class State(IntEnum):
    """Where a request is."""

    QUEUED = 0
    SENT = 1
    STREAMING = 2
    DONE = 3
    ATTACHED = 4
    """It waits for the answer of an equal request (`shelf`), and is in no queue."""


class Event(IntEnum):
    """What happens to it."""

    DISPATCH = 0
    ANSWER = 1
    HEAD = 2
    CHUNK = 3
    END = 4
    CANCEL = 5
    EXPIRE = 6
    LOST = 7
    ATTACH = 8
    RELEASE = 9
    FEED = 10
    """The caller sends on."""


class Act(IntEnum):
    """What is to be done."""

    DROP = 0
    """Nothing: too late, or nobody waits."""
    SEND = 1
    DELIVER = 2
    WITHDRAW = 3
    """Take it out of the queue; nobody waits."""
    RECALL = 4
    """Tell the worker to stop; nobody waits."""
    REFUSE_LATE = 5
    """Take it out of the queue and answer that its time is over."""
    STOP_LATE = 6
    """Tell the worker to stop and answer that the time is over."""
    RETRY = 7
    """Back to the front of the queue, to be sent alone."""
    GIVE_UP = 8
    """Answer that the worker was lost, or that this request kills workers."""
    BREAK_OFF = 9
    """End a stream that has begun: no other answer can be given any more."""
    DETACH = 10
    """Forget it; the request that it waited for goes on without it."""
    REFUSE_DETACHED = 11
    """Answer that its time is over; the request that it waited for goes on without it."""
    WAIT = 12
    QUEUE = 13
    PASS_ON = 14
    """Give the worker what the caller has sent."""


_Row = tuple[tuple[State, Act], ...]


def _row(state: State, **changes: tuple[State, Act]) -> _Row:
    return tuple(changes.get(e.name, (state, Act.DROP)) for e in Event)


_S, _A = State, Act
TABLE: tuple[_Row, ...] = (
    _row(
        _S.QUEUED,
        DISPATCH=(_S.SENT, _A.SEND),
        CANCEL=(_S.DONE, _A.WITHDRAW),
        EXPIRE=(_S.DONE, _A.REFUSE_LATE),
        ATTACH=(_S.ATTACHED, _A.WAIT),
    ),
    _row(
        _S.SENT,
        ANSWER=(_S.DONE, _A.DELIVER),
        HEAD=(_S.STREAMING, _A.DELIVER),
        CANCEL=(_S.DONE, _A.RECALL),
        EXPIRE=(_S.DONE, _A.STOP_LATE),
        LOST=(_S.QUEUED, _A.RETRY),
    ),
    _row(
        _S.STREAMING,
        CHUNK=(_S.STREAMING, _A.DELIVER),
        END=(_S.DONE, _A.DELIVER),
        CANCEL=(_S.DONE, _A.RECALL),
        EXPIRE=(_S.DONE, _A.BREAK_OFF),
        LOST=(_S.DONE, _A.BREAK_OFF),
        FEED=(_S.STREAMING, _A.PASS_ON),
    ),
    _row(_S.DONE),
    _row(
        _S.ATTACHED,
        ANSWER=(_S.DONE, _A.DELIVER),
        CANCEL=(_S.DONE, _A.DETACH),
        EXPIRE=(_S.DONE, _A.REFUSE_DETACHED),
        LOST=(_S.DONE, _A.GIVE_UP),
        RELEASE=(_S.QUEUED, _A.QUEUE),
    ),
)
"""By state, then event: the next state and the act. What is not listed changes nothing."""

MAX_ATTEMPTS = 2


class Flight(Struct, eq=False):
    """One request under way. Times are in seconds of the monotonic clock."""

    id: int
    body: bytes
    size: int
    """Bytes of the body."""
    queued_at: float
    timeout_s: float
    deadline: float
    ask: Any = None
    """Its question (`frames.Question`)."""
    pool: Any = None
    exchange: Any = None
    """Who waits, with the serial number and the id that it gave the request."""
    serial: int = 0
    request_id: str = ""
    priority: int = 1
    state: State = State.QUEUED
    slot: Any = None
    """The link that it was sent on."""
    sent_at: float = 0.0
    attempts: int = 0
    is_alone: bool = False
    share: Any = None
    """With which equal requests it shares an answer (`shelf.Share`)."""
    trace: Any = None
    """Its span (`spans.Trace`), where one is made."""
    is_patient: bool = False
    """Nobody waits on a connection for it: it is a job."""

    def step(self, event: Event) -> Act:
        """Let something happen; returns what is to be done."""
        self.state, act = TABLE[self.state][event]
        return act

    def lose(self, *, is_idempotent: bool) -> Act:
        """Its worker died. Only a request that may be repeated, and was not yet, is tried again."""
        act = self.step(Event.LOST)
        if act is not Act.RETRY:
            return act
        if is_idempotent and self.attempts < MAX_ATTEMPTS:
            self.is_alone = True
            return act
        self.state = State.DONE
        return Act.GIVE_UP
