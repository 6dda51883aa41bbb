"""Too many requests, too late ones, and clients that have gone (P15-P17, P48)."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from harness import census
from harness.case import Case, ledger_server
from harness.checker import Void, ways
from harness.figures import Figures
from harness.ledger import Ledger, Load, Mix, Wire
from harness.proxy import hang_up
from harness.truth import End, Seen
from serving import Server, serving, wait_until, write_subjects

pytestmark = pytest.mark.timeout(180)

SLOW = """
models:
  text: {predictor: "subject.py:Text", workers: 1, max_batch: 1, max_queue: 32}
"""
SERVICE_S = 0.01
"""So long that ten times the load is no burden to those who ask, who share the cores."""


def test_P15_ten_times_the_load_is_refused_at_once_and_what_is_taken_is_answered_in_time(
    tmp_path: Path, figures: Figures
) -> None:
    mix = Mix(v2=0.0, many=0.0, prefix=f"slow {SERVICE_S} ")
    with ledger_server(tmp_path, gateways=1, config=SLOW) as server:
        free = Case(server, mix=mix, per_s=0, clients=8).run(3)
        free.see()
        capacity = free.ledger.count(End.EXACT) / free.took_s
        service_s = 1 / capacity
        (gateway,) = server.gateways()
        before = census.resident_bytes(gateway)

        allowed = ways(good="refused queue_full")
        full = Case(server, mix=mix, per_s=10 * capacity, clients=200, allowed=allowed).run(8)
        full.see()

        goodput = full.ledger.count(End.EXACT) / full.took_s
        assert goodput > 0.8 * capacity, f"{goodput:.0f}/s of {capacity:.0f}/s; 90 % is promised"
        assert full.ledger.count(End.REFUSED) > 3 * full.ledger.count(End.EXACT), full.report
        bound_s = 32 * service_s + 1.5 * service_s
        took_s = full.ledger.quantile_s(0.99, End.EXACT)
        assert took_s < bound_s * 1.5 + 0.1, f"{took_s:.3f} s of {bound_s:.3f} s, and slack"
        refused_s = full.ledger.quantile_s(0.5, End.REFUSED)
        assert refused_s < 0.1, f"{refused_s:.3f} s; 0.01 s is promised where a core is free"
        assert census.resident_bytes(gateway) - before < 32 * 2**20
        figures("goodput", 100 * goodput / capacity, "% of the capacity")
        figures(f"p99 of the accepted (bound {bound_s:.2f} s)", took_s, "s")
        figures("refused", full.ledger.count(End.REFUSED))
        figures("median of a refusal", refused_s * 1000, "ms")

        few = Void(least_per_s=0.2 * capacity, least=50)
        after = Case(server, mix=mix, per_s=0.3 * capacity, clients=8, void=few).run(5)
        after.see()
        assert after.ledger.quantile_s(0.99, End.EXACT, since=after_s(after, 1.0)) < 0.25


def after_s(case: Case, seconds: float) -> float:
    """A moment so long after a case's first answer."""
    return case.ledger.stamps[0][0] + seconds


def test_P15_a_full_queue_is_503_in_the_open_inference_protocol_and_says_when_to_come_back(
    tmp_path: Path,
) -> None:
    config = SLOW + '  array: {predictor: "subject.py:Array", workers: 1, max_queue: 1}\n'
    with ledger_server(tmp_path, gateways=1, config=config) as server:
        allowed = ways(good="refused,refused queue_full")
        mix = Mix(v2=1.0)
        case = Case(server, mix=mix, per_s=0, clients=32, allowed=allowed).run(2)
        case.see()
        assert case.ledger.count(End.REFUSED) > 10


PATIENT = """
models:
  text: {predictor: "subject.py:Text", workers: 1, max_batch: 1, max_queue: 2048}
"""


