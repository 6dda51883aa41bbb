"""One slot's credit among several gateways: never lent twice, never lost, nobody waits for ever.

The gateways' side (`pool`, `link`) and the slot's (`loan`) are the real ones; the bytes between them lie in lists,
and Hypothesis decides who reads next.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headway.config import ModelSettings
from headway.engine import frames
from headway.engine.frames import Answer, Framer, Question, Replies
from headway.engine.life import Event, Flight
from headway.engine.link import Peer, SlotLink
from headway.engine.loan import Loan, Notice, Notices
from headway.engine.messages import Loaded
from headway.engine.pool import Pool
from headway.model.call import Description
from headway.observe.metrics import Board

MOST_GATEWAYS = 3
QUESTION = Question("native", "predict")


class Turn:
    """A loop's turns, one callback at a time."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def create_future(self) -> "Future[bool]":
        return Future()

    def run(self) -> None:
        while self.soon:
            self.soon.popleft()()


class Wire:
    """The gateway's end of a socket: what is sent lies in a list."""

    def __init__(self) -> None:
        self.to_slot: deque[bytes] = deque()
        self.to_gateway: deque[bytes] = deque()

    def send(self, data: bytes) -> int:
        self.to_slot.append(data)
        return len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


class End:
    """A gateway: its pool, its link to the slot, and what came back."""

    def __init__(self, board: Board) -> None:
        self.loop = Turn()
        self.wire = Wire()
        self.answered_ids: list[int] = []
        self.is_leaving = False
        self.sent = 0
        self.pool = Pool(cast("Any", self.loop), "m", board.tally(0, 0), lambda peer: None, print)
        description = Description("m", "1", "", "", (), (), {}, {})
        loaded = Loaded(description, 1, 1, 4, 4, 0.001, 0.1, "")
        self.pool.configure(ModelSettings(), loaded, 1)
        peer = Peer(1, cast("Any", None), loaded)
        self.link = SlotLink(self, self.pool, peer, cast("Any", self.wire))
        self.link.connection_made(self.wire)
        peer.links.append(self.link)
        self.pool.links.append(self.link)

    def answered(self, link: SlotLink, replies: Replies, buffers: memoryview) -> None:
        for answer in replies.answers:
            flight = link.flights.pop(answer.id)
            flight.step(Event.ANSWER)
            self.answered_ids.append(answer.id)

    def link_lost(self, link: SlotLink) -> None:
        raise AssertionError("no link is lost here")

    def submit(self) -> None:
        """As the gateway does with a request."""
        self.sent += 1
        flight = Flight(self.sent, b"x", 1, 0.0, 60.0, 60.0, QUESTION, self.pool)
        assert not self.pool.batcher.offer(flight)
        if self.pool.free:
            self.pool.wake()
        else:
            self.pool.demand()
        self.loop.run()

    def hear(self) -> None:
        self.link.data_received(self.wire.to_gateway.popleft())
        self.loop.run()


