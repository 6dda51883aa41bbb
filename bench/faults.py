"""Headway and its peers under fault: the same three questions to real servers.

kill: two workers, 16 clients, kill -9 of one process that holds the model. cancel: one worker, batches of
four, one of four batch-mates leaves. overload: ten times the rate that the server can answer.
Every server has the tiny model with a sleep in it, so that being slow costs no core; Headway
has its defaults but for what the question itself sets.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import envs, fault_table, measure, peers, results
from bench.clients import GAVE_UP, OK, Connection, Crowd, Outcome
from bench.drive import Void
from bench.load import at
from bench.measure import Question, Server

Found = dict[str, Any]

WHO = (
    "headway:native", "triton:v2", "mosec:json", "ray", "kserve:v2", "mlserver", "bentoml",
    "litserve", "fastapi",
)  # fmt: skip
LIMIT_S = 15 * 60.0
QUESTION_LIMIT_S = 150.0
"""For one question to one server, without its start."""
POLL_S = 0.1
NEVER = float("inf")
"""Not seen while it was waited for; null in the file."""

WORKERS, BOTH_LIMIT_S = 2, 30.0

KILL_CLIENTS, KILL_ROW_S = 16, 0.01
KILL_BEFORE_S, KILL_AFTER_S, KILL_PATIENCE_S = 2.0, 15.0, 5.0

MATES, CANCEL_CALL_S = 4, 0.5
MATES_APART_S = 0.01
CANCEL_PATIENCE_S = 8.0
"""A batch-mate without an answer for this long is stranded: it was due within about a second."""

OVERLOAD_ROW_S, OVERLOAD_TIMES, OVERLOAD_S, OVERLOAD_PATIENCE_S = 0.02, 10, 10.0, 3.0
CAPACITY_CLIENTS, CAPACITY_S = 16, 3.0
RECOVERED_S, RECOVERY_LIMIT_S = 0.25, 30.0
"""Recovered: one lone request is answered within this."""


def kinds(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many ended how."""
    return dict(Counter(outcome.kind for outcome in outcomes).most_common())


async def kill(server: Server, asked: Question, calls: Path) -> Found:
    """Kill -9 of one process that holds the model, under load."""
    before = await _both(server, asked)
    crowd = Crowd(server.port, asked.raw(), KILL_PATIENCE_S)
    start = time.monotonic()
    end = start + KILL_BEFORE_S + KILL_AFTER_S
    load = asyncio.create_task(crowd.closed_loop(KILL_CLIENTS, end))
    await asyncio.sleep(KILL_BEFORE_S)
    killed = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    replaced = await _replaced(server, before, end)
    await load
    crowd.close()
    return _after_kill(crowd.outcomes, start, killed, end) | {"replaced_s": replaced - killed}


async def _both(server: Server, asked: Question) -> list[int]:
    """The processes that hold the model: some load it after the server's first answer."""
    warm = Crowd(server.port, asked.raw(), KILL_PATIENCE_S)
    start = time.monotonic()
    while len(holders := server.tree.holders()) < WORKERS:
        if time.monotonic() > start + BOTH_LIMIT_S:
            raise Void(f"{len(holders)} processes hold the model, and not {WORKERS}")
        await warm.closed_loop(KILL_CLIENTS, time.monotonic() + 0.5)
    warm.close()
    return holders


async def _replaced(server: Server, before: list[int], end: float) -> float:
    """When as many processes as before hold the model, the dead one not counted; or infinity."""
    while time.monotonic() < end:
        alive = await asyncio.to_thread(server.tree.holders)
        if len(set(alive) - {before[0]}) >= len(before):
            return time.monotonic()
        await asyncio.sleep(POLL_S)
    return NEVER


