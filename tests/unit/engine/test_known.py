"""Rows that a worker has answered before skip the model, while the rest of their batch runs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

import headway as hw
from headway import plugins
from headway.config import ModelSettings
from headway.engine.cache import Cache
from headway.engine.cap import Cap
from headway.engine.grab import Run
from headway.engine.known import Known, known_of
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.model.call import Result
from headway.model.opening import Opened, open_predictor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask

Numbers = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None)]
Sums = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch")]


class Noted(hw.Predictor):
    def load(self) -> None:
        self.asked: list[Any] = []


class Texts(Noted):
    def predict(self, text: hw.Batch[str], scale: int = 1) -> hw.Batch[dict[str, int] | hw.Reject]:
        self.asked += text
        return [hw.Reject("no") if t == "no" else {t: len(t) * scale} for t in text]


class Items(Noted):
    def predict(self, text: str) -> str:
        self.asked.append(text)
        return text.upper()


class Arrays(Noted):
    def predict(self, x: Numbers) -> Sums:
        self.asked += x.tolist()
        sums: Sums = x.sum(axis=1)
        return sums


class Negatives(Noted):
    def predict(self, photo: hw.Batch[Image.Image]) -> hw.Batch[Image.Image]:
        self.asked += [p.size for p in photo]
        return [ImageOps.invert(p) for p in photo]


class Captions(Noted):
    def predict(self, photo: Image.Image, text: hw.Batch[str]) -> hw.Batch[str]:
        self.asked.append(text)
        return [f"{t} {photo.width}x{photo.height}" for t in text]


def png(width: int) -> str:
    """A picture, in base64."""
    out = io.BytesIO()
    Image.new("RGB", (width, 2), "red").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


class Asker:
    """One worker's run over and over, with rows that it keeps."""

    def __init__(self, what: type[Noted]) -> None:
        self.opened: Opened = open_predictor(what)
        self.known = Known(self.opened.wire, 2**20, 60.0)
        self.recalled = 0

    @property
    def asked(self) -> list[Any]:
        """What the model was asked since last time."""
        noted: list[Any] = self.opened.predict.__self__.asked  # type: ignore[attr-defined]
        found = noted.copy()
        noted.clear()
        return found

    def __call__(self, *bodies: Any, query: str = "", protocol: str = "native") -> list[Any]:
        codec: Any = plugins.load("protocols", protocol)
        said: list[Said] = []

        def say(ready: list[Said], timing: Timing, is_last: bool) -> None:
            said.extend(ready)
            self.recalled += timing.recalled

        op = "predict" if protocol == "native" else "infer"
        tickets = [
            Ticket(i, codec, Ask(op, "m", "", msgspec.json.encode(b), {}, query), 1e12)
            for i, b in enumerate(bodies)
        ]
        Run(self.opened, Bounds(Cap(4), 2**20, 60.0, self.known), say).run(tickets)
        assert len(said) == len(bodies)
        return [msgspec.json.decode(s.body) for s in sorted(said, key=lambda s: s.id)]


def rows(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"text": t} for t in texts]


def test_known_rows_skip_the_model_and_the_rest_of_the_batch_runs() -> None:
    ask = Asker(Texts)
    assert ask(rows(["a", "bb"])) == [[{"a": 1}, {"bb": 2}]]
    assert ask.asked == ["a", "bb"]
    answers = ask(rows(["ccc", "a", "d"]), {"text": "bb"}, {"text": "e"})
    assert answers == [[{"ccc": 3}, {"a": 1}, {"d": 1}], {"bb": 2}, {"e": 1}]
    assert (ask.asked, ask.recalled) == (["ccc", "d", "e"], 2)


def test_a_shared_parameter_is_part_of_the_question() -> None:
    ask = Asker(Texts)
    assert ask({"text": "a"}, {"text": "a", "scale": 2}) == [{"a": 1}, {"a": 2}]
    assert ask({"text": "a", "scale": 2}, {"text": "a", "scale": 1}) == [{"a": 2}, {"a": 1}]
    assert ask.asked == ["a", "a"]


def test_a_picture_is_known_by_its_file_however_that_came() -> None:
    ask = Asker(Negatives)
    first = ask([{"photo": png(3)}, {"photo": png(4)}])
    assert ask.asked == [(3, 2), (4, 2)]
    again = ask([{"photo": f"data:image/png;base64,{png(4)}"}, {"photo": png(5)}])
    assert again[0][0] == first[0][1]
    assert (ask.asked, ask.recalled) == ([(5, 2)], 1)


def test_a_file_is_told_from_others_without_being_decoded() -> None:
    wire = Wire(read_signature(Negatives))
    call = wire.read_media("image/png", b"no picture")
    (key,) = Known(wire, 2**20, 60.0).keys(call)
    assert key


def test_a_picture_that_is_kept_takes_the_memory_of_its_pixels() -> None:
    known = Known(Wire(read_signature(Negatives)), 2**20, 60.0)
    known.keep(b"small", Result([Image.new("RGB", (100, 100))]), 0.0)
    known.keep(b"large", Result([Image.new("RGB", (1000, 1000))]), 0.0)
    assert set(known.find([b"small", b"large"], 0.0)) == {0}


