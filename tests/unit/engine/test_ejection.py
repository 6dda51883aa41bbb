"""A worker that fails where the others answer is ejected, and chance, or a broken model, ejects nobody."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headway.engine.ejection import LONGEST_S, OUT_S, ROW, Counts, Ejections


class World:
    """Workers, what they have answered, and who is out."""

    def __init__(self, workers: int) -> None:
        self.ejected = Ejections()
        self.now = 1000.0
        self.good = self.bad = 0
        self.workers = set(range(workers))
        self.out: dict[int, float] = {}
        self.rows = dict.fromkeys(self.workers, 0)
        self.times = dict.fromkeys(self.workers, 0)
        self.ejections = 0

    @property
    def inside(self) -> list[int]:
        return sorted(self.workers - self.out.keys())

    def answer(self, worker: int, requests: int = 1) -> None:
        self.good += requests
        self.ejected.well(worker)
        if worker not in self.out:
            self.rows[worker] = self.times[worker] = 0

    def fail(self, worker: int, requests: int = 1) -> float:
        self.bad += requests
        self.rows[worker] += 1
        others = len(self.workers - self.out.keys() - {worker})
        counts = Counts(self.good, self.bad)
        out_s = self.ejected.failed(worker, requests, counts, others, self.now)
        if out_s:
            assert worker not in self.out
            assert self.rows[worker] >= ROW
            self.times[worker] += 1
            assert out_s == min(OUT_S * self.times[worker], LONGEST_S)
            self.out[worker] = self.now + out_s
            self.rows[worker] = 0
            self.ejections += 1
        return out_s

    def look(self) -> list[int]:
        let_in = list(self.ejected.due(len(self.inside), self.now))
        for worker in let_in:
            del self.out[worker]
            self.rows[worker] = 0
        return let_in


class Laws(RuleBasedStateMachine):
    @initialize(workers=st.integers(1, 6))
    def start(self, workers: int) -> None:
        self.world = World(workers)

    @rule(data=st.data(), requests=st.integers(1, 30))
    def answer(self, data: st.DataObject, requests: int) -> None:
        if self.world.workers:
            self.world.answer(data.draw(st.sampled_from(sorted(self.world.workers))), requests)

    @rule(data=st.data(), grabs=st.integers(1, 12), requests=st.integers(1, 30))
    def fail(self, data: st.DataObject, grabs: int, requests: int) -> None:
        """Also from one who is out: what was in it when it was ejected."""
        if self.world.workers:
            worker = data.draw(st.sampled_from(sorted(self.world.workers)))
            for _ in range(grabs):
                self.world.fail(worker, requests)

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if self.world.workers:
            worker = data.draw(st.sampled_from(sorted(self.world.workers)))
            self.world.workers.discard(worker)
            self.world.out.pop(worker, None)
            self.world.ejected.left(worker)
            self.world.look()

    @rule(later_s=st.floats(0, 400))
    def wait(self, later_s: float) -> None:
        self.world.now += later_s
        self.world.look()
        assert all(until > self.world.now for until in self.world.out.values())

    @invariant()
    def half_are_in(self) -> None:
        if hasattr(self, "world"):
            assert self.world.ejected.out == len(self.world.out)
            assert 2 * len(self.world.out) <= len(self.world.workers)
            assert self.world.inside or not self.world.workers


Laws.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestLaws = Laws.TestCase


def test_a_worker_that_fails_while_the_other_answers_is_out_after_a_row_and_longer_each_time() -> (
    None
):
    world, seen = World(2), []
    for _ in range(12):
        grabs = 0
        while 1 not in world.out:
            world.answer(0, 4)
            world.fail(1)
            grabs += 1
        assert grabs == ROW
        seen.append(round(world.out[1] - world.now, 3))
        world.now = world.out[1] - 0.01
        assert world.look() == []
        world.now += 0.02
        assert world.look() == [1]
    assert seen == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]
    world.answer(1)
    for _ in range(ROW):
        world.answer(0, 9)
        world.fail(1)
    assert world.out[1] - world.now == OUT_S, "a good answer has made an end of it"


def test_a_model_that_fails_everywhere_ejects_nobody() -> None:
    world = World(4)
    for n in range(4000):
        world.fail(n % 4)
    assert not world.ejections


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.98])
def test_inputs_that_the_model_fails_at_eject_nobody_by_chance(share: float) -> None:
    rng = random.Random(1)
    world = World(3)
    for _ in range(20_000):
        worker = rng.choice(world.inside)
        if rng.random() < share:
            world.fail(worker)
        else:
            world.answer(worker)
    assert world.ejections <= 1


def test_a_sick_worker_is_found_among_others_that_fail_now_and_then() -> None:
    rng = random.Random(1)
    world = World(3)
    grabs = 0
    while grabs < 200:
        grabs += 1
        for worker in (0, 1):
            world.fail(worker) if rng.random() < 0.3 else world.answer(worker)
        if world.fail(2):
            break
    assert ROW <= grabs < 20
    assert list(world.out) == [2]


def test_the_last_and_more_than_half_are_never_out() -> None:
    alone = World(1)
    for _ in range(50):
        alone.good += 10
        assert not alone.fail(0)
    three = World(3)
    for worker in (1, 2):
        for _ in range(50):
            three.answer(0, 10)
            three.fail(worker)
    assert list(three.out) == [1]


def test_who_is_out_is_let_in_when_the_others_have_gone() -> None:
    world = World(2)
    for _ in range(ROW):
        world.answer(0, 4)
        world.fail(1)
    assert world.inside == [0]
    world.workers.discard(0)
    world.ejected.left(0)
    assert world.look() == [1]


def test_what_fails_while_a_worker_is_out_does_not_count_when_it_is_in_again() -> None:
    world = World(3)
    for n in range(ROW + 1):
        world.answer(0, 9)
        assert bool(world.fail(2)) == (n == ROW - 1), "the last one was in it already"
    world.now += OUT_S
    assert world.look() == [2]
    for _ in range(ROW - 1):
        world.answer(0, 9)
        assert not world.fail(2)
    assert world.fail(2)
