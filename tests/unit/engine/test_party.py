"""What a party makes of its fleet's orders: whom it tells, what it counts, what the log and the status say."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest

from headway.config import ModelSettings, ModelSpec
from headway.engine.back_off import MAX_DEATHS
from headway.engine.channel import Channel
from headway.engine.child import Death
from headway.engine.messages import (
    Hold,
    Load,
    Loaded,
    Message,
    Part,
    Refused,
    Trouble,
    Unload,
    Unloaded,
)
from headway.engine.party import Party
from headway.model.call import Description, ModelState

LOADED = Loaded(Description("m", "1", "", "", (), (), {}, {}), 1, 1, 4, 4, 0.001, 0.1, "")
SIGSEGV = Death("signal", "SIGSEGV")


class Process:
    """A process of which only the other end of its channel is seen."""

    pid = 0

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        theirs.setblocking(False)
        self.channel, self._theirs = Channel(ours), Channel(theirs)
        self.is_killed = False

    def kill(self) -> None:
        self.is_killed = True

    def heard(self) -> list[Message]:
        """All that was said to it since."""
        heard: list[Message] = []
        while said := self._theirs.read():
            for message, fds in said:
                heard.append(message)
                for fd in fds:
                    socket.socket(fileno=fd).close()
        return heard

    def close(self) -> None:
        self.channel.close()
        self._theirs.close()


class Host:
    """A supervisor of one gateway: it notes what it is asked for, and everybody's turn comes at once."""

    max_body_bytes = 1 << 20
    models: Sequence[ModelSettings] = (ModelSettings(),)

    def __init__(self) -> None:
        self.gateway = Process()
        self.gateways: Mapping[int, Process] = {0: self.gateway}
        self.started: list[Process] = []
        self.counted: list[str] = []

    def line_up(self, party: Party, worker: int) -> None:
        party.begin(worker)

    def start_worker(self, party: Party, worker: int, environment: dict[str, str]) -> Process:
        self.started.append(Process())
        return self.started[-1]

    def next_serial(self) -> int:
        return len(self.started)

    def count_restart(self, model: str, cause: str) -> None:
        self.counted.append(cause)

    def changed(self) -> None:
        pass

    def troubles(self) -> list[str]:
        """The models of which the gateway was told, since the last time, that they can't be served."""
        return [m.model for m in self.gateway.heard() if isinstance(m, Trouble)]


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    for process in (host.gateway, *host.started):
        process.close()


def spec(workers: int = 1, version: str = "1") -> ModelSpec:
    return ModelSpec("m", "/", "m.py:M", ModelSettings(workers=workers), version)


def begun(host: Host, workers: int = 1) -> Party:
    party = Party(spec(workers), cast("Any", host))
    party.obey(party.fleet.start(0.0))
    return party


def join(party: Party, worker: int) -> None:
    party.hear(worker, LOADED)
    party.hear_gateway(worker, 0, has_joined=True)


def records(caplog: pytest.LogCaptureFixture, message: str) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.getMessage() == message]


def test_the_same_failure_is_told_again_after_a_reload(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host)
    party.hear(1, Refused("load_failed", "no such file"))
    assert host.troubles() == [spec().name]

    party.replace(spec())
    party.hear(2, Refused("load_failed", "no such file"))

    assert host.troubles() == [spec().name]
    assert len(records(caplog, "model_failed")) == 2


def test_the_same_refusal_is_told_again_after_a_reload(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host)
    join(party, 1)
    for worker in (2, 3):
        party.replace(spec())
        party.hear(worker, Refused("load_failed", "SyntaxError"))

    assert [r.__dict__["reason"] for r in records(caplog, "generation_given_up")] == [
        "SyntaxError",
        "SyntaxError",
    ]


def test_a_failure_is_told_again_though_a_gateway_has_been_introduced_to_a_worker_meanwhile(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host)
    told = []
    for _ in range(2):
        let_all_die(party)
        told += host.troubles()
        party.replace(spec())
        party.hear(max(party.fleet.members), LOADED)

    assert told == [spec().name] * 2
    reasons = [r.__dict__["reason"] for r in records(caplog, "model_failed")]
    assert reasons == ["5 workers in a row died before they were ready: SIGSEGV"] * 2