def _after_kill(outcomes: list[Outcome], start: float, killed: float, end: float) -> Found:
    """Who failed, the longest silence and the rate of the last three seconds."""
    answered = sorted(o.ended for o in outcomes if o.kind == OK)
    after = [moment for moment in answered if moment > killed]
    asked_later = [o.ended for o in outcomes if o.kind == OK and o.due > killed]
    silences = [b - a for a, b in zip([killed, *after], [*after, end], strict=True)]
    rate_before = sum(start + 0.5 < m <= killed for m in answered) / (killed - start - 0.5)
    if not rate_before:
        raise Void(f"nobody was answered before the kill: {kinds(outcomes)}")
    rate_after = sum(end - 3 < m <= end for m in answered) / 3
    return {
        "answered": len(after),
        "failed": kinds(o for o in outcomes if o.kind != OK and o.ended > killed),
        "first_answer_s": min(asked_later, default=NEVER) - killed,
        "silence_s": max(silences),
        "rate_after": rate_after / rate_before,
    }


async def cancel(server: Server, asked: Question, calls: Path) -> Found:
    """One of four batch-mates leaves, at each place, while they wait and while they run."""
    mates: list[Outcome] = []
    largest, computed = 0, 0
    for phase in ("waiting", "running"):
        for place in range(MATES):
            seen = await _trial(server, asked, calls, phase=phase, place=place)
            mates += seen["mates"]
            largest = max(largest, *seen["batches"], 0)
            computed += phase == "waiting" and sum(seen["batches"]) >= MATES
            if any(outcome.kind == GAVE_UP for outcome in seen["mates"]):
                await asyncio.sleep(CANCEL_CALL_S)
    if largest < 2:
        raise Void(f"no two requests met in a batch (calls of at most {largest} rows)")
    return {
        "mates": len(mates),
        "ended": kinds(mates),
        "latest_s": max((o.seconds for o in mates if o.kind == OK), default=NEVER),
        "largest_batch": largest,
        "computed_though_gone": computed,
        "gone_while_waiting": MATES,
    }


async def _trial(
    server: Server, asked: Question, calls: Path, *, phase: str, place: int
) -> dict[str, Any]:
    """A request that keeps the worker busy, four behind it, one of the four leaves."""
    seen = len(_rows(calls))
    crowd = Crowd(server.port, asked.raw(), CANCEL_PATIENCE_S)
    first = asyncio.create_task(crowd.ask())
    await _called(calls, seen + 1)
    leaver = await Connection.open(server.port)
    mates = []
    for index in range(MATES):
        one = leaver.ask(asked.raw()[index]) if index == place else crowd.ask()
        mates.append(asyncio.create_task(one))
        await asyncio.sleep(MATES_APART_S)
    if phase == "running":
        await _called(calls, seen + 2)
    await asyncio.sleep(0.05)
    leaver.close()
    del mates[place]
    ended = await asyncio.gather(*mates)
    await first
    await asyncio.sleep(0.1)
    crowd.close()
    return {"mates": ended, "batches": _rows(calls)[seen + 1 :]}


async def _called(calls: Path, count: int) -> None:
    """Return when the model has been called so often, or after five seconds."""
    until = time.monotonic() + 5
    while len(_rows(calls)) < count and time.monotonic() < until:
        await asyncio.sleep(0.005)


def _rows(calls: Path) -> list[int]:
    """The rows of each call of the model so far."""
    return [int(line) for line in calls.read_text().split()]


async def overload(server: Server, asked: Question, calls: Path) -> Found:
    """Ten times the rate that it can answer; each client waits three seconds at most."""
    await _both(server, asked)
    steady = Crowd(server.port, asked.raw(), OVERLOAD_PATIENCE_S)
    start = time.monotonic()
    await steady.closed_loop(CAPACITY_CLIENTS, start + CAPACITY_S)
    capacity = sum(o.kind == OK for o in steady.outcomes) / (time.monotonic() - start)
    steady.close()
    if not capacity:
        raise Void(f"16 clients get no answer: {kinds(steady.outcomes)}")
    idle_mb = server.tree.pss_mb()
    crowd = Crowd(server.port, asked.raw(), OVERLOAD_PATIENCE_S)
    start = time.monotonic()
    weights = [idle_mb]
    watch = asyncio.create_task(_weigh(server, weights))
    await crowd.open_loop(OVERLOAD_TIMES * capacity, start + OVERLOAD_S)
    crowd.close()
    recovered_s = await _recovered(server, asked)
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    within = [
        o for o in crowd.outcomes if o.kind == OK and start + 1 < o.ended < start + OVERLOAD_S
    ]
    accepted = sorted(o.seconds for o in crowd.outcomes if o.kind == OK)
    return {
        "capacity_per_s": capacity,
        "asked": len(crowd.outcomes),
        "goodput": len(within) / (OVERLOAD_S - 1) / capacity,
        "refused": kinds(o for o in crowd.outcomes if o.kind != OK),
        "refused_p50_s": _median([o for o in crowd.outcomes if o.kind not in (OK, GAVE_UP)]),
        "accepted_p99_s": at(accepted, 0.99) / 1e3,
        "recovered_s": recovered_s,
        "idle_mb": idle_mb,
        "most_mb": max(weights),
    }