def test_P15_a_queue_is_no_longer_than_its_callers_are_patient(
    tmp_path: Path, figures: Figures
) -> None:
    """Ten times the capacity, and every caller leaves after 1.5 s; the whole queue would take ten."""
    with ledger_server(tmp_path, gateways=1, config=PATIENT) as server:
        ends = asyncio.run(ask_with_little_patience(server, per_s=2000, seconds=8.0))
        learnt = [start for start, _, status in ends if status == 429]
        assert learnt, "nobody was refused: the overload did not happen"
        later = [(end, status) for _, end, status in ends if end > 4.0]
        answered = sum(status == 200 for _, status in later) / 4.0
        capacity = 1 / SERVICE_S
        figures(
            "answered where callers leave after 1.5 s",
            100 * answered / capacity,
            "% of the capacity",
        )
        left = sum(status == 0 for _, status in later)
        assert left < len(later) / 10, f"{left} of {len(later)} still left before they were told"
        assert answered > 0.5 * capacity, f"{answered:.0f}/s of at most {capacity:.0f}/s"


async def ask_with_little_patience(
    server: Server, per_s: int, seconds: float
) -> list[tuple[float, float, int]]:
    """When each request began and ended, and its status; 0 where the client left after 1.5 s."""
    body = json.dumps({"id_lo": 0, "id_hi": 0, "text": f"slow {SERVICE_S} x"})
    head = f"POST /models/text/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}"
    request = f"{head}\r\ncontent-type: application/json\r\n\r\n{body}".encode()
    began = time.monotonic()
    ends: list[tuple[float, float, int]] = []

    async def ask() -> None:
        start = time.monotonic() - began
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        try:
            line = await asyncio.wait_for(reader.readline(), 1.5)
            status = int(line.split()[1])
        except TimeoutError:
            status = 0
        hang_up(writer, is_rude=True)
        ends.append((start, time.monotonic() - began, status))

    async with asyncio.TaskGroup() as group:
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            group.create_task(ask())
    return ends


NOTING = """
import time
from pathlib import Path
import headway as hw

class Noting(hw.Predictor):
    def predict(self, ends: hw.Batch[float]) -> hw.Batch[float]:
        now = time.monotonic()
        with Path(__file__).with_name("late.txt").open("a") as file:
            file.writelines(f"{now - end}\\n" for end in ends)
        time.sleep(0.05)
        return list(ends)
"""


def test_P16_what_has_expired_is_not_computed(tmp_path: Path, figures: Figures) -> None:
    """Half of the deadlines are shorter than a call, and each batch notes whose time was over."""
    (tmp_path / "noting.py").write_text(NOTING)
    flags = ["--workers", "1", "--max-batch", "4"]
    with serving(tmp_path, "noting.py:Noting", *flags) as server:
        statuses = asyncio.run(ask_in_a_hurry(server, 600))
        assert statuses.count(504) > 100
        assert statuses.count(200) > 50
        assert set(statuses) == {200, 504}
        late_s = [float(line) for line in server.lines("late.txt")]
        # A clock tick of the gateway, the way to the worker and a busy machine.
        assert sum(s > 0.05 for s in late_s) <= len(late_s) // 100, sorted(late_s)[-5:]
        assert len(late_s) < len(statuses), "what expired in the queue is never computed"
        figures("requests", len(statuses))
        figures("expired", statuses.count(504))
        figures("computed more than 50 ms too late", sum(s > 0.05 for s in late_s))


