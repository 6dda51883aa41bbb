"""A grab: each request is answered exactly once with its own answer, whatever fails beside it."""

import gzip
import math
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headway as hw
from headway import plugins
from headway.engine.cap import Cap
from headway.engine.coroutines import Coroutines
from headway.engine.frames import CHUNK, END, HEAD, WHOLE
from headway.engine.grab import Run
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.model.call import Call, Result
from headway.model.opening import Opened, open_predictor
from headway.protocols import Ask, Codec, Reply, Wire

NATIVE: Codec = plugins.load("protocols", "native")
BAD = "bad"
REJECTED = "rejected"


class Shout(hw.Predictor):
    """Capitals; `bad` makes the whole call fail, `rejected` is refused in its place."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def predict(self, text: hw.Batch[str]) -> hw.Batch[str | hw.Reject]:
        self.calls.append(list(text))
        if BAD in text:
            raise ValueError("a bad text")
        return [hw.Reject("no") if t == REJECTED else t.upper() for t in text]


class Repeat(hw.Predictor):
    """Text as often as a shared parameter says."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[str]]] = []

    def predict(self, text: hw.Batch[str], times: int = 1) -> hw.Batch[str]:
        self.calls.append((times, list(text)))
        return [t * times for t in text]


class OnceOnly(Shout):
    """It must not be asked twice."""

    idempotent = False


@dataclass
class Heard:
    """What a run said, by ticket."""

    said: list[Said] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    ends: int = 0
    on_chunk: Callable[[Said], object] | None = None

    def say(self, said: list[Said], timing: Timing, is_last: bool) -> None:
        self.said += said
        self.batches += timing.batches
        self.ends += is_last
        for one in said:
            if self.on_chunk is not None and one.part == CHUNK:
                self.on_chunk(one)

    def of(self, id: int) -> Said:
        """The one whole answer to a ticket."""
        (said,) = [s for s in self.said if s.id == id]
        assert said.part == WHOLE
        return said

    def value(self, id: int) -> Any:
        """The answer to a ticket that had no error."""
        said = self.of(id)
        assert said.error is None, said.error
        return msgspec.json.decode(said.body)

    def code(self, id: int) -> str:
        """The code of the error that a ticket was answered with; "" if it was not."""
        said = self.of(id)
        if said.reply is not None and said.reply.status != 200:
            body = msgspec.json.decode(said.body)
            assert said.error is not None
            assert body["code"] == said.error.code
        return said.error.code if said.error else ""


def make(id: int, inputs: object, query: str = "", **changes: Any) -> Ticket:
    body = inputs if isinstance(inputs, bytes) else msgspec.json.encode(inputs)
    ask = Ask("predict", "m", "1", body, {}, query, request_id=f"r{id}")
    ticket = Ticket(id, NATIVE, ask, time.monotonic() + 60)
    for name, value in changes.items():
        setattr(ticket, name, value)
    return ticket


def perform(
    opened: Opened,
    tickets: Sequence[Ticket],
    max_rows: int = 64,
    coroutines: Coroutines | None = None,
    on_chunk: Callable[[Said], object] | None = None,
) -> Heard:
    heard = Heard(on_chunk=on_chunk)
    bounds = Bounds(Cap(max_rows), 2**20, 30.0)
    Run(opened, bounds, heard.say, coroutines.await_all if coroutines else None).run(tickets)
    assert heard.ends == 1
    return heard


def owner(opened: Opened) -> Any:
    return opened.predict.__self__  # type: ignore[attr-defined]


# Random grabs

texts = st.one_of(st.text("abc", max_size=5), st.sampled_from([BAD, REJECTED]))
rows = st.lists(st.fixed_dictionaries({"text": texts}), max_size=12)
broken = st.sampled_from(
    [b"{", b"", b"[1]", b'{"text": 5}', b'{"words": "a"}', b'[{"text":"a"},5]']
)
requests = st.one_of(st.fixed_dictionaries({"text": texts}), rows, broken)
states = st.sampled_from(["live", "live", "live", "live", "alone", "cancelled", "expired"])


def make_in_state(id: int, inputs: Any, state: str) -> Ticket:
    ticket = make(id, inputs, is_alone=state == "alone", is_cancelled=state == "cancelled")
    if state == "expired":
        ticket.deadline = time.monotonic() - 1
    return ticket


