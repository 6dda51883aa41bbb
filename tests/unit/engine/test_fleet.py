"""The fleet's laws, as a state machine in virtual time: never fewer than there were, never a stampede."""

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headway.engine.back_off import LONGEST_S, MAX_DEATHS
from headway.engine.fleet import SILENT_S, Fleet, Order, Orders, Phase, Terms


class World(RuleBasedStateMachine):
    """A supervisor that obeys, and processes that do as they like."""

    @initialize(size=st.integers(1, 3))
    def begin(self, size: int) -> None:
        self.now = 100.0
        self.fleet = Fleet(size, load_timeout_s=60.0, hang_kill_s=30.0)
        self.processes: set[int] = set()
        self.killed: set[int] = set()
        self.is_replacing = False
        self.obey(self.fleet.start(self.now))

    def obey(self, orders: Orders) -> None:
        for order, worker in orders:
            if order is Order.START:
                assert worker not in self.processes
                self.processes.add(worker)
            elif order is Order.KILL:
                self.killed.add(worker)
            elif order is Order.PART:
                self.obey(self.fleet.parted(worker))
            elif order is Order.LEAVE:
                self.killed.add(worker)

    def pick(self, data: st.DataObject, phase: Phase) -> int | None:
        ids = sorted(
            m.id for m in self.fleet.members.values() if m.phase is phase and m.id in self.processes
        )
        return data.draw(st.sampled_from(ids)) if ids else None

    @rule(data=st.data())
    def one_loads(self, data: st.DataObject) -> None:
        worker = self.pick(data, Phase.STARTING)
        if worker is not None and worker not in self.killed:
            self.obey(self.fleet.loaded(worker, self.now))

    @rule(data=st.data())
    def one_joins(self, data: st.DataObject) -> None:
        worker = self.pick(data, Phase.JOINING)
        if worker is not None and worker not in self.killed:
            before = self.fleet.ready
            self.obey(self.fleet.joined(worker, self.now))
            assert self.fleet.ready >= min(before, self.fleet.size)

    @rule(data=st.data())
    def one_dies(self, data: st.DataObject) -> None:
        if self.processes:
            self.end(data.draw(st.sampled_from(sorted(self.processes))))

    @rule()
    def the_killed_end(self) -> None:
        for worker in sorted(self.killed & self.processes):
            self.end(worker)

    def end(self, worker: int) -> None:
        self.processes.discard(worker)
        self.obey(self.fleet.died(worker, self.now, "SIGKILL"))

    @rule(data=st.data())
    def one_refuses(self, data: st.DataObject) -> None:
        worker = self.pick(data, Phase.STARTING)
        if worker is not None and worker not in self.killed:
            before = self.fleet.ready
            self.obey(self.fleet.refused(worker, self.now, "bad file"))
            assert self.fleet.ready == before

    @rule(data=st.data())
    def one_answers_a_ping(self, data: st.DataObject) -> None:
        for phase in (Phase.READY, Phase.SILENT):
            worker = self.pick(data, phase)
            if worker is not None:
                self.obey(self.fleet.heard(worker, self.now))

    @rule()
    def replace(self) -> None:
        before = self.fleet.ready
        self.obey(self.fleet.replace(self.now))
        assert self.fleet.ready == before

    @rule()
    def unload(self) -> None:
        self.obey(self.fleet.unload())
        assert self.fleet.ready == 0
        assert all(m.phase is Phase.LEAVING for m in self.fleet.members.values())

    @rule(size=st.integers(1, 3))
    def resize(self, size: int) -> None:
        before = self.fleet.ready
        self.obey(self.fleet.resize(size, self.now))
        assert self.fleet.ready >= min(before, size)

    @rule(seconds=st.sampled_from([0.1, 0.6, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.fleet.tick(self.now))

    @invariant()
    def members_have_processes_and_are_not_too_many(self) -> None:
        if not hasattr(self, "fleet"):
            return
        current = [
            m
            for m in self.fleet.members.values()
            if m.generation == self.fleet.generation and m.phase is not Phase.LEAVING
        ]
        assert len(current) <= max(self.fleet.size, self.fleet.ready, 3)
        assert {m.id for m in self.fleet.members.values()} <= self.processes
        if self.fleet.is_unloaded:
            assert not current, "somebody was started"
        # Nobody who was left out of the fleet goes on living without an end in sight.
        assert self.processes - set(self.fleet.members) <= self.killed


TestWorld = World.TestCase


def ready(fleet: Fleet, worker: int, now: float = 0.0) -> Orders:
    assert fleet.loaded(worker, now) == [(Order.JOIN, worker)]
    return fleet.joined(worker, now)


def test_the_old_one_leaves_only_when_the_new_one_has_joined() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)

    assert fleet.replace(50.0) == [(Order.START, 2)]
    assert fleet.ready == 1
    assert ready(fleet, 2, 51.0) == [(Order.PART, 1)]
    assert fleet.parted(1) == [(Order.LEAVE, 1)]


def test_of_the_old_ones_the_silent_leaves_first() -> None:
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    ready(fleet, 2)
    fleet.heard(1, 5.0)
    assert fleet.tick(5.0) == [(Order.SUSPEND, 2)]

    fleet.replace(5.0)

    assert ready(fleet, 3, 5.5) == [(Order.PART, 2)]
    assert fleet.ready == 2


def test_a_replacement_that_refuses_leaves_the_old_one_in_service() -> None:
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1, 50.0)
    ready(fleet, 2, 50.0)
    fleet.replace(50.0)

    orders = fleet.refused(3, 50.0, "SyntaxError")

    assert (Order.KILL, 3) in orders
    assert (Order.KILL, 4) in orders
    assert fleet.ready == 2
    assert fleet.failure == ""
    assert fleet.tick(50.0 + SILENT_S) == []