async def ask_in_a_hurry(server: Server, requests: int) -> list[int]:
    async def ask(number: int) -> int:
        timeout_s = 0.04 if number % 2 else 3.0
        await asyncio.sleep(number * 0.005)
        _, wire = await loop.create_connection(lambda: Wire(print), "127.0.0.1", server.port)
        body = json.dumps({"ends": time.monotonic() + timeout_s}).encode()
        head = f"POST /models/noting/predict HTTP/1.1\r\nhost: localhost\r\nheadway-timeout: {timeout_s}"
        length = f"content-type: application/json\r\ncontent-length: {len(body)}"
        seen = await wire.ask(f"{head}\r\n{length}\r\n\r\n".encode() + body)
        await wire.hang_up()
        assert isinstance(seen, Seen)
        return seen.status

    loop = asyncio.get_running_loop()
    return list(await asyncio.gather(*map(ask, range(requests))))


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_P17_a_thousand_clients_that_go_cost_nothing_but_what_was_in_service(
    tmp_path: Path, how: str, figures: Figures
) -> None:
    write_subjects(tmp_path)
    flags = ["--workers", "1", "--max-batch", "8"]
    with serving(tmp_path, "subjects.py:Gate", *flags) as server:
        blocker = server.ask_later("subjects", {"text": "first", "until": "go"})
        server.wait_for_line("entered.txt", "first")
        gone_at = asyncio.run(send_and_go(server, 1000, how))
        wait_until(lambda: server.metric("queue_requests") == 0, "the queue is empty", 5)
        empty_s = time.monotonic() - gone_at
        assert empty_s < 2.0, "0.1 s is promised; a thousand ends and two cores"
        figures("gone", 1000)
        figures("the queue is empty after", empty_s, "s")
        server.path("go").touch()
        assert blocker.result(20).json == "FIRST"
        assert server.ask("subjects", {"text": "last"}).json == "LAST"
        assert server.lines("computed.txt") == ["first", "last"]
        outcomes = {o: server.metric("requests_total", outcome=o) for o in ("ok", "cancelled")}
        assert outcomes == {"ok": 2, "cancelled": 1000}


async def send_and_go(server: Server, clients: int, how: str) -> float:
    """Send requests that wait, then have all their clients go; returns when that was."""
    writers = []
    for number in range(clients):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps({"text": f"gone-{number}"})
        head = f"POST /models/subjects/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\ncontent-type: application/json\r\n\r\n{body}".encode())
        writers.append((reader, writer))
    await asyncio.to_thread(server.wait_for_queue, "subjects", clients)
    gone_at = time.monotonic()
    for _, writer in writers:
        if how == "half_close":
            writer.write_eof()
        else:
            hang_up(writer, is_rude=how == "reset")
    for reader, writer in writers:
        if how == "half_close":
            assert await reader.read() == b"", "a half-closed connection has left (decision 6)"
        writer.close()
    return gone_at


TWO = """
models:
  text: {predictor: "subject.py:Text", workers: 1, max_batch: 1, max_queue: 64}
  array: {predictor: "subject.py:Array", workers: 1}
"""


def test_P48_a_model_that_is_overloaded_does_not_starve_the_other(
    tmp_path: Path, figures: Figures
) -> None:
    """The overloaded one sleeps, so that it takes its queue and its workers, and not the machine's cores."""
    with ledger_server(tmp_path, config=TWO) as server:
        ours = Mix(v2=1.0, many=0.0)
        quiet = Case(server, mix=ours, per_s=100, clients=8).run(3)
        quiet.see()
        theirs = Mix(v2=0.0, many=0.0, prefix="slow 0.05 ")
        beside = asyncio.run(both(server, ours, theirs))
        p99_s = [case.quantile_s(0.99, End.EXACT) for case in (quiet.ledger, beside)]
        assert beside.count(End.EXACT) == beside.counts.total() > 200, beside.summary()
        assert p99_s[1] < 2 * p99_s[0] + 0.05, f"p99 {p99_s}; twice is promised, 50 ms are slack"
        figures("p99 before", p99_s[0] * 1000, "ms")
        figures("p99 beside the overload", p99_s[1] * 1000, "ms")


async def both(server: Server, ours: Mix, theirs: Mix) -> Ledger:
    ledger, overloaded = Ledger(), Ledger()
    load = Load(ledger, server.port, 1, 8, 100.0, ours)
    flood = Load(overloaded, server.port, 2, 100, 400.0, theirs)
    running = [asyncio.create_task(flood.run()), asyncio.create_task(load.run())]
    await asyncio.sleep(4)
    for one in (load, flood):
        one.stop()
    await asyncio.gather(*running)
    assert overloaded.count(End.REFUSED) > 200, overloaded.summary()
    assert overloaded.count(End.WRONG, End.HUNG, End.DUPLICATE) == 0
    return ledger