def wanted(inputs: Any, state: str) -> Any:
    """What a request must be told: an answer, or a code."""
    if state in ("cancelled", "expired"):
        return "cancelled" if state == "cancelled" else "deadline"
    if isinstance(inputs, bytes):
        return "bad_input"
    asked = [inputs["text"]] if isinstance(inputs, dict) else [row["text"] for row in inputs]
    failed = [t for t in asked if t in (BAD, REJECTED)]
    if failed:
        return "model_failed" if failed[0] == BAD else "rejected"
    answers = [t.upper() for t in asked]
    return answers[0] if isinstance(inputs, dict) else answers


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(requests, states), max_size=12), st.integers(1, 20))
def test_each_request_of_any_grab_gets_its_own_answer_exactly_once(
    asked: list[tuple[Any, str]], max_rows: int
) -> None:
    opened = open_predictor(Shout)
    tickets = [make_in_state(i, inputs, state) for i, (inputs, state) in enumerate(asked)]
    heard = perform(opened, tickets, max_rows)
    assert sorted(s.id for s in heard.said) == list(range(len(asked)))
    for i, (inputs, state) in enumerate(asked):
        expected = wanted(inputs, state)
        said = heard.of(i)
        told = msgspec.json.decode(said.body)
        assert (told["code"] if isinstance(told, dict) else told) == expected
    calls = owner(opened).calls
    assert all(1 <= len(call) <= max_rows for call in calls)
    assert heard.batches == [len(call) for call in calls]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 64), st.sets(st.integers(0, 63), max_size=5))
def test_a_bad_row_costs_a_logarithm_of_calls(n: int, bad: set[int]) -> None:
    opened = open_predictor(Shout)
    bad = {i for i in bad if i < n}
    tickets = [make(i, {"text": BAD if i in bad else f"t{i}"}) for i in range(n)]
    heard = perform(opened, tickets)
    for i in range(n):
        assert heard.code(i) == ("model_failed" if i in bad else "")
    calls = len(owner(opened).calls)
    assert calls <= 1 + 2 * len(bad) * math.ceil(math.log2(n) if n > 1 else 0)


def test_a_failing_call_of_a_predictor_that_must_not_be_asked_twice_is_not_repeated() -> None:
    opened = open_predictor(OnceOnly)
    heard = perform(opened, [make(1, {"text": "a"}), make(2, {"text": BAD})])
    assert [heard.code(1), heard.code(2)] == ["model_failed", "model_failed"]
    assert owner(opened).calls == [["a", BAD]]


# Rows and model calls


def test_a_request_of_many_rows_is_split_and_rejoined_in_order() -> None:
    opened = open_predictor(Shout)
    heard = perform(opened, [make(1, [{"text": f"t{i}"} for i in range(100)])], max_rows=7)
    assert heard.value(1) == [f"T{i}" for i in range(100)]
    assert [len(call) for call in owner(opened).calls] == [7] * 14 + [2]


def test_a_bad_row_of_a_split_request_fails_alone_where_asked_by_item() -> None:
    opened = open_predictor(Shout)
    asked = [{"text": BAD if i == 9 else REJECTED if i == 3 else f"t{i}"} for i in range(20)]
    heard = perform(opened, [make(1, asked, query="errors=item")], max_rows=7)
    answers = heard.value(1)
    assert len(answers) == 20
    assert answers[3]["code"] == "rejected"
    assert answers[9]["code"] == "model_failed"
    good = [i for i in range(20) if i not in (3, 9)]
    assert [answers[i] for i in good] == [{"output": f"T{i}"} for i in good]


def test_only_equal_values_of_a_shared_parameter_meet() -> None:
    opened = open_predictor(Repeat)
    asked = [{"text": f"t{i}", "times": i % 3} for i in range(12)]
    many = [{"text": "x", "times": 2}, {"text": "y", "times": 1}, {"text": "z"}]
    heard = perform(opened, [*(make(i, a) for i, a in enumerate(asked)), make(12, many)])
    assert [heard.value(i) for i in range(12)] == [f"t{i}" * (i % 3) for i in range(12)]
    assert heard.value(12) == ["xx", "y", "z"]
    calls = owner(opened).calls
    assert sorted((times, len(texts)) for times, texts in calls) == [(0, 4), (1, 6), (2, 5)]