def test_a_first_load_that_is_refused_is_a_failure_in_its_own_words() -> None:
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)

    assert fleet.refused(1, 1.0, "SyntaxError") == [(Order.KILL, 1), (Order.KILL, 2)]
    assert fleet.failure == "SyntaxError"
    assert fleet.refused(2, 1.0, "SyntaxError too") == [(Order.KILL, 2)]
    assert fleet.failure == "SyntaxError"
    assert fleet.tick(100.0) == []
    assert fleet.replace(100.0) == [(Order.START, 3), (Order.START, 4)]
    assert fleet.failure == ""


def test_the_last_that_served_is_started_again_when_it_died_while_what_is_refused_was_loading() -> (
    None
):
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    fleet.replace(0.0, Terms(1, 70.0, 40.0))
    assert ready(fleet, 2) == [(Order.PART, 1)]
    fleet.replace(0.0, Terms(3, 80.0, 50.0))
    fleet.replace(0.0, Terms(4, 90.0, 60.0))
    fleet.died(2, 0.0, "SIGKILL")
    assert fleet.generations == {0, 1, 3}

    orders = fleet.refused(loading(fleet)[0], 30.0, "SyntaxError")

    (started,) = [worker for order, worker in orders if order is Order.START]
    assert fleet.members[started].generation == fleet.generation == 1
    assert (fleet.size, fleet.load_timeout_s, fleet.hang_kill_s) == (1, 70.0, 40.0)
    assert (fleet.failure, fleet.refusal) == ("", "SyntaxError")
    assert fleet.is_proven


def test_what_is_fallen_back_to_is_given_up_in_the_end() -> None:
    fleet, now = Fleet(1, 60.0, 30.0), 0.0
    fleet.start(now)
    ready(fleet, 1)
    fleet.replace(now)
    fleet.died(1, now, "SIGKILL")
    fleet.refused(2, now, "SyntaxError")

    for _ in range(MAX_DEATHS):
        now += LONGEST_S
        fleet.tick(now)
        fleet.refused(loading(fleet)[0], now, "the disk is away")

    assert "the disk is away" in fleet.failure
    assert fleet.has_failed
    assert fleet.tick(now + LONGEST_S) == []


def test_an_older_one_that_goes_on_is_proven_though_a_newer_one_was_too() -> None:
    fleet, now = Fleet(2, 60.0, 1e9), 0.0
    fleet.start(now)
    ready(fleet, 1)
    ready(fleet, 2)
    fleet.replace(now)
    assert ready(fleet, 3) == [(Order.PART, 1)]
    fleet.died(3, now, "SIGSEGV")
    while fleet.generation == 1:
        now += 1.0
        fleet.tick(now)
        for worker in loading(fleet):
            fleet.died(worker, now, "SIGSEGV")
    assert fleet.generation == 0
    fleet.tick(now)

    fleet.refused(loading(fleet)[0], now, "the disk is away")

    assert not fleet.failure, "what has been loaded before can be loaded again"


