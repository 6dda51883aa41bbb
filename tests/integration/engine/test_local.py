"""A predictor in the caller's own process meets all that a request meets."""

import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway.errors import BadInput, BadOutput, ConfigError, ModelFailed, Rejected


class Shout(hw.Predictor):
    """Capitals."""

    def load(self) -> None:
        self.is_loaded = True
        self.now = 0
        self.most = 0

    def predict(self, text: hw.Batch[str], times: int = 1) -> hw.Batch[str | hw.Reject]:
        assert self.is_loaded
        self.now += 1
        self.most = max(self.most, self.now)
        if "broken" in text:
            self.now -= 1
            raise ValueError("broken")
        answers = [hw.Reject("no") if t == "no" else t.upper() * times for t in text]
        self.now -= 1
        return answers


def count(upto: int) -> Iterator[int]:
    if upto < 0:
        raise hw.Reject("less than nothing")
    yield from range(upto)


class Sums(hw.Predictor):
    """Add up what comes, and answer each time."""

    thread_safe = True

    def load(self) -> None:
        self.ends: list[str] = []

    def predict(self, numbers: Iterator[int], context: hw.Context, add: int = 0) -> Iterator[int]:
        total = 0
        try:
            for number in numbers:
                total += number + add
                yield total
            self.ends.append("over")
        except GeneratorExit:
            self.ends.append(f"left {context.cancelled}")
            raise


async def sums(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    """The same on a loop."""
    total = 0
    async for number in numbers:
        total += number
        yield total


async def answer(text: str) -> str:
    return text[::-1]


def lie(text: str) -> int:
    return text  # type: ignore[return-value]


def test_one_item_and_many_are_answered_as_json_holds_them() -> None:
    with hw.load(Shout) as ask:
        assert ask(text="a", times=2) == "AA"
        assert ask.batch([{"text": f"t{i}"} for i in range(200)]) == [f"T{i}" for i in range(200)]
        assert ask.batch([]) == []


def test_errors_are_those_that_a_client_would_be_told() -> None:
    with hw.load(Shout) as ask:
        with pytest.raises(BadInput, match="text"):
            ask(text=5)
        with pytest.raises(BadInput):
            ask(words="a")
        with pytest.raises(Rejected, match="no"):
            ask(text="no")
        with pytest.raises(ModelFailed):
            ask(text="broken")
        with pytest.raises(ModelFailed) as failed:
            ask.batch([{"text": "a"}, {"text": "b"}, {"text": "broken"}])
        assert failed.value.fields["row"] == 2
        assert ask(text="still") == "STILL"


def test_an_answer_that_is_not_what_was_promised_is_told() -> None:
    with hw.load(lie) as ask, pytest.raises(BadOutput):
        ask(text="a")


def test_a_stream_is_a_list_of_its_items() -> None:
    with hw.load(count) as ask:
        assert ask(upto=3) == [0, 1, 2]
        assert ask(upto=0) == []
        with pytest.raises(Rejected):
            ask(upto=-1)


@pytest.mark.parametrize("predictor", [Sums, sums])
def test_items_are_taken_when_they_are_wanted_and_answered_while_they_come(predictor: Any) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in (1, 2, 3, 4, 5, 6):
            taken.append(number)
            yield number

    with hw.load(predictor) as ask:
        answers = ask.stream(numbers=numbers())
        assert taken == []
        assert next(answers) == 1
        assert len(taken) < 6, "two answers wait at most"
        assert list(answers) == [3, 6, 10, 15, 21]
        assert ask(numbers=[1, 2]) == [1, 3]


def test_who_stops_a_stream_before_its_end_has_left() -> None:
    with hw.load(Sums) as ask:
        answers = ask.stream(numbers=itertools.count(), add=1)
        assert [next(answers), next(answers)] == [1, 3]
        answers.close()
        assert ask.opened.predict.__self__.ends == ["left True"]  # type: ignore[attr-defined]


def test_what_is_wrong_in_a_stream_is_told_where_it_is() -> None:
    with hw.load(Sums) as ask:
        with pytest.raises(BadInput, match="add"):
            next(ask.stream(numbers=iter([1]), add="one"))
        answers = ask.stream(numbers=iter([1, "two"]))
        assert next(answers) == 1
        with pytest.raises(BadInput, match="an item of the stream"):
            next(answers)
        assert list(ask.stream(numbers=iter([]))) == []
    with hw.load(count) as ask:
        assert list(ask.stream(upto=3)) == [0, 1, 2]
        with pytest.raises(Rejected):
            next(ask.stream(upto=-1))


def test_a_coroutine_is_waited_for() -> None:
    with hw.load(answer) as ask:
        assert ask(text="abc") == "cba"


def test_calls_of_a_predictor_that_is_not_thread_safe_wait_for_each_other() -> None:
    with hw.load(Shout) as ask, ThreadPoolExecutor(8) as pool:
        start = threading.Barrier(8)

        def ask_some(i: int) -> list[str]:
            start.wait(10)
            return [ask(text=f"{i}-{j}") for j in range(50)]

        answers = list(pool.map(ask_some, range(8)))
        predictor = ask._opened.predict.__self__  # type: ignore[attr-defined]
    assert answers == [[f"{i}-{j}" for j in range(50)] for i in range(8)]
    assert predictor.most == 1


def test_a_target_is_named_as_for_serve(tmp_path: Path) -> None:
    tmp_path.joinpath("two.py").write_text("def two(x: int) -> int:\n    return 2 * x\n")
    with hw.load(f"{tmp_path / 'two.py'}") as ask:
        assert ask(x=4) == 8
    tmp_path.joinpath("headway.yaml").write_text(
        "models: {a: {predictor: two.py}, b: {predictor: two.py}}\n"
    )
    with pytest.raises(ConfigError, match="several models"):
        hw.load(tmp_path)


def test_asking_leaves_the_threads_as_they_were() -> None:
    before = set(threading.enumerate())
    with hw.load(answer) as ask:
        assert ask(text="ab") == "ba"
    assert not set(threading.enumerate()) - before
