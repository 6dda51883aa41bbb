"""Bad connections between client and server: slow, cut, reset, half-closed, spoilt; through the fault proxy."""

import asyncio
from collections.abc import Iterator

import pytest
from harness.case import Case, ledger_server
from harness.checker import complaints, ways
from harness.ledger import Ledger, Load, Mix
from harness.proxy import Fault, Proxy
from harness.truth import End
from serving import Server

pytestmark = pytest.mark.timeout(120)

HARMLESS = {
    "delay": Fault("delay", 0, 0.02),
    "trickle": Fault("trickle", 30, 0.0002),
}
"""All is answered, later."""
HARMFUL = {
    "stall": Fault("stall", 900),
    "reset": Fault("reset", 700),
    "cut inside a head": Fault("cut", 20),
    "cut inside a body": Fault("cut", 1500),
    "half_close": Fault("half_close", 900),
    "corrupt": Fault("corrupt", 450),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ledger_server(tmp_path_factory.mktemp("network"), gateways=1) as server:
        yield server


def play(server: Server, there: Fault, back: Fault, timeout_s: float) -> Ledger:
    """Ask through a bad connection, and, beside it, through none: those must all be exact."""
    bad, good = Ledger(), Ledger()

    async def run() -> None:
        proxy = Proxy(server.port, there, back)
        async with proxy.listening():
            mix = Mix(timeout_s=timeout_s, v2=0.0)
            load = Load(bad, proxy.own_port, 1, 10, 100.0, mix)
            beside = Load(good, server.port, 2, 8, 100.0)
            running = [asyncio.create_task(one.run()) for one in (load, beside)]
            await asyncio.sleep(2.0)
            for one in (load, beside):
                one.stop()
            await asyncio.gather(*running)
        assert proxy.faults >= 8, "void: the fault did not happen"

    asyncio.run(run())
    assert complaints(good.counts, ways()) == [], good.summary()
    assert good.count(End.EXACT) > 100, good.summary()
    return bad


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_slow_is_answered_exactly(server: Server, kind: str, way: str) -> None:
    faults = (HARMLESS[kind], Fault())
    there, back = faults if way == "there" else faults[::-1]
    ledger = play(server, there, back, 10.0)
    assert complaints(ledger.counts, ways()) == [], ledger.summary()
    assert ledger.count(End.EXACT) > 20, ledger.summary()


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("kind", HARMFUL)
def test_what_is_broken_harms_nobody_else_and_is_never_answered_wrongly(
    server: Server, kind: str, way: str
) -> None:
    faults = (HARMFUL[kind], Fault())
    there, back = faults if way == "there" else faults[::-1]
    ledger = play(server, there, back, 0.5)
    if kind == "corrupt":
        return  # no checksum guards what TCP has let pass: only those beside it count
    wrong = complaints(ledger.counts, ways(all="failed cut,failed unconnected,timeout deadline"))
    if kind in ("stall", "half_close"):
        # The client itself waits in vain: no server can end that.
        wrong = [w for w in wrong if f" ended {End.HUNG}:" not in w]
    assert wrong == [], ledger.summary()


def test_after_all_that_nothing_is_left_over(server: Server) -> None:
    for name in ("in_flight", "queue_requests", "queue_bytes"):
        assert server.metric(name) == 0
    Case(server).run(1).see()