def test_each_reload_retires_what_the_one_before_it_started() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    for worker in (2, 3, 4):
        assert fleet.replace(0.0) == [(Order.START, worker)]
        assert ready(fleet, worker) == [(Order.PART, worker - 1)]


def test_what_could_be_loaded_before_is_tried_again_and_given_up_in_the_end() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1, 1.0)
    fleet.died(1, 2.0, "SIGKILL")
    worker, now = 2, 2.0

    for _ in range(4):
        assert fleet.refused(worker, now, "the disk is away")[0] == (Order.KILL, worker)
        assert not fleet.failure
        while not fleet.members:
            now += 0.05
            fleet.tick(now)
        (worker,) = fleet.members
    fleet.refused(worker, now, "the disk is away")

    assert "the disk is away" in fleet.failure
    assert fleet.restarts == 1 + MAX_DEATHS
    assert fleet.tick(now + 60.0) == []


def test_a_crash_loop_backs_off_and_ends() -> None:
    fleet, now, starts = Fleet(1, 60.0, 30.0), 0.0, []
    worker = fleet.start(now)[0][1]
    for _ in range(200):
        if not fleet.members:
            now += 0.05
            orders = fleet.tick(now)
        else:
            starts.append(now)
            orders = fleet.died(worker, now, "SIGSEGV")
        if orders:
            worker = orders[0][1]

    assert len(starts) == MAX_DEATHS
    assert fleet.failure == "5 workers in a row died before they were ready: SIGSEGV"
    assert fleet.restarts == MAX_DEATHS
    waits = [b - a for a, b in itertools.pairwise(starts)]
    assert waits[0] == 0
    assert waits[1:] == sorted(waits[1:])
    assert waits[-1] > 0.3


def test_a_failure_is_over_when_one_that_was_still_loading_is_ready() -> None:
    fleet, worker, now = Fleet(2, 60.0, 30.0), 2, 0.0
    fleet.start(now)
    while not fleet.failure:
        fleet.died(worker, now, "SIGKILL")
        now += 1.0
        fleet.tick(now)
        worker = max(fleet.members)

    ready(fleet, 1, now)

    assert fleet.failure == ""


def loading(fleet: Fleet) -> list[int]:
    return [m.id for m in fleet.members.values() if m.phase is Phase.STARTING]


def starve(fleet: Fleet, now: float) -> float:
    """Let whoever loads die, until the fleet says that it is short; returns the time."""
    deaths = 0
    while not fleet.shortage:
        for worker in list(fleet.members):
            fleet.heard(worker, now)
        for worker in loading(fleet):
            deaths += 1
            assert deaths <= MAX_DEATHS
            fleet.died(worker, now, "SIGKILL")
        now += 0.5
        fleet.tick(now)
    return now


def test_the_last_one_that_serves_is_replaced_at_once_though_no_other_could_be_loaded() -> None:
    """Of two copies only one fits into memory, say: when it dies there is room for another."""
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    now = starve(fleet, 0.0)
    while loading(fleet):
        fleet.died(loading(fleet)[0], now, "SIGKILL")
    assert fleet.tick(now) == [], "the next try has to wait"

    orders = fleet.died(1, now, "SIGSEGV")

    assert [order for order, _ in orders] == [Order.START, Order.START]
    assert fleet.failure == ""


def test_a_fleet_that_is_short_goes_on_trying_ever_more_seldom_while_one_serves() -> None:
    fleet, tries = Fleet(2, 60.0, 1e9), []
    fleet.start(0.0)
    ready(fleet, 1)
    now = starve(fleet, 0.0)
    assert "SIGKILL" in fleet.shortage
    for _ in range(20_000):
        now += 0.1
        fleet.heard(1, now)
        orders = fleet.tick(now)
        tries += [now for order, _ in orders if order is Order.START]
        for worker in loading(fleet):
            fleet.died(worker, now, "SIGKILL")

    assert not fleet.failure
    waits = [b - a for a, b in itertools.pairwise(tries)]
    assert len(waits) > 50
    assert all(LONGEST_S <= wait < LONGEST_S + 0.3 for wait in waits[10:])

    while not (started := [w for order, w in fleet.tick(now) if order is Order.START]):
        now += 0.5
        fleet.heard(1, now)
    assert fleet.shortage
    ready(fleet, started[0], now)
    assert not fleet.shortage
    assert fleet.ready == 2


