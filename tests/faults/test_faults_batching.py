"""Each answer goes to its own request, whatever happens beside it (P10-P13)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import census, schedule
from harness.case import Case, ledger_server
from harness.checker import ways
from harness.figures import Figures
from harness.ledger import Mix
from harness.schedule import plan
from harness.truth import NEVER, End, Mood
from serving import Server, serving, wait_until, write_subjects

import headway as hw
from headway import plugins
from headway.engine.cap import Cap
from headway.engine.frames import WHOLE
from headway.engine.grab import Run
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.model.opening import open_predictor
from headway.protocols import Ask

pytestmark = pytest.mark.timeout(180)


def test_P10_every_answer_is_its_own_requests_under_everything_at_once(
    tmp_path: Path, figures: Figures
) -> None:
    """The short form; `scripts/headline` asks a million."""
    with ledger_server(tmp_path) as server:
        mix = Mix(
            leaver=0.05, hurried=0.02, poison=0.0002, sick=0.01, rejected=0.01, bad=0.01, many=0.2
        )
        case = Case(server, mix=mix, per_s=0, clients=64, most=40_000)
        kinds = [schedule.KILL_WORKER, schedule.STOP_WORKER]
        case.run(0, plan(case.seed, kinds, every_s=2.0, until_s=8, hold_s=(0.1, 0.5))).see()
        assert case.ledger.counts.total() >= 40_000
        assert case.ledger.count(End.EXACT) > 34_000
        assert case.ledger.counts[Mood.POISON, End.FAILED, "model_crashed"]
        figures.of(case)
        figures("exact", case.ledger.count(End.EXACT))
        figures("wrong, double or hung", case.ledger.count(*NEVER))


BAD = (Mood.SICK, Mood.REJECTED, Mood.BAD)


def test_P11_a_request_that_the_model_fails_on_fails_alone(
    tmp_path: Path, figures: Figures
) -> None:
    with ledger_server(tmp_path, workers=1) as server:
        mix = Mix(sick=0.1, rejected=0.1, bad=0.1, v2=0.0, many=0.3)
        case = Case(server, mix=mix, per_s=0, clients=48, most=8_000).run(0)
        case.see()
        assert case.ledger.counts[Mood.SICK, End.FAILED, "model_failed"] > 500
        figures("bad ones", sum(n for (m, _, _), n in case.ledger.counts.items() if m in BAD))
        figures.of(case)
        assert server.metric("worker_restarts_total") == 0


# P12: who leaves, at each place of a batch and at each step of its life


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gate")
    write_subjects(folder)
    with serving(folder, "subjects.py:Hearing", "--workers", "1", "--max-batch", "8") as server:
        yield server


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("phase", ["queued", "formed", "running"])
def test_P12_who_leaves_harms_no_batch_mate_and_is_not_computed_for_nothing(
    gate: Server, phase: str, place: int, figures: Figures
) -> None:
    name = f"{phase}-{place}"
    model = "subjects"
    blocker = gate.ask_later(model, {"text": f"{name}-first", "until": f"{name}-0"})
    gate.wait_for_line("entered.txt", f"{name}-first")
    # One of another group goes first in the same grab: meanwhile the batch of four is formed.
    formed = f"{name}-1" + "-heard" * (phase == "formed")
    other = gate.ask_later(model, {"text": f"{name}-other", "until": formed})
    gate.wait_for_queue(model, 1)
    texts = [f"{name}-mate-{i}" for i in range(4)]
    mates: list[Any] = []
    for i, text in enumerate(texts):
        inputs = {"text": text, "until": f"{name}-2"}
        mates.append(gate.send(model, inputs) if i == place else gate.ask_later(model, inputs))
        gate.wait_for_queue(model, 2 + i)
    leaver = mates.pop(place)
    gone = texts.pop(place)
    if phase == "queued":
        leave(gate, leaver, model)
    gate.path(f"{name}-0").touch()
    gate.wait_for_line("entered.txt", f"{name}-other")
    if phase == "formed":
        leave(gate, leaver, model)
    gate.path(formed).touch()
    gate.wait_for_line("entered.txt", texts[0])
    if phase == "running":
        leave(gate, leaver, model)
    gate.path(f"{name}-2").touch()

    assert blocker.result(20).status == other.result(20).status == 200
    assert [mate.result(20).json for mate in mates] == [t.upper() for t in texts]
    assert (gone in gate.lines("entered.txt")) == (phase == "running")
    wait_until(lambda: gate.metric("in_flight", model=model) == 0, "nothing is in flight")
    figures("leavers", 1)
    figures("mates, all answered", len(mates))


def leave(server: Server, leaver: Any, model: str) -> None:
    """Hang up, and see that the gateway has noticed."""
    before = server.metric("requests_total", model=model, outcome="cancelled")
    leaver.close()
    wait_until(
        lambda: server.metric("requests_total", model=model, outcome="cancelled") == before + 1,
        "it is noticed",
    )


class Leaving(hw.Predictor):
    """One of its callers leaves when the answers are there, before they are split."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.place = 0

    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        self.tickets[self.place].cancel()
        return [t.upper() for t in text]