def test_a_worker_that_is_refused_in_place_of_one_that_served_is_counted_and_logged(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host)
    join(party, 1)
    party.ended(1, SIGSEGV)
    party.hear(2, Refused("load_failed", "the disk is away"))
    party.ended(2, Death("killed", "SIGKILL of the supervisor"))

    assert host.counted == ["signal", "exit"]
    assert party.status()["restarts"] == 2
    (refused,) = records(caplog, "load_refused")
    assert (refused.levelno, refused.__dict__["worker"]) == (logging.ERROR, 2)


def test_a_refusal_of_what_never_served_is_no_restart(host: Host) -> None:
    party = begun(host)
    party.hear(1, Refused("load_failed", "SyntaxError"))
    party.ended(1, Death("killed", "SIGKILL of the supervisor"))

    assert host.counted == []


def test_fewer_workers_than_asked_are_told_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host, workers=2)
    join(party, 1)
    let_all_die(party, but=1, times=2 * MAX_DEATHS)

    (short,) = records(caplog, "fewer_workers")
    assert short.levelno == logging.ERROR
    assert (short.__dict__["ready"], short.__dict__["asked"]) == (1, 2)
    assert "SIGSEGV" in short.__dict__["reason"]
    assert party.status()["shortage"] == short.__dict__["reason"]
    assert party.status()["failure"] == ""
    assert host.troubles() == []


def test_fewer_workers_are_told_again_once_there_were_enough(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    party = begun(host, workers=2)
    join(party, 1)
    for _ in range(2):
        let_all_die(party, but=1)
        party.obey(party.fleet.start(1e12))
        join(party, max(party.fleet.members))
        assert party.status()["shortage"] == ""
        party.ended(max(party.fleet.members), SIGSEGV)

    assert len(records(caplog, "fewer_workers")) == 2


def test_the_last_that_served_starts_again_by_its_own_specification(host: Host) -> None:
    party = begun(host)
    join(party, 1)
    party.replace(spec(version="2"))
    party.ended(1, SIGSEGV)
    party.replace(spec(version="3"))
    party.hear(3, Refused("load_failed", "SyntaxError"))

    assert party.spec.version == "1"
    (hold,) = host.started[-1].heard()
    assert isinstance(hold, Hold)
    assert hold.spec.version == "1"


def let_all_die(party: Party, *, but: int = 0, times: int = MAX_DEATHS) -> None:
    """Let that many workers die, one after the other, with no wait between them."""
    for _ in range(times):
        party.obey(party.fleet.start(1e12))
        party.ended(max(party.fleet.members.keys() - {but}), SIGSEGV)


# Unload and load


def told(host: Host) -> list[type[Message]]:
    """What the gateway was told since the last time, by kind."""
    return [type(message) for message in host.gateway.heard()]


def test_gateways_hear_of_an_unload_before_the_workers_leave_and_of_its_end(host: Host) -> None:
    party = begun(host)
    join(party, 1)
    told(host)
    party.unload()
    assert told(host) == [Unload, Part]
    assert party.state == ModelState("UNLOADING")
    party.unload()
    assert told(host) == []
    party.ended(1, Death("exit", "exit code 0"))
    assert told(host)[-1] is Unloaded
    assert party.state == ModelState("UNAVAILABLE", "unloaded")
    assert host.counted == []


def test_a_new_gateway_is_told_what_is_unloaded(host: Host) -> None:
    party = begun(host)
    join(party, 1)
    party.unload()
    told(host)
    party.meet_gateway(0)
    assert told(host) == [Unload]
    party.ended(1, SIGSEGV)
    told(host)
    party.meet_gateway(0)
    assert told(host) == [Unload, Unloaded]


def test_a_load_is_told_where_nothing_was_served(host: Host) -> None:
    party = begun(host)
    party.unload()
    told(host)
    party.replace(spec(), 3)
    assert told(host) == [Load]
    assert (party.state, party.fleet.generation) == (ModelState("LOADING"), 3)
    party.replace(spec())
    assert told(host) == []


def test_who_waits_is_told_what_has_become_of_the_newest(host: Host) -> None:
    async def run() -> list[str]:
        party = begun(host)
        first = party.outcome()
        party.hear(1, Refused("load_failed", "no such file"))
        party.replace(spec())
        second = party.outcome()
        assert not second.done()
        join(party, 2)
        third = party.outcome()
        party.replace(spec())
        fourth, fifth = party.outcome(), party.outcome()
        fifth.cancel()
        party.give_up("the server is stopping")
        return [await f for f in (first, second, third, fourth)]

    assert asyncio.run(run()) == ["no such file", "", "", "the server is stopping"]