def test_what_must_be_alone_shares_a_call_with_nobody() -> None:
    opened = open_predictor(Shout)
    tickets = [make(i, {"text": f"t{i}"}, is_alone=i == 2) for i in range(5)]
    heard = perform(opened, tickets)
    assert [heard.value(i) for i in range(5)] == [f"T{i}" for i in range(5)]
    assert sorted(owner(opened).calls) == [["t0", "t1", "t3", "t4"], ["t2"]]


# Answers of a wrong shape


class Misshapen(hw.Predictor):
    """Answers a batch with something that is no batch."""

    def __init__(self) -> None:
        self.answer: Callable[[list[str]], Any] = list
        self.calls = 0

    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        self.calls += 1
        answer: list[str] = self.answer(text)
        return answer


def _generated(text: Sequence[str]) -> Iterator[str]:
    yield from text


MISSHAPEN: dict[str, Callable[[list[str]], Any]] = {
    "one too few": lambda text: text[1:],
    "one too many": lambda text: [*text, "extra"],
    "a dict of as many keys": dict.fromkeys,
    "nothing": lambda text: None,
    "a generator": _generated,
    "a set": set,
    "a string of as many letters": lambda text: "x" * len(text),
    "of another type": lambda text: [1 for _ in text],
    "an array with other rows": lambda text: np.zeros((len(text) + 1, 2)),
    "a scalar array": lambda text: np.array(1.0),
}


@pytest.mark.parametrize("what", MISSHAPEN)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_an_answer_of_a_wrong_shape_fails_all_of_its_call_and_is_never_shifted(
    what: str, n: int
) -> None:
    opened = open_predictor(Misshapen)
    owner(opened).answer = MISSHAPEN[what]
    heard = perform(opened, [make(i, {"text": f"t{i}"}) for i in range(n)])
    assert [heard.code(i) for i in range(n)] == ["bad_output"] * n
    assert owner(opened).calls == 1, "bisecting could not tell whose answer is whose"


Waves = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None)]


class Ragged(hw.Predictor):
    """Answers arrays as wide as the number of rows of the call."""

    def predict(self, text: hw.Batch[str]) -> Waves:
        return np.ones((len(text), len(text)), np.float32)


def test_parts_of_different_widths_are_rejoined_row_by_row() -> None:
    opened = open_predictor(Ragged)
    heard = perform(opened, [make(1, [{"text": "t"}] * 5)], max_rows=2)
    assert heard.value(1) == [[1, 1], [1, 1], [1, 1], [1, 1], [1]]


# One item at a time


def halve(number: int) -> float:
    if number == 7:
        raise hw.Reject("seven")
    return 1 / (number - 5) * (number - 5) * number / 2


def test_a_one_item_predictor_answers_each_row_by_itself() -> None:
    opened = open_predictor(halve)
    asked = [{"number": n} for n in range(10)]
    heard = perform(opened, [make(1, asked, query="errors=item"), make(2, {"number": 4})], 3)
    answers = heard.value(1)
    assert answers[5]["code"] == "model_failed"
    assert answers[7]["code"] == "rejected"
    assert [answers[n]["output"] for n in range(10) if n not in (5, 7)] == [
        pytest.approx(n / 2) for n in range(10) if n not in (5, 7)
    ]
    assert heard.value(2) == 2.0