async def _weigh(server: Server, weights: list[float]) -> None:
    """Append the tree's memory each half second, until cancelled."""
    while True:
        weights.append(await asyncio.to_thread(server.tree.pss_mb))
        await asyncio.sleep(0.5)


async def _recovered(server: Server, asked: Question) -> float:
    """Seconds until a lone request is answered as quickly as on an idle server; or infinity."""
    start = time.monotonic()
    while time.monotonic() - start < RECOVERY_LIMIT_S:
        one = Crowd(server.port, asked.raw(), OVERLOAD_PATIENCE_S)
        outcome = await one.ask()
        one.close()
        if outcome.kind == OK and outcome.seconds < RECOVERED_S:
            return outcome.ended - start
        await asyncio.sleep(POLL_S)
    return NEVER


def _median(outcomes: list[Outcome]) -> float:
    return at(sorted(o.seconds for o in outcomes), 0.5) / 1e3


Ask = Callable[[Server, Question, Path], Awaitable[Found]]

QUESTIONS: Mapping[str, tuple[Ask, str, peers.Tuning]] = {
    "kill": (kill, "workers", {"row_s": KILL_ROW_S}),
    "cancel": (cancel, "batch", {"call_s": CANCEL_CALL_S}),
    "overload": (overload, "workers", {"row_s": OVERLOAD_ROW_S}),
}
"""What is asked, of which of a peer's `FAULTS`, with how slow a model."""


def ask(who: str, name: str) -> Found:
    """One question to one server: what was found, or `not offered` or `void` with the reason."""
    question, setting, slowness = QUESTIONS[name]
    tuning = peers.open_peer(who.partition(":")[0]).FAULTS[setting]
    if isinstance(tuning, str):
        return {"not offered": tuning}
    with tempfile.NamedTemporaryFile(prefix="bench-calls-") as calls:
        try:
            asked = measure.question(who, "tiny")
            given = {**tuning, **slowness, "calls": calls.name}
            with measure.serving(asked, given) as server:
                work = question(server, asked, Path(calls.name))
                found = asyncio.run(_within(work, QUESTION_LIMIT_S))
                return {name: None if value == NEVER else value for name, value in found.items()}
        except (Void, OSError) as e:
            return {"void": str(e)}
        except TimeoutError:
            return {"void": f"not done within {QUESTION_LIMIT_S:.0f} s"}


async def _within(work: Awaitable[Found], seconds: float) -> Found:
    """The work's answer, or TimeoutError."""
    async with asyncio.timeout(seconds):
        return await work


def main(console: Console, kept: list[str], name: str) -> None:
    """Ask everybody everything; print, and write Markdown and JSON into bench/results."""
    machine = results.machine()
    console.print(machine)
    who = [w for w in WHO if not kept or "all" in kept or w.partition(":")[0] in kept]
    end = time.monotonic() + LIMIT_S
    found: dict[str, dict[str, Found]] = {}
    target = envs.ROOT / "bench" / "results" / name
    for server in who:
        found[server] = {}
        for question in QUESTIONS:
            console.print(f"[dim]{server}: {question}[/]")
            is_late = time.monotonic() > end
            found[server][question] = {"void": "out of time"} if is_late else ask(server, question)
        results.write(target.with_suffix(".json"), {"machine": machine, "found": found})
        target.with_suffix(".md").write_text(fault_table.markdown(found))
    console.print(fault_table.markdown(found), markup=False)
    console.print(f"written: {target}.json, {target}.md")
