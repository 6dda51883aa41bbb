"""A gateway and a worker's sockets: what the supervisor says is taken in its order, however fast it comes."""

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from headway.config import ModelSettings
from headway.engine import frames
from headway.engine.frames import Answer, Framer, Grab, Question, Replies
from headway.engine.gateway import Gateway
from headway.engine.messages import Join, Joined, Loaded, Parted
from headway.engine.pool import Pool
from headway.errors import GivenUp, Unloaded
from headway.model.call import Description
from headway.observe.metrics import Board
from headway.protocols import Reply

SLOTS = 2


@dataclass
class Caller:
    """Who waits for answers."""

    statuses: list[int] = field(default_factory=list)

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        self.statuses.append(reply.status)

    def start_stream(self, serial: int, reply: Reply, request_id: str = "") -> None:
        raise AssertionError("nothing streams here")

    def send_chunk(self, serial: int, data: bytes) -> None:
        raise AssertionError("nothing streams here")

    def end_stream(self, serial: int, outcome: int = 0) -> None:
        raise AssertionError("nothing streams here")

    def abort(self, serial: int, last: bytes = b"") -> None:
        raise AssertionError("nothing streams here")

    def hold_input(self, *, is_held: bool) -> None:
        raise NotImplementedError


class Scene:
    """A gateway, what it says to the supervisor, and the workers' ends of its sockets."""

    def __init__(self, board: Board, gateways: int = 1) -> None:
        self.told: list[Any] = []
        loop = asyncio.get_running_loop()
        tally = board.tally(0, 0)
        self.gateway = Gateway(loop, {"m": tally}, self.told.append, gateways)
        self.joining: list[asyncio.Task[None]] = []
        self.socks: list[socket.socket] = []

    @property
    def pool(self) -> Pool:
        return self.gateway.pools["m"]

    def join(
        self, worker: int, generation: int = 0, settings: ModelSettings | None = None
    ) -> list[socket.socket]:
        """Say Join as the supervisor does; returns the worker's ends, the control socket last."""
        description = Description("m", str(generation), "", "", (), (), {}, {})
        loaded = Loaded(description, 1, SLOTS, 4, 4, 0.001, 0.1, "")
        message = Join(worker, "m", settings or ModelSettings(), loaded, generation)
        pairs = [socket.socketpair() for _ in range(SLOTS + 1)]
        work = self.gateway.join(message, [theirs.detach() for _, theirs in pairs])
        self.joining.append(asyncio.ensure_future(work))
        ends = [ours for ours, _ in pairs]
        for end in ends:
            end.setblocking(False)
        self.socks += ends
        return ends

    async def settle(self) -> None:
        """Until the joins are through."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self.joining)

    async def turns(self) -> None:
        """A few turns of the loop: what lies in sockets is read."""
        for _ in range(10):
            await asyncio.sleep(0)


def lend(end: socket.socket) -> None:
    end.send(frames.encode(frames.Credit()))


async def received(end: socket.socket) -> list[frames.Message]:
    """The next frames that the gateway sends to a slot; none when it has hung up."""
    async with asyncio.timeout(5):
        data = await asyncio.get_running_loop().sock_recv(end, 2**16)
    return [frames.decode(frame)[0] for frame in Framer().feed(data)]


async def answer_probe(end: socket.socket) -> None:
    """Lend the credit, and answer the empty grab or the Want that comes."""
    await received(end)
    lend(end)


@pytest.fixture(params=["uvloop", "asyncio"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Play a scene on each of the two loops, and see that it leaves no descriptor."""

    async def stage(board: Board, act: Callable[[Scene], Coroutine[Any, Any, None]]) -> int:
        scene = Scene(board)
        try:
            await act(scene)
            await scene.turns()
        finally:
            for sock in scene.socks:
                sock.close()
            for worker in range(1, 4):
                scene.gateway.forget(worker, "")
        await scene.settle()
        await scene.turns()
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def run(act: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
        is_fast = request.param == "uvloop"
        factory = uvloop.new_event_loop if is_fast else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            board = Board.create(1, 1)
            first = runner.run(stage(board, act))
            assert runner.run(stage(board, act)) == first, "each socket is closed"

    return run


def test_who_answers_the_probes_has_joined(play: Any) -> None:
    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for end in ends[:-1]:
            await answer_probe(end)
        await scene.settle()
        assert scene.told == [Joined(1)]
        assert len(scene.pool.links) == SLOTS
        assert scene.pool.generation == 0

    play(act)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_who_dies_right_after_its_load_leaves_the_trouble_that_is_told(
    play: Any, turns: int
) -> None:
    """Its end and the model's are heard together with its Join, or while that is under way."""

    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        for end in ends:
            end.close()
        scene.gateway.forget(1, "")
        scene.gateway.trouble("m")
        await scene.settle()
        await scene.turns()
        assert not scene.pool.links
        assert isinstance(scene.pool.trouble, GivenUp)
        assert scene.told == []
        caller = Caller()
        scene.gateway.submit(scene.pool, Question("native", "predict"), b"1", (caller, 1, "a"))
        assert caller.statuses == [503]

    play(act)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_who_leaves_while_it_joins_is_let_go_and_gets_nothing(play: Any, turns: int) -> None:
    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        scene.gateway.part(1)
        await scene.settle()
        await scene.turns()
        assert scene.told == [Parted(1)]
        assert not scene.pool.links
        for end in ends:
            while await received(end):
                pass  # a Want that was under way
            assert end.recv(1) == b""

    play(act)


def test_a_generation_that_never_joins_leaves_no_settings(play: Any) -> None:
    async def act(scene: Scene) -> None:
        good = scene.join(1, 0, ModelSettings(timeout_s=1.0))
        assert scene.pool.settings.timeout_s == 1.0, "the first one's hold at once"
        for end in good[:-1]:
            await answer_probe(end)
        await scene.settle()

        bad = scene.join(2, 1, ModelSettings(timeout_s=2.0))
        await received(bad[0])
        for end in bad:
            end.close()
        await scene.settle()
        assert scene.pool.settings.timeout_s == 1.0
        assert scene.pool.description is not None
        assert scene.pool.description.version == "0"

        better = scene.join(3, 2, ModelSettings(timeout_s=3.0))
        for end in better[:-1]:
            await answer_probe(end)
        await scene.settle()
        assert scene.pool.settings.timeout_s == 3.0
        assert scene.pool.description.version == "2"
        assert scene.told == [Joined(1), Joined(3)]

    play(act)


def test_a_request_that_a_leaving_worker_has_got_is_answered_by_it(play: Any) -> None:
    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for end in ends[:-1]:
            await answer_probe(end)
        await scene.settle()
        caller = Caller()
        scene.gateway.submit(scene.pool, Question("native", "predict"), b"1", (caller, 1, "a"))
        (grab,) = await received(ends[0])
        assert isinstance(grab, frames.Grab)
        scene.gateway.part(1)
        await scene.turns()
        assert scene.told == [Joined(1)]
        answer = frames.Answer(grab.entries[0].id, frames.WHOLE, 1, 0, 200, "text/plain")
        ends[0].send(frames.encode(Replies([answer], False, True), [b"1"]))
        assert await received(ends[0]) == []
        assert caller.statuses == [200]
        assert scene.told == [Joined(1), Parted(1)]

    play(act)


@pytest.mark.parametrize(("gateways", "longest_s"), [(1, 3.0), (3, 19.0)])
def test_a_slot_that_never_lends_its_credit_is_overdue_when_all_have_had_their_turn(
    gateways: int, longest_s: float
) -> None:
    """Its call hangs, and the gateway that has asked it is dead."""

    async def act() -> None:
        scene = Scene(Board.create(1, 1), gateways)
        ends = scene.join(1, settings=ModelSettings(timeout_s=2.0, hang_kill_s=1.0))
        assert [await received(end) for end in ends[:-1]] == [[frames.Want()]] * SLOTS
        link = scene.pool.links[0]
        assert not link.is_overdue(link.asked_at + longest_s - 0.1)
        assert link.is_overdue(link.asked_at + longest_s + 0.1)
        lend(ends[0])
        await scene.turns()
        assert not link.is_overdue(link.asked_at + longest_s + 0.1)

        for end in ends:
            end.close()
        scene.gateway.forget(1, "")
        await scene.settle()

    asyncio.run(act())


def test_a_slot_that_has_a_grab_of_ours_is_probed_by_its_answers(play: Any) -> None:
    """A Want would be dropped there, and never be sent again."""

    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for end in ends[:-1]:
            await answer_probe(end)
        await scene.settle()
        scene.gateway.submit(scene.pool, Question("native", "predict"), b"1", (Caller(), 1, "a"))
        (grab,) = await received(ends[0])
        assert isinstance(grab, frames.Grab)
        (link,) = (link for link in scene.pool.links if link.is_busy)
        probe = link.take_probe()
        assert not link.has_asked
        answer = frames.Answer(grab.entries[0].id, frames.WHOLE, 1, 0, 200, "text/plain")
        ends[0].send(frames.encode(Replies([answer], False, True), [b"1"]))
        async with asyncio.timeout(5):
            assert await probe

    play(act)


def test_a_join_that_is_called_off_leaves_its_links_whole(play: Any) -> None:
    """The gateway is told to stop while a worker has shown no sign of life yet; then it shows one."""

    async def act(scene: Scene) -> None:
        ends = scene.join(1)
        for end in ends[:-1]:
            await received(end)
        scene.joining.pop().cancel()
        await scene.turns()
        for end in ends[:-1]:
            lend(end)
        await scene.turns()
        assert len(scene.pool.links) == SLOTS
        assert all(link.is_open and link.probe is None for link in scene.pool.links)

    play(act)


# Unloaded models


async def joined(scene: Scene, worker: int, generation: int = 0) -> list[socket.socket]:
    """A worker that has linked up, all of its slots free."""
    ends = scene.join(worker, generation)
    for end in ends[:-1]:
        await answer_probe(end)
    await scene.settle()
    await scene.turns()
    scene.told.clear()
    return ends


async def grabbed(end: socket.socket) -> list[int]:
    """The requests of the grab that a slot gets."""
    (grab,) = await received(end)
    assert isinstance(grab, Grab)
    return [entry.id for entry in grab.entries]


def answer(end: socket.socket, ids: list[int]) -> None:
    replies = Replies([Answer(id, frames.WHOLE, 1) for id in ids], is_credit=True, is_last=True)
    end.send(frames.encode(replies, [b"x"] * len(ids)))


async def work_off(end: socket.socket) -> None:
    """Answer all that a slot gets, until the gateway hangs up."""
    while messages := await received(end):
        for message in messages:
            if isinstance(message, Grab):
                answer(end, [entry.id for entry in message.entries])


def asking(scene: Scene, count: int) -> list[Caller]:
    callers = [Caller() for _ in range(count)]
    for caller in callers:
        scene.gateway.submit(scene.pool, Question("native", "predict"), b"1", (caller, 1, "a"))
    return callers


class Written(Caller):
    """Who waits for answers, and clients who are told when they begin and end: all in one list."""

    def __init__(self, told: list[str], *, is_broken: bool = False) -> None:
        super().__init__()
        self.told = told
        self.is_broken = is_broken

    def finish(self, serial: int, reply: Reply, request_id: str = "") -> None:
        self.told.append("answer")
        if self.is_broken:
            raise ZeroDivisionError

    def begin(self) -> None:
        self.told.append("begin")

    def end(self) -> None:
        self.told.append("end")


@pytest.mark.parametrize("is_broken", [False, True])
def test_clients_are_told_when_a_slots_answers_begin_and_always_when_they_end(
    is_broken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        told: list[str] = []
        scene = Scene(Board.create(1, 1))
        ends = await joined(scene, 1)
        scene.gateway.clients = Written(told)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        caller = Written(told, is_broken=is_broken)
        for _ in range(4):
            scene.gateway.submit(scene.pool, Question("native", "predict"), b"1", (caller, 1, "a"))
        ids = await grabbed(ends[0])
        answer(ends[0], ids)
        async with asyncio.timeout(5):
            while "end" not in told:
                await asyncio.sleep(0)
        answers = 1 if is_broken else len(ids)
        assert len(ids) == 2
        assert told == ["begin", *["answer"] * answers, "end"]
        for end in ends:
            end.close()
        scene.gateway.forget(1, "")
        await scene.turns()

    asyncio.run(act())


def test_what_waits_has_its_workers_until_all_is_over(play: Any) -> None:
    async def act(scene: Scene) -> None:
        first, second, _ = await joined(scene, 1)
        callers = asking(scene, 2)
        grabs = [await grabbed(first), await grabbed(second)]
        callers += asking(scene, 2)  # both slots are busy, so they wait
        scene.gateway.unload("m")
        scene.gateway.part(1)
        (late,) = asking(scene, 1)
        assert late.statuses == [503]
        assert isinstance(scene.pool.trouble, Unloaded)
        answer(first, grabs[0])
        working = asyncio.ensure_future(work_off(first))
        while scene.pool.in_flight > 1:
            await asyncio.sleep(0)
        await scene.turns()
        assert scene.told == []
        answer(second, grabs[1])
        assert await received(second) == []
        await working
        assert [caller.statuses for caller in callers] == [[200]] * 4
        assert scene.told == [Parted(1)]
        assert not scene.pool.links

    play(act)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_who_joins_a_model_that_is_unloaded_meanwhile_is_let_go(play: Any, turns: int) -> None:
    async def act(scene: Scene) -> None:
        scene.join(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        scene.gateway.unload("m")
        scene.gateway.part(1)
        await scene.settle()
        await scene.turns()
        assert scene.told == [Parted(1)]
        assert not scene.pool.links
        assert isinstance(scene.pool.trouble, Unloaded)

    play(act)


def test_the_next_generation_lets_the_detained_go(play: Any) -> None:
    async def act(scene: Scene) -> None:
        first, _, _ = await joined(scene, 1)
        (caller,) = asking(scene, 1)
        ids = await grabbed(first)
        scene.gateway.unload("m")
        scene.gateway.part(1)
        assert scene.pool.detained == {1}
        scene.pool.load()
        ends = await joined(scene, 2, generation=1)
        assert scene.pool.trouble is None
        assert {link.worker.id for link in scene.pool.links} == {2}
        (later,) = asking(scene, 1)
        answer(ends[0], await grabbed(ends[0]))
        answer(first, ids)
        await scene.turns()
        assert (caller.statuses, later.statuses) == ([200], [200])
        assert scene.told == [Parted(1)]

    play(act)


def test_a_worker_that_dies_while_its_model_is_unloaded_leaves_nobody_waiting(play: Any) -> None:
    async def act(scene: Scene) -> None:
        first, second, control = await joined(scene, 1)
        callers = asking(scene, 5)
        await grabbed(first)
        scene.gateway.unload("m")
        scene.gateway.part(1)
        for end in (first, second, control):
            end.close()
        await scene.turns()
        scene.gateway.forget(1, "")
        await scene.turns()
        assert [caller.statuses for caller in callers] == [[503]] * 5
        assert scene.gateway.in_flight == 0
        scene.pool.unloaded()
        assert scene.pool.state.reason == "unloaded"

    play(act)