class Late(hw.Predictor):
    """Cancels the ticket that it is given when it sees its own text."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.on_first: Callable[[], object] | None = None

    def predict(self, text: str) -> str:
        self.seen.append(text)
        if self.on_first is not None:
            self.on_first()
        return text


def test_what_is_cancelled_or_expires_while_others_run_is_never_computed() -> None:
    opened = open_predictor(Late)
    tickets = [make(i, {"text": f"t{i}"}) for i in range(4)]

    def interfere() -> None:
        tickets[1].cancel()
        tickets[2].deadline = time.monotonic() - 1

    owner(opened).on_first = interfere
    heard = perform(opened, tickets)
    assert [heard.code(i) for i in range(4)] == ["", "cancelled", "deadline", ""]
    assert owner(opened).seen == ["t0", "t3"]


# Context


class Personal(hw.Predictor):
    """Tells whose call it is."""

    def predict(self, text: hw.Batch[str], context: hw.Context) -> hw.Batch[str]:
        return [f"{context.request_id} {t}" for t in text]


def test_requests_of_a_predictor_that_asks_for_the_context_share_no_call() -> None:
    opened = open_predictor(Personal)
    heard = perform(opened, [make(i, [{"text": "a"}, {"text": "b"}]) for i in range(3)])
    assert [heard.value(i) for i in range(3)] == [[f"r{i} a", f"r{i} b"] for i in range(3)]
    assert heard.batches == [2, 2, 2]


# Async predictors


@pytest.fixture
def coroutines() -> Iterator[Coroutines]:
    running = Coroutines()
    yield running
    running.close()


class Awaited(hw.Predictor):
    """An async batch."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        self.calls.append(list(text))
        if BAD in text:
            raise ValueError("a bad text")
        return [t.upper() for t in text]


def test_an_async_batch_is_bisected_as_any_other(coroutines: Coroutines) -> None:
    opened = open_predictor(Awaited)
    tickets = [make(i, {"text": BAD if i == 3 else f"t{i}"}) for i in range(8)]
    heard = perform(opened, tickets, coroutines=coroutines)
    assert [heard.code(i) for i in range(8)] == ["", "", "", "model_failed", "", "", "", ""]
    assert heard.value(7) == "T7"


class AsyncItem(hw.Predictor):
    """An async item."""

    async def predict(self, text: str) -> str:
        import asyncio

        if text == BAD:
            raise ValueError("a bad text")
        if text == "cancelled":
            raise asyncio.CancelledError
        return text.upper()


def test_an_async_item_fails_alone_even_where_it_cancels_itself(coroutines: Coroutines) -> None:
    opened = open_predictor(AsyncItem)
    asked = ["a", BAD, "cancelled", "b"]
    heard = perform(opened, [make(i, {"text": t}) for i, t in enumerate(asked)], 64, coroutines)
    assert [heard.code(i) for i in range(4)] == ["", "model_failed", "model_failed", ""]
    assert heard.value(3) == "B"


# Streams


class Stream(hw.Predictor):
    """Counts; notes when its generator is closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def predict(self, upto: int, fail_at: int = -1) -> Iterator[int]:
        try:
            for number in range(upto):
                if number == fail_at:
                    raise hw.Reject("enough")
                yield number
        finally:
            self.closed.append(f"{upto}")


class AsyncStream(hw.Predictor):
    """Counts on the loop."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def predict(self, upto: int, fail_at: int = -1) -> AsyncIterator[int]:
        try:
            for number in range(upto):
                if number == fail_at:
                    raise hw.Reject("enough")
                yield number
        finally:
            self.closed.append(f"{upto}")


@pytest.fixture(params=[Stream, AsyncStream])
def stream(request: pytest.FixtureRequest) -> Opened:
    what: type[hw.Predictor] = request.param
    return open_predictor(what)


def parts(heard: Heard, id: int) -> list[int]:
    return [s.part for s in heard.said if s.id == id]


def test_a_stream_has_a_head_its_items_and_an_end(stream: Opened, coroutines: Coroutines) -> None:
    heard = perform(stream, [make(1, {"upto": 3}), make(2, {"upto": 0})], coroutines=coroutines)
    assert parts(heard, 1) == [HEAD, CHUNK, CHUNK, CHUNK, END]
    assert [s.body for s in heard.said if s.id == 1] == [b"", b"0\n", b"1\n", b"2\n", b""]
    assert parts(heard, 2) == [HEAD, END]
    assert owner(stream).closed == ["3", "0"]


def test_a_stream_that_fails_says_so_at_its_start_or_in_its_last_item(
    stream: Opened, coroutines: Coroutines
) -> None:
    tickets = [make(1, {"upto": 3, "fail_at": 0}), make(2, {"upto": 3, "fail_at": 2})]
    heard = perform(stream, tickets, coroutines=coroutines)
    assert parts(heard, 1) == [WHOLE]
    assert heard.code(1) == "rejected"
    assert parts(heard, 2) == [HEAD, CHUNK, CHUNK, CHUNK, END]
    assert msgspec.json.decode([s for s in heard.said if s.id == 2][3].body)["code"] == "rejected"
    assert owner(stream).closed == ["3", "3"]