def test_rows_that_share_a_picture_meet_and_others_do_not() -> None:
    ask = Asker(Captions)
    ours, theirs = {"photo": png(3), "text": "a"}, {"photo": png(4), "text": "b"}
    answers = ask([ours, {**ours, "text": "c"}], theirs)
    assert answers == [["a 3x2", "c 3x2"], "b 4x2"]
    assert sorted(ask.asked) == [["a", "c"], ["b"]]
    assert ask([theirs, ours]) == [["b 4x2", "a 3x2"]]
    assert ask.asked == []


def test_refused_rows_are_asked_again() -> None:
    ask = Asker(Texts)
    for _ in range(2):
        (answer,) = ask(rows(["a", "no"]), query="errors=item")
        assert (answer[0], answer[1]["code"]) == ({"output": {"a": 1}}, "rejected")
    assert ask.asked == ["a", "no", "no"]


def test_one_item_predictors_skip_known_items_too() -> None:
    ask = Asker(Items)
    assert ask(rows(["a", "b"])) == [["A", "B"]]
    assert ask(rows(["b", "c", "a"])) == [["B", "C", "A"]]
    assert ask.asked == ["a", "b", "c"]


def test_the_same_row_is_known_in_another_dialect_and_under_another_id() -> None:
    ask = Asker(Arrays)
    assert ask({"x": [1.0, 2.0]}) == [3.0]
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    (first,) = ask({"id": "1", "inputs": [tensor]}, protocol="v2")
    (second,) = ask({"id": "2", "inputs": [tensor]}, protocol="v2")
    assert first["outputs"][0]["data"] == second["outputs"][0]["data"] == [3, 7]
    assert ask.asked == [[1, 2], [3, 4]]


def test_what_an_answer_is_written_from_is_not_kept_with_a_known_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Result] = []
    put = Cache.put

    def noted(self: Cache[Result], key: bytes, own: Result, size: int, now: float) -> None:
        kept.append(own)
        put(self, key, own, size, now)

    monkeypatch.setattr(Cache, "put", noted)
    ask = Asker(Arrays)
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    for _ in range(3):
        ask({"inputs": [tensor]}, protocol="v2")
        ask({"x": [1, 2]})
    assert ask.recalled == 5
    (row,) = kept
    assert (row.values.slab.made, row.values.slab.written) == (None, None)


REQUESTS = st.lists(st.lists(st.text("abc", max_size=2), min_size=1, max_size=6), max_size=6)


@settings(deadline=None)
@given(st.lists(REQUESTS, max_size=4))
def test_answers_are_those_of_a_worker_that_keeps_nothing(grabs: list[list[list[str]]]) -> None:
    ask = Asker(Texts)
    for requests in grabs:
        assert ask(*map(rows, requests)) == [[{t: len(t)} for t in r] for r in requests]


class Sampled(Texts):
    deterministic = False


@pytest.mark.parametrize(
    ("what", "item_s", "is_kept"),
    [(Texts, None, True), (Texts, 0.001, True), (Texts, 20e-6, False), (Sampled, 0.001, False)],
)
def test_rows_are_kept_only_where_it_is_allowed_and_pays(
    what: type[Noted], item_s: float | None, is_kept: bool
) -> None:
    wire = open_predictor(what).wire
    assert (known_of(wire, ModelSettings(cache_bytes=2**20), item_s) is not None) is is_kept
    assert known_of(wire, ModelSettings(), item_s) is None


@dataclass
class Passenger:
    age: float
    name: str = ""


ROWS = b'[{"age":1,"name":"a"},{"age":2,"name":"a"},{"name":"a","age":1.0}]'


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_rows_of_a_table_are_known_by_their_cells(table: Any) -> None:
    def ages(rows: Any) -> Any: ...

    ages.__annotations__ = {
        "rows": Annotated[table, hw.Rows(Passenger)],
        "return": hw.Batch[float],
    }
    wire = Wire(read_signature(ages))
    known = Known(wire, 2**20, 60.0)
    one, two, one_again = known.keys(wire.read_json(ROWS))
    assert one == one_again != two
    assert known.keys(wire.read_json(b'{"age":2,"name":"a"}')) == [two]
    sheet = b"name,age\na,1\nb,1\na,1\n"
    first, other, again = known.keys(wire.read_media("text/csv", sheet))
    assert first == again != other


def test_a_row_that_cant_be_decoded_is_not_known() -> None:
    def bands(photo: hw.Batch[Annotated[NDArray[np.uint8], hw.Image(mode="RGB")]]) -> hw.Batch[int]:
        raise NotImplementedError

    wire = Wire(read_signature(bands))
    assert Known(wire, 2**20, 60.0).keys(wire.read_json(b'{"photo":"%%"}')) == []


class Knotted:
    """An answer that holds itself."""

    def __init__(self) -> None:
        self.own = self


def test_what_cant_be_named_or_weighed_is_not_kept_and_ends_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Wire):
        def identity(self, call: Any, row: int) -> Any:
            raise KeyError("a kind's own mistake")

    wire = Broken(read_signature(Texts))
    known = Known(wire, 1 << 20, 60.0)
    assert known.keys(wire.read_json(b'{"text": "a"}')) == []
    known.keep(b"key", Result([Knotted()]), 0.0)
    assert known.find([b"key"], 0.0) == {}
    assert [record.message for record in caplog.records] == ["rows_not_kept"], "once"
