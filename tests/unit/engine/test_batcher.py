"""The batcher's laws, as a state machine in virtual time."""

import math

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from headway.engine.batcher import PRIORITIES, Batcher, Limits
from headway.engine.life import Event, Flight, State


def flight(id: int, size: int = 0, priority: int = 1, at: float = 0.0) -> Flight:
    made = Flight(id, b"x" * size, size, at, 60.0, at + 60.0)
    made.priority = priority
    return made


class Laws(RuleBasedStateMachine):
    """Each request leaves the queue once at most; a cancelled one never; bounds hold; order holds."""

    queued = Bundle("queued")

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(max_queue=8, max_queue_bytes=40, max_batch=3, max_batch_bytes=12)
        self.batcher = Batcher(self.limits)
        self.waiting: list[Flight] = []
        self.suspects: list[Flight] = []
        self.now = 0.0
        self.next_id = 0

    @rule(
        target=queued, size=st.integers(0, 15), priority=st.sampled_from(list(PRIORITIES.values()))
    )
    def submit(self, size: int, priority: int) -> Flight:
        self.next_id += 1
        made = flight(self.next_id, size, priority, self.now)
        refusal = self.batcher.offer(made)
        waiting = [*self.waiting, *self.suspects]
        waiting_bytes = sum(f.size for f in waiting)
        is_full = len(waiting) >= 8 or (waiting_bytes + size > 40 and bool(waiting))
        assert bool(refusal) == is_full
        if refusal:
            made.state = State.DONE
        else:
            self.waiting.append(made)
        return made

    @rule(request=consumes(queued))
    def cancel(self, request: Flight) -> None:
        if request in self.waiting:
            request.step(Event.CANCEL)
            self.batcher.withdraw(request)
            self.waiting.remove(request)

    @rule(slots=st.integers(1, 4))
    def take(self, slots: int) -> None:
        share = min(math.ceil((len(self.waiting) + len(self.suspects)) / slots), 3)
        grab = self.batcher.take(slots, self.now)
        assert bool(grab) == bool(self.waiting)
        assert len(grab) <= share
        assert len(grab) == 1 or sum(f.size for f in grab) <= 12
        assert not any(f.is_alone for f in grab)
        # The first in line, by priority then arrival, is always served.
        best = min((f.priority for f in self.waiting), default=1)
        if grab:
            assert grab[0] is next(f for f in self.waiting if f.priority == best)
        assert [f for f in self.waiting if f in grab] == sorted(grab, key=self.waiting.index)
        for taken in grab:
            assert taken.state is State.QUEUED
            taken.step(Event.DISPATCH)
            self.waiting.remove(taken)

    @precondition(lambda self: self.next_id)
    @rule(size=st.integers(0, 15))
    def a_worker_dies_with_one(self, size: int) -> None:
        self.next_id += 1
        lost = flight(self.next_id, size, 1, self.now)
        lost.is_alone = True
        self.batcher.put_back(lost)
        self.suspects.append(lost)

    @rule()
    def take_suspect(self) -> None:
        taken = self.batcher.take_suspect()
        assert taken is (self.suspects.pop(0) if self.suspects else None)
        if taken is not None:
            taken.step(Event.DISPATCH)

    @precondition(lambda self: self.suspects)
    @rule(data=st.data())
    def a_suspect_is_cancelled(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.suspects))
        gone.step(Event.CANCEL)
        self.batcher.withdraw(gone)
        self.suspects.remove(gone)

    @invariant()
    def counts_are_true(self) -> None:
        everybody = [*self.waiting, *self.suspects]
        assert self.batcher.queued == len(everybody)
        assert self.batcher.queued_bytes == sum(f.size for f in everybody)


TestLaws = Laws.TestCase


def test_a_free_slot_takes_its_fair_share() -> None:
    batcher = Batcher(Limits(max_batch=64))
    for i in range(10):
        batcher.offer(flight(i))

    assert [f.id for f in batcher.take(4, 0.0)] == [0, 1, 2]


def test_a_request_that_was_in_a_worker_that_died_waits_apart() -> None:
    batcher = Batcher(Limits())
    batcher.offer(flight(1))
    suspect = flight(2)
    suspect.is_alone = True
    batcher.put_back(suspect)

    assert [f.id for f in batcher.take(1, 0.0)] == [1]
    assert batcher.take(1, 0.0) == []
    assert batcher.take_suspect() is suspect
    assert batcher.take_suspect() is None