def test_the_last_old_one_leaves_in_the_end_though_five_of_the_new_ones_died_at_first() -> None:
    fleet = Fleet(2, 60.0, 1e9)
    fleet.start(0.0)
    ready(fleet, 1)
    ready(fleet, 2)
    fleet.replace(0.0)
    assert ready(fleet, 3) == [(Order.PART, 1)]
    now = starve(fleet, 0.0)
    assert (fleet.generation, fleet.ready, fleet.failure) == (1, 2, "")

    while not (started := [w for order, w in fleet.tick(now) if order is Order.START]):
        now += 0.5
        assert now < 2 * LONGEST_S
        fleet.heard(2, now)
        fleet.heard(3, now)

    assert ready(fleet, started[0], now) == [(Order.PART, 2)]


def test_a_shortage_is_over_when_fewer_are_asked_for_or_other_ones() -> None:
    resized, replaced = Fleet(2, 60.0, 1e9), Fleet(2, 60.0, 1e9)
    for fleet in (resized, replaced):
        fleet.start(0.0)
        ready(fleet, 1)
        starve(fleet, 0.0)

    resized.resize(1, 50.0)
    replaced.replace(50.0)

    assert resized.shortage == replaced.shortage == ""


def test_who_is_too_many_leaves_and_never_one_that_answers_before_one_that_is_silent() -> None:
    fleet = Fleet(3, 60.0, 30.0)
    fleet.start(0.0)
    for worker in (1, 2, 3):
        ready(fleet, worker)
    fleet.heard(1, 5.0)
    fleet.heard(3, 5.0)
    assert fleet.tick(5.0) == [(Order.SUSPEND, 2)]

    assert fleet.resize(2, 5.0) == [(Order.PART, 2)]
    assert fleet.resize(1, 5.0) == [(Order.PART, 1)]
    assert fleet.resize(1, 5.0) == []


def test_words_out_of_turn_change_nothing() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)

    assert fleet.joined(1, 0.0) == []
    assert ready(fleet, 1) == []
    assert fleet.loaded(1, 0.0) == fleet.joined(1, 0.0) == fleet.parted(1) == []
    for unknown in (fleet.loaded, fleet.joined, fleet.heard):
        assert unknown(7, 0.0) == []
    assert fleet.parted(7) == []
    assert fleet.refused(7, 0.0, "bad file") == [(Order.KILL, 7)]
    assert fleet.died(7, 0.0, "SIGKILL") == []
    assert (fleet.ready, fleet.restarts) == (1, 0)


def test_one_that_refuses_after_it_was_replaced_is_killed_and_forgotten() -> None:
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    fleet.loaded(2, 0.0)
    fleet.replace(0.0)
    orders = fleet.refused(3, 0.0, "SyntaxError")
    assert [order for order, _ in orders] == [Order.KILL, Order.KILL, Order.START]

    assert fleet.refused(3, 0.0, "SyntaxError") == [(Order.KILL, 3)]
    assert 3 not in fleet.members
    assert fleet.failure == ""


def test_a_silent_worker_is_suspended_then_killed_and_one_that_speaks_again_resumes() -> None:
    fleet = Fleet(1, 60.0, hang_kill_s=5.0)
    fleet.start(0.0)
    ready(fleet, 1, 0.0)

    assert fleet.tick(SILENT_S + 0.1) == [(Order.SUSPEND, 1)]
    assert fleet.heard(1, 2.0) == [(Order.RESUME, 1)]
    assert fleet.tick(3.5) == [(Order.SUSPEND, 1)]
    assert fleet.tick(7.0) == []
    assert fleet.tick(7.5) == [(Order.KILL, 1)]


def test_a_worker_that_loads_too_long_is_killed() -> None:
    fleet = Fleet(1, load_timeout_s=60.0, hang_kill_s=5.0)
    fleet.start(0.0)

    assert fleet.tick(60.0) == []
    assert fleet.tick(61.0) == [(Order.KILL, 1)]


def test_more_workers_are_started_when_the_model_proves_slow() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    fleet.loaded(1, 1.0)

    assert fleet.resize(2, 1.0) == [(Order.START, 2)]


def test_a_worker_that_no_gateway_can_reach_is_killed_though_it_answers_pings() -> None:
    fleet = Fleet(1, load_timeout_s=60.0, hang_kill_s=5.0)
    fleet.start(0.0)
    fleet.loaded(1, 1.0)
    fleet.heard(1, 30.0)

    assert fleet.tick(31.0) == []
    fleet.heard(1, 31.5)
    assert fleet.tick(31.5) == [(Order.KILL, 1)]