class Lending(RuleBasedStateMachine):
    """Three gateways and a slot; a message may be read late, but not out of order."""

    @initialize()
    def begin(self) -> None:
        self.board = Board.create(1, 1)
        self.loan = Loan()
        self.ends: dict[int, End] = {}
        self.framers: dict[int, Framer] = {}
        self.running: tuple[int, frames.Grab] | None = None
        self.next_gateway = 0
        self.join()

    def say(self, notices: Notices) -> None:
        for gateway, notice in notices:
            message = frames.Credit() if notice is Notice.CREDIT else frames.Recall()
            self.ends[gateway].wire.to_gateway.append(frames.encode(message))

    @precondition(lambda self: len(self.ends) < MOST_GATEWAYS)
    @rule()
    def join(self) -> None:
        gateway, self.next_gateway = self.next_gateway, self.next_gateway + 1
        self.ends[gateway], self.framers[gateway] = End(self.board), Framer()
        self.say(self.loan.join(gateway))

    @precondition(lambda self: len(self.ends) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        gateway = data.draw(st.sampled_from(sorted(self.ends)))
        if self.running is not None and self.running[0] == gateway:
            return  # the slot reads of it when the grab has ended
        del self.ends[gateway]
        self.say(self.loan.left(gateway))

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        self.ends[data.draw(st.sampled_from(sorted(self.ends)))].submit()

    @rule(data=st.data())
    def probe(self, data: st.DataObject) -> None:
        end = self.ends[data.draw(st.sampled_from(sorted(self.ends)))]
        end.link.take_probe()
        end.loop.run()

    @precondition(lambda self: sum(not e.is_leaving for e in self.ends.values()) > 1)
    @rule(data=st.data())
    def worker_leaves(self, data: st.DataObject) -> None:
        """As `Gateway.part`: this gateway sends the worker nothing new, but for what it has asked already."""
        end = self.ends[data.draw(st.sampled_from(sorted(self.ends)))]
        end.is_leaving = end.link.worker.is_leaving = True
        for links in (end.pool.free, end.pool.links):
            if end.link in links:
                links.remove(end.link)

    @rule(data=st.data())
    def gateway_reads(self, data: st.DataObject) -> None:
        end = self.ends[data.draw(st.sampled_from(sorted(self.ends)))]
        if end.wire.to_gateway:
            end.hear()

    @rule(data=st.data())
    def slot_reads(self, data: st.DataObject) -> None:
        gateway = data.draw(st.sampled_from(sorted(self.ends)))
        if self.running is None and self.ends[gateway].wire.to_slot:
            self.take(gateway)

    def take(self, gateway: int) -> None:
        for frame in self.framers[gateway].feed(self.ends[gateway].wire.to_slot.popleft()):
            message, _ = frames.decode(frame)
            if isinstance(message, frames.Grab):
                assert self.loan.holder == gateway, "a grab without the credit"
                self.running = gateway, message
            elif isinstance(message, frames.Want):
                self.say(self.loan.want(gateway))
            elif isinstance(message, frames.Return):
                self.say(self.loan.returned(gateway))

    @precondition(lambda self: self.running is not None)
    @rule()
    def grab_ends(self) -> None:
        assert self.running is not None
        (gateway, grab), self.running = self.running, None
        keeps = self.loan.keeps(gateway)
        answers = [Answer(entry.id, frames.WHOLE, 0) for entry in grab.entries]
        replies = frames.encode(Replies(answers, is_credit=keeps, is_last=True))
        self.ends[gateway].wire.to_gateway.append(replies)
        if not keeps:
            self.say(self.loan.returned(gateway))

    @invariant()
    def the_credit_is_in_one_hand_at_most(self) -> None:
        holders = [g for g, end in self.ends.items() if end.link.has_credit or end.link.is_busy]
        spent = [g for g in holders if self.ends[g].link.is_busy and self.loan.holder != g]
        # A gateway whose grab has ended may not have read so yet; then it has no credit to spend.
        assert len(holders) - len(spent) <= 1
        assert not any(self.ends[g].link.has_credit for g in holders if self.loan.holder != g)

    def settle(self) -> None:
        """Read and end all that is under way."""
        for _ in range(1000):
            if self.running is not None:
                self.grab_ends()
            for gateway, end in self.ends.items():
                while end.wire.to_gateway:
                    end.hear()
                if self.running is None and end.wire.to_slot:
                    self.take(gateway)
            is_quiet = not any(e.wire.to_slot or e.wire.to_gateway for e in self.ends.values())
            if is_quiet and self.running is None:
                break

    def teardown(self) -> None:
        self.settle()
        for end in self.ends.values():
            if end.is_leaving:
                continue
            assert end.pool.batcher.queued == 0
            assert end.link.probe is None
            assert sorted(end.answered_ids) == list(range(1, end.sent + 1))
        assert self.loan.holder in self.ends


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_gateway_asks_again_whenever_it_lacks_the_credit() -> None:
    lending = Lending()
    lending.begin()
    lending.join()
    for _ in range(3):
        for end in lending.ends.values():
            end.submit()
            lending.settle()
    assert [end.answered_ids for end in lending.ends.values()] == [[1, 2, 3], [1, 2, 3]]


def test_gateways_that_all_want_the_credit_take_turns() -> None:
    loan = Loan()
    for gateway in range(3):
        loan.join(gateway)
    turns = []

    for _ in range(9):
        for gateway in range(3):
            loan.want(gateway)
        assert loan.holder is not None
        turns.append(loan.holder)
        loan.returned(loan.holder)

    assert turns == [0, 1, 2] * 3


def test_a_gateway_that_is_gone_leaves_the_credit_to_who_waits() -> None:
    loan = Loan()
    loan.join(1)
    loan.join(2)
    loan.want(2)

    assert loan.left(1) == [(2, Notice.CREDIT)]
    assert loan.left(2) == []
    assert loan.join(3) == [(3, Notice.CREDIT)]


def test_a_newcomer_wants_nothing_and_who_left_is_passed_over_for_who_waits() -> None:
    loan = Loan()
    assert loan.join(1) == [(1, Notice.CREDIT)]
    assert loan.join(2) == loan.join(3) == []
    assert loan.keeps(1)
    assert not loan.keeps(2)
    assert loan.want(3) == [(1, Notice.RECALL)]
    assert not loan.keeps(1)

    assert loan.left(1) == [(3, Notice.CREDIT)]
    assert loan.left(1) == []
