"""Deliberate faults in the data path: each is made in a copy of the source, and a named quick test must fail then.

    python -m harness.mutants [NAME ...]

A mutant names its file, the exact text that it replaces and the test that must catch it. Text that is not found,
or found more than once, is a failure too: a mutant that was not made proves nothing. So is a test that fails
without any mutant.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
"""A test that takes longer has caught its mutant too: it hangs."""
STOP_S = 30.0
"""A run of tests that is told to stop has this long to end its servers."""

GRAB = "tests/unit/engine/test_grab.py::"
EJECTION = "tests/unit/engine/test_ejection.py::"
BUDGET = "tests/unit/engine/test_budget.py::"
CAP = "tests/unit/engine/test_cap.py::"
LAWS = "tests/unit/engine/test_batcher.py::TestLaws"
SIMULATED = (
    "tests/unit/engine/test_simulation.py::test_every_seed_ends_each_request_once_and_comes_to_rest"
)
CACHE = "tests/e2e/test_serve_cache.py::"
LENDING = "tests/unit/engine/test_lending.py::TestLending::runTest"
HELD = "tests/unit/server/test_held_answers.py::"
LEDGER = (
    "tests/e2e/test_ledger_short.py::test_three_thousand_requests_of_every_mood_end_as_they_should"
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberate fault."""

    name: str
    file: str
    """Below src/headway."""
    find: str
    replace: str
    test: str

    def mutate(self, text: str) -> str:
        """The text with the fault in it.

        Raises:
            LookupError: the text to replace is not there once.
        """
        if text.count(self.find) != 1:
            raise LookupError(
                f"{self.name}: {self.file} holds {text.count(self.find)} times {self.find!r};"
                " the code has changed: mend the mutant in tests/harness/mutants.py"
            )
        return text.replace(self.find, self.replace)


JOINED = """\
        import msgspec
        try:
            joined = b"[" + b",".join(bytes(t.ask.body) for t in tickets) + b"]"
            parts = msgspec.json.decode(joined)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            parts = []
        if len(parts) == len(tickets):
            for ticket, part in zip(tickets, parts):
                ticket.ask.body = msgspec.json.encode(part)
        decoded = [t for t in tickets if self._decode(t)]"""