def test_who_waits_for_a_turn_is_not_too_long_at_loading() -> None:
    fleet = Fleet(1, load_timeout_s=60.0, hang_kill_s=30.0)
    assert fleet.start(0.0) == [(Order.START, 1)]
    assert fleet.begun(1, 50.0)
    assert fleet.tick(100.0) == []
    assert fleet.tick(111.0) == [(Order.KILL, 1)]


def test_who_has_been_replaced_while_he_waited_need_not_begin() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    fleet.replace(1.0)
    assert not fleet.begun(1, 2.0)
    assert fleet.begun(2, 2.0)


def test_a_generation_is_proven_by_its_first_that_was_ready() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    assert not fleet.is_proven
    ready(fleet, 1)
    assert fleet.is_proven
    fleet.replace(50.0)
    assert not fleet.is_proven


def test_a_generation_that_dies_at_start_is_given_up_and_the_old_one_goes_on_by_its_own_terms() -> (
    None
):
    fleet, now = Fleet(1, 60.0, 30.0), 100.0
    (_, first), *_ = fleet.start(now)
    fleet.loaded(first, now)
    fleet.joined(first, now)
    orders = fleet.replace(now, Terms(size=3, load_timeout_s=9000.0, hang_kill_s=9000.0))
    assert fleet.size == 3
    alive = [worker for order, worker in orders if order is Order.START]
    for _ in range(MAX_DEATHS):
        now += 100.0
        fleet.heard(first, now)
        orders = fleet.start(now)
        alive += [worker for order, worker in orders if order is Order.START]
        orders = fleet.died(alive.pop(), now, "it aborts")
        alive += [worker for order, worker in orders if order is Order.START]
    assert len(alive) == 2, "who is left may still do better"
    assert (fleet.generation, fleet.start(now + 100.0)) == (1, [])
    for worker in alive:
        fleet.died(worker, now, "it aborts")
    assert (fleet.generation, fleet.size, fleet.hang_kill_s, fleet.failure) == (0, 1, 30.0, "")
    assert "it aborts" in fleet.refusal
    assert [m.id for m in fleet.members.values()] == [first]
    (_, second), *_ = fleet.died(first, now + 1.0, "later")
    assert fleet.members[second].generation == 0
    fleet.replace(now + 2.0)
    assert not fleet.refusal


# Unload and load


def test_who_is_unloaded_leaves_and_nobody_is_started() -> None:
    fleet = Fleet(3, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    fleet.loaded(2, 0.0)
    assert sorted(fleet.unload(), key=lambda o: o[1]) == [
        (Order.PART, 1),
        (Order.PART, 2),
        (Order.KILL, 3),
    ]
    assert fleet.tick(10.0) == fleet.resize(4, 10.0) == []
    assert fleet.parted(1) == [(Order.LEAVE, 1)]
    assert fleet.died(1, 11.0, "exit code 0") == fleet.died(2, 11.0, "SIGKILL") == []
    assert (fleet.members, fleet.restarts, fleet.has_failed) == ({}, 0, False)
    assert fleet.unload() == []


def test_a_load_after_an_unload_does_not_fall_back_on_what_was() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.start(0.0)
    ready(fleet, 1)
    fleet.unload()
    assert fleet.outcome == "it has been unloaded meanwhile"
    assert fleet.replace(1.0) == [(Order.START, 2)]
    assert fleet.outcome is None
    assert fleet.refused(2, 2.0, "bad file") == [(Order.KILL, 2)]
    assert (fleet.outcome, fleet.has_failed) == ("bad file", True)


def test_the_outcome_of_a_load_is_known_when_it_alone_serves() -> None:
    fleet = Fleet(2, 60.0, 30.0)
    fleet.start(0.0)
    assert fleet.outcome is None
    ready(fleet, 1)
    ready(fleet, 2)
    assert fleet.outcome == ""
    fleet.replace(1.0)
    ready(fleet, 3, 1.0)
    assert fleet.outcome is None
    ready(fleet, 4, 1.0)
    assert fleet.outcome == ""
    fleet.replace(2.0)
    fleet.refused(5, 2.0, "bad file")
    assert fleet.outcome == "bad file"


def test_a_generation_has_the_number_that_it_is_given_or_a_higher_one() -> None:
    fleet = Fleet(1, 60.0, 30.0)
    fleet.replace(0.0, number=4)
    assert fleet.generation == 4
    fleet.replace(0.0, number=2)
    assert fleet.generation == 5