def test_cancelled_requests_do_not_pile_up_behind_a_busy_worker() -> None:
    batcher = Batcher(Limits())
    for i in range(10_000):
        request = flight(i)
        batcher.offer(request)
        request.step(Event.CANCEL)
        batcher.withdraw(request)

    assert sum(len(lane) for lane in batcher._lanes) < 200


def test_a_hold_ends_when_the_batch_is_full_or_the_time_is_over() -> None:
    batcher = Batcher(Limits(max_batch=2, hold_s=0.5))
    batcher.offer(flight(1, at=10.0))

    assert batcher.take(1, 10.4) == []
    assert batcher.hold_until(10.4) == 10.5
    batcher.offer(flight(2, at=10.4))
    assert len(batcher.take(1, 10.4)) == 2

    batcher.offer(flight(3, at=20.0))
    assert len(batcher.take(1, 20.5)) == 1


def test_draining_takes_all_that_waits() -> None:
    batcher = Batcher(Limits())
    for i in range(3):
        batcher.offer(flight(i, size=2))

    assert [f.id for f in batcher.drain()] == [0, 1, 2]
    assert (batcher.queued, batcher.queued_bytes) == (0, 0)


def test_a_hold_ends_though_the_first_in_line_has_left() -> None:
    batcher = Batcher(Limits(max_batch=4, hold_s=0.5))
    gone, stays = flight(1, at=10.0), flight(2, at=10.1)
    batcher.offer(gone)
    batcher.offer(stays)

    gone.step(Event.CANCEL)
    batcher.withdraw(gone)

    assert batcher.take(1, 10.5) == []
    assert batcher.take(1, 10.6) == [stays]


def test_nothing_is_held_for_a_request_that_must_be_alone() -> None:
    batcher = Batcher(Limits(hold_s=0.5))
    suspect = flight(1)
    batcher.put_back(suspect)

    assert batcher.take(1, 10.0) == []
    assert batcher.take_suspect() is suspect


def test_what_waits_beyond_the_bound_that_was_learnt_is_the_oldest_of_the_least_urgent() -> None:
    batcher = Batcher(Limits())
    for id, priority in enumerate([1, 2, 1, 2, 0]):
        batcher.offer(Flight(id, b"", 0, 0.0, 1.0, 1.0, priority=priority))
    batcher.most = 2
    assert [f.id for f in batcher.surplus()] == [1, 3, 0]
    assert batcher.queued == 5, "they are still queued"
    batcher.most = 4
    assert [f.id for f in batcher.surplus()] == [1]
    batcher.most = 5
    assert batcher.surplus() == []
    assert batcher.offer(Flight(8, b"", 0, 0.0, 1.0, 1.0)) == "5 requests wait"
    batcher.most = 2
    assert batcher.offer(Flight(9, b"", 0, 0.0, 1.0, 1.0)) == "5 requests wait"


def test_bodies_that_fill_a_grab_to_the_byte_go_together_and_the_next_does_not() -> None:
    batcher = Batcher(Limits(max_batch_bytes=10))
    for id in range(3):
        batcher.offer(Flight(id, b"", 5, 0.0, 1.0, 1.0))
    assert [f.id for f in batcher.take(1, 0.0)] == [0, 1]


def test_what_is_withdrawn_holds_its_body_no_longer() -> None:
    batcher = Batcher(Limits())
    flight = Flight(1, b"large", 5, 0.0, 1.0, 1.0)
    batcher.offer(flight)
    flight.step(Event.CANCEL)
    batcher.withdraw(flight)
    assert flight.body == b""
    assert (batcher.queued, batcher.queued_bytes) == (0, 0)


def test_jobs_neither_fall_under_the_bound_of_those_who_leave_nor_count_for_it() -> None:
    batcher = Batcher(Limits(max_queue=20))
    for id in range(6):
        job = Flight(id, b"", 0, 0.0, 1.0, 1.0, priority=2)
        job.is_patient = True
        assert not batcher.offer(job)
    for id in range(6, 12):
        assert not batcher.offer(Flight(id, b"", 0, 0.0, 1.0, 1.0))
    batcher.most = 4
    surplus = batcher.surplus()
    assert [f.id for f in surplus] == [6, 7]
    for flight in surplus:
        flight.state = State.DONE
        batcher.withdraw(flight)
    assert batcher.offer(Flight(12, b"", 0, 0.0, 1.0, 1.0))
    late = Flight(13, b"", 0, 0.0, 1.0, 1.0)
    late.is_patient = True
    assert not batcher.offer(late)
    assert batcher.patient == 7
    assert len(batcher.take(1, 0.0)) == 11
    assert batcher.patient == 0