MUTANTS = (
    Mutant(
        "match by order",
        "engine/gateway.py",
        "flight = link.flights.get(answer.id)",
        "flight = next(iter(link.flights.values()), None)",
        f"{LEDGER}[1]",
    ),
    Mutant(
        "resolve all waiters in one try",
        "engine/answers.py",
        "            if ticket.is_done or ticket.call is None:\n                continue",
        "            if ticket.is_done or ticket.call is None:\n                return",
        "tests/unit/engine/test_grab_leavers.py::test_who_leaves_before_his_call_strands_no_mate",
    ),
    Mutant(
        "join bodies before parsing",
        "engine/grab.py",
        "        decoded = [t for t in tickets if self._decode(t)]",
        JOINED,
        f"{GRAB}test_pieces_that_would_be_one_document_when_joined_are_each_refused",
    ),
    Mutant(
        "forget an answer that is held",
        "server/listener.py",
        "        for connection in collected:",
        "        for connection in collected[:-1]:",
        f"{HELD}test_answers_are_written_when_all_of_them_have_been_made",
    ),
    Mutant(
        "let what follows overtake a held answer",
        "server/connection.py",
        "        if self._held:\n            self.let_go()\n",
        "",
        f"{HELD}test_what_follows_on_a_connection_does_not_overtake_a_held_answer[/stream]",
    ),
    Mutant(
        "give everybody the first row's answer",
        "model/cut.py",
        "        return texts[start] if stop - start == 1",
        "        return texts[0] if stop - start == 1",
        "tests/contract/protocols/test_v2_plain.py::"
        "test_named_answers_are_written_in_the_order_of_the_signature",
    ),
    Mutant(
        "take whatever number of rows the model gives",
        "model/output.py",
        "    if len(values) != rows:\n",
        "    if len(values) < rows:\n",
        "tests/unit/model/test_wire_batches.py::"
        "test_a_batch_answer_of_another_form_is_the_models_mistake",
    ),
    Mutant(
        "lose a credit",
        "engine/slot.py",
        "        if not keeps:\n            self._tell(self._loan.returned(line.gateway))",
        "",
        f"{LEDGER}[2]",
    ),
    Mutant(
        "forget which gateway waits",
        "engine/loan.py",
        "        self._wants[gateway] = True",
        "",
        LENDING,
    ),
    Mutant(
        "ask for a credit only once",
        "engine/link.py",
        "        self.has_asked = False  #",
        "        #",
        "tests/unit/engine/test_lending.py::test_a_gateway_asks_again_whenever_it_lacks_the_credit",
    ),
    Mutant(
        "lend a credit twice",
        "engine/loan.py",
        "return self._lend(gateway) if self.holder is None else []",
        "return self._lend(gateway)",
        LENDING,
    ),
    Mutant(
        "deliver a late answer",
        "engine/life.py",
        "    _row(_S.DONE),",
        "    _row(_S.DONE, ANSWER=(_S.DONE, _A.DELIVER)),",
        "tests/unit/engine/test_life.py::"
        "test_a_request_ends_once_and_nothing_happens_to_it_afterwards",
    ),
    Mutant(
        "give a late answer to the connection's next request",
        "server/connection.py",
        "            return\n        head = self._head\n        if self._is_streaming or head is None:\n",
        "            pass\n        head = self._head\n        if self._is_streaming or head is None:\n",
        "tests/integration/http/test_http_exchange.py::"
        "test_late_and_double_answers_never_reach_the_next_request",
    ),
    Mutant(
        "hand out the parts of an answer shifted by one",
        "engine/grab.py",
        "zip(batch, self._wire.split(result, sizes), strict=True)",
        "zip(batch[1:] + batch[:1], self._wire.split(result, sizes), strict=True)",
        f"{GRAB}test_each_request_of_any_grab_gets_its_own_answer_exactly_once",
    ),
    Mutant(
        "drop a row in bisecting",
        "engine/rows.py",
        "            rest.append((owner, rows[left:]))",
        "            rest.append((owner, rows[left + 1 :]))",
        f"{GRAB}test_each_request_of_any_grab_gets_its_own_answer_exactly_once",
    ),
    Mutant(
        "do not bisect",
        "engine/grab.py",
        "        if total == 1 or not may_repeat:\n",
        "        if total:\n",
        f"{GRAB}test_a_bad_row_costs_a_logarithm_of_calls",
    ),
    Mutant(
        "call twice what must not be called twice",
        "engine/grab.py",
        "        if total == 1 or not may_repeat:\n",
        "        if total == 1:\n",
        f"{GRAB}test_a_failing_call_of_a_predictor_that_must_not_be_asked_twice_is_not_repeated",
    ),
    Mutant(
        "forget what memory holds",
        "engine/cap.py",
        "        self.rows = min(self.rows, half)\n",
        "",
        f"{CAP}test_each_row_that_fits_is_answered_at_a_logarithm_of_calls",
    ),
    Mutant(
        "let one caller's row make all batches small",
        "engine/grab.py",
        "        if is_short and not is_lone and self._cap",
        "        if is_short and self._cap",
        f"{CAP}test_only_a_row_that_does_not_fit_alone_is_out_of_memory_and_it_teaches_nothing",
    ),
    Mutant(
        "hold what a failed call had made",
        "engine/grab.py",
        "                let_go(error)\n",
        "                pass\n",
        f"{CAP}test_what_a_call_had_made_is_gone_before_its_half_is_tried",
    ),
    Mutant(
        "retry twice",
        "engine/life.py",
        "MAX_ATTEMPTS = 2",
        "MAX_ATTEMPTS = 3",
        SIMULATED,
    ),
    Mutant(
        "retry whatever it costs",
        "engine/budget.py",
        "        return self.owed <= max(LEAST, ROUNDS * active)",
        "        return True",
        f"{BUDGET}test_where_all_workers_die_at_every_request_hardly_any_is_tried_twice",
    ),
    Mutant(
        "pay nothing back for good answers",
        "engine/budget.py",
        "SHARE * (answered - self._answered)",
        "0 * (answered - self._answered)",
        f"{BUDGET}test_a_death_after_what_is_owed_was_paid_back_costs_nobody_an_answer",
    ),
    Mutant(
        "ask all who are refused to come back together",
        "engine/patience.py",
        "return least_s + int(luck * (least_s + 2))",
        "return least_s",
        f"{BUDGET}test_it_is_about_what_the_queue_takes_to_drain_and_not_the_same_for_all",
    ),
    Mutant(
        "retry with others",
        "engine/life.py",
        "            self.is_alone = True\n",
        "",
        "tests/unit/engine/test_life.py::test_a_lost_request_is_tried_again_alone_then_given_up",
    ),
    Mutant(
        "retry what must not be repeated",
        "engine/life.py",
        "if is_idempotent and self.attempts",
        "if self.attempts",
        "tests/unit/engine/test_life.py::"
        "test_a_request_that_may_not_be_repeated_is_given_up_at_once",
    ),
    Mutant(
        "forget a deadline",
        "engine/deadlines.py",
        "        while self._order and self._order[0] * TICK_S <= now:",
        "        if self._order and self._order[0] * TICK_S <= now:",
        "tests/unit/engine/test_deadlines.py::"
        "test_who_is_due_is_past_his_deadline_and_within_a_tick_nobody_is_missed",
    ),
    Mutant(
        "keep who is done among the deadlines",
        "engine/deadlines.py",
        "            flights.pop(flight.id, None)",
        "            pass",
        "tests/unit/engine/test_deadlines.py::test_the_discarded_are_forgotten",
    ),
    Mutant(
        "drop the last of a grab",
        "engine/batcher.py",
        "            self.patient -= sum(f.is_patient for f in grab)\n        return grab",
        "            self.patient -= sum(f.is_patient for f in grab)\n"
        "        return grab[:-1] if len(grab) > 1 else grab",
        SIMULATED,
    ),
    Mutant(
        "lose count of the queue's bytes",
        "engine/batcher.py",
        "        self.queued_bytes -= sum(f.size for f in grab)\n",
        "",
        SIMULATED,
    ),
    Mutant(
        "send who has left",
        "engine/batcher.py",
        "                if flight.state is not State.QUEUED:\n",
        "                if False:\n",
        LAWS,
    ),
    Mutant(
        "take all there is",
        "engine/batcher.py",
        "share = min(-(-self.queued // max(slots, 1)), self.limits.max_batch)",
        "share = self.limits.max_batch",
        LAWS,
    ),
    Mutant(
        "compute for nobody",
        "engine/grab.py",
        "        if ticket.is_cancelled:\n            self._answers.fail(ticket, Cancelled())",
        "        if False:\n            self._answers.fail(ticket, Cancelled())",
        f"{GRAB}test_what_is_cancelled_or_expires_while_others_run_is_never_computed",
    ),
    Mutant(
        "run a suspect beside others",
        "engine/gate.py",
        "            while self._inside or self._is_taken:",
        "            while self._is_taken:",
        "tests/unit/engine/test_gate.py::"
        "test_one_who_must_be_alone_waits_for_those_inside_and_keeps_others_out",
    ),
    Mutant(
        "eject whom chance has struck",
        "engine/ejection.py",
        "    return bool(share**record.grabs <= CHANCE)",
        "    return True",
        f"{EJECTION}test_a_model_that_fails_everywhere_ejects_nobody",
    ),
    Mutant(
        "eject the last",
        "engine/ejection.py",
        "        if record.until or not has_room or",
        "        if record.until or",
        f"{EJECTION}TestLaws",
    ),
    Mutant(
        "let nobody in before his time",
        "engine/ejection.py",
        "            if until <= now or 2 * (len(out) - n) > others + len(out):",
        "            if until <= now:",
        f"{EJECTION}test_who_is_out_is_let_in_when_the_others_have_gone",
    ),
    Mutant(
        "retire one worker too many",
        "engine/fleet.py",
        "leaving = serving[: max(0, len(serving) - self.size)]",
        "leaving = serving[: max(0, len(serving) - self.size + 1)]",
        SIMULATED,
    ),
    Mutant(
        "spread each model over all cores",
        "engine/threads.py",
        "        count = max(1, (cores.count - sum(fixed)) // fixed.count(0))",
        "        count = cores.count",
        "tests/unit/test_threads.py::test_models_share_the_cores_and_the_line_says_so",
    ),
    Mutant(
        "cut frames anywhere",
        "engine/frames.py",
        "            at += 4 + rest\n",
        "            at += 4 + rest + (rest > 200)\n",
        "tests/unit/engine/test_frames.py::test_messages_survive_however_their_bytes_are_cut",
    ),
    Mutant(
        "count every end as an answer",
        "engine/gateway.py",
        "flight.pool.tally.answered(outcome, took_s",
        "flight.pool.tally.answered(0, took_s",
        f"{LEDGER}[1]",
    ),
    Mutant(
        "give an answer that was kept to every question with that body",
        "engine/shelf.py",
        "(question.codec, question.op, question.headers, question.query)",
        "(question.codec, question.op)",
        f"{CACHE}test_another_model_another_body_and_another_query_are_other_requests",
    ),
    Mutant(
        "let the one who leaves take those along who wait for his answer",
        "engine/gateway.py",
        "            self._sharing.leave_to_others(flight, _OUTCOME_CANCELLED)\n",
        "            self._drop(flight)\n",
        f"{CACHE}test_the_first_may_leave_and_the_others_get_its_answer",
    ),
    Mutant(
        "let everybody wait though all leave before their turn",
        "engine/leavers.py",
        "self.most = max(least, int(done / span_s * self.patience_s / 2))",
        "self.most = UNBOUND",
        "tests/unit/engine/test_leavers.py::"
        "test_no_more_may_wait_than_are_answered_in_half_of_the_time_that_the_leavers_stayed",
    ),
)