@pytest.mark.parametrize("place", range(4))
def test_P12_who_leaves_while_answers_are_split_shifts_nobodys(place: int) -> None:
    opened = open_predictor(Leaving)
    leaving: Leaving = opened.predict.__self__  # type: ignore[attr-defined]
    codec = plugins.load("protocols", "native")
    tickets = [
        Ticket(i, codec, ask_of(f'{{"text":"t{i}"}}'), time.monotonic() + 9) for i in range(4)
    ]
    leaving.tickets, leaving.place = tickets, place
    said: dict[int, bytes] = {}

    def say(some: list[Said], timing: Timing, is_last: bool) -> None:
        said.update({s.id: s.body for s in some if s.part == WHOLE})

    Run(opened, Bounds(Cap(64), 10**6, 9.0), say).run(tickets)
    assert {i: body for i, body in said.items() if i != place} == {
        i: f'"T{i}"'.encode() for i in range(4) if i != place
    }


def ask_of(body: str) -> Ask:
    return Ask(
        "predict", "leaving", "", body.encode(), {"content-type": "application/json"}, "", ""
    )


# P13

SHIFTY = """
import numpy as np
import headway as hw

class Shifty(hw.Predictor):
    def predict(self, number: hw.Batch[int], how: str = "") -> hw.Batch[list[int]]:
        right = [[n, n + 1] for n in number]
        return {
            "": right,
            "one less": right[:-1],
            "one more": [*right, [0, 0]],
            "none": None,
            "a generator": (row for row in right[:-1]),
            "a dict": {i: row for i, row in enumerate(right)},
            "transposed": np.array([[n] * 11 for n in number]).T,
            "a scalar": 7,
            "text": "x" * len(right),
            "another type": [["a", "b"] for _ in right],
        }[how]
"""
WAYS = ("one less", "one more", "none", "a generator", "a dict", "transposed", "a scalar", "text")


def test_P13_an_answer_of_a_wrong_form_fails_its_whole_batch_and_shifts_nobodys(
    tmp_path: Path, figures: Figures
) -> None:
    (tmp_path / "shifty.py").write_text(SHIFTY)
    with serving(tmp_path, "shifty.py:Shifty", "--workers", "1", "--max-batch", "8") as server:
        before = server.workers("shifty")
        for turn in range(3):
            asked = [
                (n, how, server.ask_later("shifty", {"number": n, "how": how}))
                for how in (*WAYS, "", "another type")
                for n in range(turn, turn + 4)
            ]
            for n, how, future in asked:
                answer = future.result(20)
                if how:
                    assert (answer.status, answer.code) == (500, "bad_output"), how
                else:
                    assert answer.json == [n, n + 1]
        assert server.workers("shifty") == before
        figures("forms of wrong answers", len(WAYS) + 1)


def test_P13_no_answer_is_shifted_where_batches_fail_beside_good_ones(
    tmp_path: Path, figures: Figures
) -> None:
    """The ledger's own predictor, made to forget a row whenever one is sick."""
    with ledger_server(tmp_path, workers=1) as server:
        path = tmp_path / "subject.py"
        text = path.read_text()
        forgetful = text.replace("            suffer(one)\n", "            pass\n").replace(
            'if one.startswith("rejected")', "if False"
        )
        forgetful = forgetful.replace(
            "for lo, hi, one in zip(id_lo, id_hi, text, strict=True)",
            'for lo, hi, one in zip(id_lo, id_hi, text, strict=True) if not one.startswith("sick")',
        )
        assert forgetful.count("sick") == text.count("sick") + 1
        path.write_text(forgetful)
        old = [*server.workers("text"), *server.workers("array")]
        server.admin("POST", "/reload")
        wait_until(lambda: not set(map(census.state, old)) - {""}, "the old ones have left")
        server.wait_for_workers("text", 1)
        mix = Mix(sick=0.01, many=0.0)
        allowed = ways(good="failed bad_output", sick="failed bad_output", rejected="exact")
        case = Case(server, mix=mix, per_s=0, clients=32, most=6_000, allowed=allowed).run(0)
        case.see()
        assert case.ledger.counts[Mood.SICK, End.FAILED, "bad_output"]
        assert case.ledger.count(End.EXACT) > 3000
        figures("exact beside batches that fail", case.ledger.count(End.EXACT))
        figures("wrong, double or hung", case.ledger.count(*NEVER))