class Courteous:
    """The native dialect, with a word at the end of each stream, and questions that no model has to answer."""

    def __getattr__(self, name: str) -> Any:
        return getattr(NATIVE, name)

    def decode(self, ask: Ask, wire: Wire) -> Call:
        if ask.body == b"who?":
            return Call(0, {}, needs_model=False)
        return NATIVE.decode(ask, wire)

    def encode(self, ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
        if not call.needs_model:
            return Reply(200, b'"me"')
        return NATIVE.encode(ask, call, result, wire)

    def chunk_last(self, ask: Ask, call: Call, wire: Wire) -> bytes:
        return b"bye"


def test_a_stream_ends_with_its_dialects_own_words_where_it_ends_well(
    stream: Opened, coroutines: Coroutines
) -> None:
    tickets = [make(i, {"upto": upto}, codec=Courteous()) for i, upto in ((1, 1), (2, 0))]
    broken = make(3, {"upto": 3, "fail_at": 1}, codec=Courteous())
    heard = perform(stream, [*tickets, broken], coroutines=coroutines)
    assert [s.body for s in heard.said if s.id == 1] == [b"", b"0\n", b"bye", b""]
    assert [s.body for s in heard.said if s.id == 2] == [b"", b"bye", b""]
    assert b"bye" not in [s.body for s in heard.said if s.id == 3]


def test_what_is_asked_about_a_model_is_answered_without_it(
    stream: Opened, coroutines: Coroutines
) -> None:
    heard = perform(stream, [make(1, b"who?", codec=Courteous())], coroutines=coroutines)
    assert heard.value(1) == "me"
    assert owner(stream).closed == []


def test_cancelling_a_stream_closes_its_generator_and_leaves_others_alone(
    stream: Opened, coroutines: Coroutines
) -> None:
    first, second = make(1, {"upto": 10**9}), make(2, {"upto": 2})

    def leave(said: Said) -> None:
        if said.id == 1 and said.body == b"5\n":
            first.cancel()

    heard = perform(stream, [first, second], coroutines=coroutines, on_chunk=leave)
    assert owner(stream).closed == [f"{10**9}", "2"]
    assert parts(heard, 1).count(CHUNK) <= 7
    assert parts(heard, 1)[-1] == END
    assert parts(heard, 2) == [HEAD, CHUNK, CHUNK, END]


class ListStream(hw.Predictor):
    """Fails before there is a generator."""

    def predict(self, upto: int) -> Iterator[int]:
        if upto < 0:
            raise hw.Reject("less than nothing")
        return iter(range(upto))


def test_a_stream_that_fails_before_it_has_begun_fails_alone() -> None:
    heard = perform(open_predictor(ListStream), [make(1, {"upto": -1}), make(2, {"upto": 1})])
    assert heard.code(1) == "rejected"
    assert parts(heard, 2) == [HEAD, CHUNK, END]


def endless(name: str) -> Generator[str, None, None]:
    while True:
        yield name


def test_a_stream_ends_with_its_deadline() -> None:
    ticket = make(1, {"name": "a"})

    def expire(said: Said) -> None:
        ticket.deadline = time.monotonic() - 1

    finished = threading.Event()

    def run() -> None:
        perform(open_predictor(endless), [ticket], on_chunk=expire)
        finished.set()

    threading.Thread(target=run, daemon=True).start()
    ended = finished.wait(5)
    ticket.cancel()
    assert ended


# Compressed bodies


def zipped(body: bytes) -> bytes:
    return gzip.compress(body)


GOOD = b'{"text":"a"}'
CODINGS: dict[str, tuple[str, bytes, str]] = {
    "gzip": ("gzip", zipped(GOOD), ""),
    "deflate": ("deflate", zlib.compress(GOOD), ""),
    "capitals": (" GZIP ", zipped(GOOD), ""),
    "cut short": ("gzip", zipped(GOOD)[:-5], "bad_input"),
    "nothing": ("gzip", b"", "bad_input"),
    "damaged": ("gzip", b"\x1f\x8b\x08" + b"x" * 30, "bad_input"),
    "wrong checksum": ("gzip", zipped(GOOD)[:-8] + b"\0" * 8, "bad_input"),
    "bytes behind its end": ("gzip", zipped(GOOD) + b"x", "bad_input"),
    "two members": ("gzip", zipped(GOOD) + zipped(GOOD), "bad_input"),
    "twice": ("gzip, gzip", zipped(zipped(GOOD)), "unsupported_media"),
    "unknown": ("br", GOOD, "unsupported_media"),
    "a bomb": ("gzip", zipped(b"[" + b" " * 2**21), "too_large"),
    "not said to be compressed": ("", zipped(GOOD), "bad_input"),
}


@pytest.mark.parametrize("what", CODINGS)
def test_a_compressed_body_is_inflated_within_its_limit_or_refused(what: str) -> None:
    coding, body, code = CODINGS[what]
    heard = perform(
        open_predictor(Shout), [make(1, body, coding=coding), make(2, {"text": "mate"})]
    )
    assert heard.code(1) == code
    assert heard.value(2) == "MATE"
    if not code:
        assert heard.value(1) == "A"


# Bodies of different callers


def test_pieces_that_would_be_one_document_when_joined_are_each_refused() -> None:
    pieces = [
        b'{"text":"x"},{"text":"y"}',
        b'{"text":"SECRET"}',
        b'{"text":"',
        b'"}',
    ]
    opened = open_predictor(Shout)
    heard = perform(opened, [make(i, body) for i, body in enumerate(pieces)])
    assert [heard.code(i) for i in (0, 2, 3)] == ["bad_input"] * 3
    assert heard.value(1) == "SECRET"
    assert owner(opened).calls == [["SECRET"]]


class WrongStream(hw.Predictor):
    """Promises numbers and yields a word."""

    def predict(self, upto: int) -> Iterator[int]:
        yield upto
        yield "two"  # type: ignore[misc]


def test_an_item_of_a_stream_that_is_not_of_its_type_ends_it_as_a_bad_output() -> None:
    heard = perform(open_predictor(WrongStream), [make(1, {"upto": 1})])
    assert parts(heard, 1) == [HEAD, CHUNK, CHUNK, END]
    assert msgspec.json.decode(heard.said[2].body)["code"] == "bad_output"


class Odd(BaseException):
    """What no `except Exception` sees."""


ENDS: Final[Mapping[str, BaseException]] = {
    "exit": SystemExit(3),
    "odd": Odd(),
    "interrupt": KeyboardInterrupt(),
}


def end(text: str) -> str:
    """Leave the process, or try to."""
    if text in ENDS:
        raise ENDS[text]
    return text


class Leaving(hw.Predictor):
    """Ends its process, or would."""

    async def predict(self, text: str) -> str:
        return end(text)


class LeavingAtOnce(hw.Predictor):
    """The same, without a loop."""

    def predict(self, text: hw.Batch[str]) -> hw.Batch[str]:
        return [end(t) for t in text]


class LeavingLater(hw.Predictor):
    """The same, in the middle of a stream."""

    def predict(self, text: str) -> Iterator[str]:
        yield "first"
        yield end(text)


def in_a_slot(work: Callable[[], Heard]) -> Heard:
    """Run as a worker does: never in the main thread, which alone is interrupted."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("bad", ENDS)
def test_an_exit_in_a_batch_fails_the_row_that_asked_for_it_alone(bad: str) -> None:
    tickets = [make(i, {"text": bad if i == 2 else f"t{i}"}) for i in range(4)]
    heard = in_a_slot(lambda: perform(open_predictor(LeavingAtOnce), tickets))
    assert [heard.value(i) for i in (0, 1, 3)] == ["t0", "t1", "t3"]
    assert heard.code(2) == "model_failed"


@pytest.mark.parametrize("bad", ENDS)
def test_an_exit_in_a_coroutine_fails_its_item_and_leaves_the_loop_running(
    coroutines: Coroutines, bad: str
) -> None:
    opened = open_predictor(Leaving)
    heard = perform(opened, [make(1, {"text": bad})], coroutines=coroutines)
    assert heard.code(1) == "model_failed"
    assert perform(opened, [make(1, {"text": "a"})], coroutines=coroutines).value(1) == "a"


@pytest.mark.parametrize("bad", ENDS)
def test_an_exit_in_a_stream_ends_the_stream_with_an_error(bad: str) -> None:
    heard = in_a_slot(lambda: perform(open_predictor(LeavingLater), [make(1, {"text": bad})]))
    last = [said for said in heard.said if said.part == CHUNK][-1]
    assert msgspec.json.decode(last.body)["code"] == "model_failed"


def test_ctrl_c_in_the_main_thread_is_not_the_models_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        perform(open_predictor(LeavingAtOnce), [make(1, {"text": "interrupt"})])


class Stumbling:
    """The native codec with a bug in one of its functions."""

    def __init__(self, function: str) -> None:
        self.function = function

    def __getattr__(self, name: str) -> Any:
        return self.stumble if name == self.function else getattr(NATIVE, name)

    def stumble(self, *_: object) -> Any:
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("function", ["decode", "encode"])
def test_a_bug_of_a_codec_fails_its_own_request_alone_and_its_cause_is_known(function: str) -> None:
    tickets = [make(1, {"text": "a"}), make(2, {"text": "b"}, codec=Stumbling(function))]
    heard = perform(open_predictor(Shout), tickets)
    assert heard.value(1) == "A"
    error = heard.of(2).error
    assert error is not None
    assert error.code == "internal"
    assert isinstance(error.__cause__, ZeroDivisionError)


class Weighed(hw.Predictor):
    """A batch, and an array that its rows share."""

    def predict(
        self, text: hw.Batch[str], weight: Annotated[NDArray[np.float32], hw.Tensor("float32", 2)]
    ) -> hw.Batch[str]:
        return [f"{t}{weight.sum():g}" for t in text]


class Later(hw.Predictor):
    """One array at a time, on the loop."""

    async def predict(self, weight: Annotated[NDArray[np.float32], hw.Tensor("float32", 2)]) -> str:
        return f"{weight.sum():g}"


@pytest.mark.parametrize(("predictor", "text"), [(Weighed, {"text": "a"}), (Later, {})])
def test_a_value_that_no_array_can_hold_fails_its_own_request_alone(
    predictor: type[hw.Predictor], text: dict[str, str]
) -> None:
    opened = open_predictor(predictor)
    weights = ([1, 2], [1, 1e39], [2, 2])
    tickets = [make(i, {**text, "weight": w}) for i, w in enumerate(weights)]
    coroutines = Coroutines()

    heard = perform(opened, tickets, coroutines=coroutines)

    coroutines.close()
    prefix = text.get("text", "")
    assert [heard.value(0), heard.code(1), heard.value(2)] == [
        f"{prefix}3",
        "bad_input",
        f"{prefix}4",
    ]


def test_a_stream_that_ends_by_itself_at_its_deadline_is_not_told_to_be_whole() -> None:
    """As one does that asks `Context.cancelled`, which is true then."""

    def until_cancelled(start: int, context: hw.Context) -> Iterator[int]:
        yield start
        while not context.cancelled:
            pass

    heard = perform(
        open_predictor(until_cancelled), [make(1, {"start": 1}, deadline=time.monotonic() + 0.05)]
    )

    assert heard.said[-1].part == END
    assert heard.said[-1].error is not None
    assert heard.said[-1].error.code == "deadline"


class Slow(hw.Predictor):
    """One item at a time, in a while that can be told."""

    def predict(self, number: int) -> int:
        until = time.perf_counter() + number / 1000
        while time.perf_counter() < until:
            pass
        return number


def test_a_call_knows_how_long_the_model_worked_on_it() -> None:
    items, batch = make(1, [{"number": 4}, {"number": 8}]), make(2, {"number": 0})
    perform(open_predictor(Slow), [items, batch])
    assert items.call is not None
    assert batch.call is not None
    assert items.call.worked_s >= 0.012
    assert 0 < batch.call.worked_s < items.call.worked_s
    whole = make(3, {"text": "a"})
    perform(open_predictor(Shout), [whole])
    assert whole.call is not None
    assert whole.call.worked_s > 0