def run_tests(source: Path, *tests: str, limit_s: float = LIMIT_S) -> bool:
    """Whether tests pass with headway from a folder."""
    kept = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(source), *kept]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(source / "hypothesis"),
    }
    where = "import headway; print(headway.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env=environment, capture_output=True, check=True, cwd=source
    )
    assert found.stdout.decode().startswith(str(source)), "another headway would be tested"
    quiet = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "harness.unshrunk",
        "--no-header",
        "--tb=no",
    ]
    command = [sys.executable, "-m", "pytest", *quiet, *tests]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT
    ) as process:
        try:
            told, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _stop(process)
            return False
    assert process.returncode in (0, 1), told.decode()
    return process.returncode == 0


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """As Ctrl-C does, so that the tests end their servers."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def copy_source(folder: Path) -> Path:
    """A copy of the package in a folder of its own."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "headway", folder / "headway", ignore=skipped)
    return folder


def passes(tests: Sequence[str]) -> bool:
    """Whether tests pass without a mutant."""
    with tempfile.TemporaryDirectory() as temporary:
        return not tests or run_tests(
            copy_source(Path(temporary).resolve()), *tests, limit_s=5 * LIMIT_S
        )


def is_caught(mutant: Mutant) -> bool:
    """Make a mutant, and run its test."""
    with tempfile.TemporaryDirectory() as temporary:
        source = copy_source(Path(temporary).resolve())
        path = source / "headway" / mutant.file
        path.write_text(mutant.mutate(path.read_text(encoding="utf-8")), encoding="utf-8")
        return not run_tests(source, mutant.test)


def main(names: Sequence[str]) -> int:
    """Try all mutants, or those named; returns how many were not caught."""
    chosen = [m for m in MUTANTS if not names or m.name in names]
    assert chosen, f"known: {[m.name for m in MUTANTS]}"
    for mutant in chosen:
        mutant.mutate((ROOT / "src" / "headway" / mutant.file).read_text(encoding="utf-8"))
    started = time.monotonic()
    tests = sorted({mutant.test for mutant in chosen})
    with ThreadPoolExecutor(2) as pool:
        unmutated = pool.map(passes, (tests[::2], tests[1::2]))
        caught = list(pool.map(is_caught, chosen))
        assert all(unmutated), "tests fail without a mutant"
    for mutant, is_dead in zip(chosen, caught, strict=True):
        told = "caught " if is_dead else "MISSED "
        print(f"{told} {mutant.name:<52} {mutant.test.rpartition('::')[2]}")
    missed = len(chosen) - sum(caught)
    print(f"{len(chosen) - missed} of {len(chosen)} caught in {time.monotonic() - started:.0f} s")
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
